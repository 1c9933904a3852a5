"""How much of what a sweep's results vary by comes from which axis: functional ANOVA.

On a full grid the decomposition of the permutations' means is exact (Hooker 2007; Hutter et al.
2014, "An Efficient Approach for Assessing Hyperparameter Importance", equations 1 to 4, with the
table of means in place of a fitted forest): the variance is that of the axes alone, of pairs of
axes beyond that, and of more than two axes together. Repetitions of a permutation vary beside that;
their variance is the seeds' share.

On a grid with holes the pieces are not orthogonal. There, the share of an axis is the variance of
its paired effects over the permutations, and interactions are not taken apart.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neroRL.ranking.ties import DUST
from neroRL.reporting.analysis.marginals import Marginal
from neroRL.reporting.analysis.observations import ABSENT, Observations, Values


@dataclass(frozen=True)
class Share:
    """The share of one axis alone, or of a pair of them beyond their own shares.

    Attributes:
        axes: their names.
        share: of all variance, between 0 and 1.
        by_chance: the share that seeds alone are expected to give it; None if that is not known.
    """

    axes: tuple[str, ...]
    share: float
    by_chance: float | None = None


@dataclass(frozen=True)
class Importance:
    """The decomposition of a sweep's variance; all shares together are 1.

    Attributes:
        alone: shares of the axes.
        pairs: shares of pairs of axes; empty on a grid with holes.
        rest: of more than two axes together; on a grid with holes of all interactions.
        seeds: between repetitions of a permutation.
        exact: whether the grid is full.
        effective: how many axes matter: the exponential of the entropy of the axes' shares, half
            of each pair's share counted for each of the two; None if no axis has any, or if the
            share of some is not known and part of the rest.
        complete: whether the share of every axis is known.
    """

    alone: Sequence[Share]
    pairs: Sequence[Share]
    rest: float
    seeds: float
    exact: bool
    effective: float | None
    complete: bool = True


def importance(observed: Observations, marginals: Sequence[Marginal]) -> Importance | None:
    """Returns the share of each axis; None where nothing varies.

    Args:
        observed: permutations and what they reached.
        marginals: effects of the same axes.
    """
    if not observed.axes or len(observed.permutations) < 2:
        return None
    cells = _full_grid(observed)
    return _holed(observed, marginals) if cells is None else _full(observed, cells)


def _full_grid(observed: Observations) -> Values | None:
    """Returns the values of shape (choices of each axis …, repetitions); None if some have none."""
    shape = tuple(len(axis.choices) for axis in observed.axes)
    if math.prod(shape) > len(observed.permutations) or (observed.levels == ABSENT).any():
        return None
    cell = np.ravel_multi_index(tuple(observed.levels.T), shape)
    if len(np.unique(cell)) < math.prod(shape):
        return None
    known = np.isfinite(observed.values)
    sums = np.zeros((math.prod(shape), observed.values.shape[1]))
    counts = np.zeros_like(sums)
    np.add.at(sums, cell, np.where(known, observed.values, 0.0))
    np.add.at(counts, cell, known)
    with np.errstate(invalid="ignore"):
        values: Values = (sums / counts).reshape(*shape, -1)
    return values


def _full(observed: Observations, cells: Values) -> Importance | None:
    means = np.nanmean(cells, axis=-1)
    seeds = float(np.nanvar(cells, axis=-1).mean())
    total = float(means.var()) + seeds
    if total <= _dust(cells):
        return None
    axes = range(means.ndim)
    centred = means - means.mean()
    parts: dict[tuple[int, ...], Values] = {(axis,): _average(centred, (axis,)) for axis in axes}
    for one, two in itertools.combinations(axes, 2):
        both = _average(centred, (one, two))
        parts[one, two] = both - parts[one,] - parts[two,]
    noise = _noise(cells)
    names = [axis.name for axis in observed.axes]
    shares = []
    for which, part in parts.items():
        freedom = math.prod(means.shape[axis] - 1 for axis in which)
        chance = None if noise is None else freedom * noise / cells.size / total
        shares.append(
            Share(tuple(names[axis] for axis in which), float((part**2).mean()) / total, chance)
        )
    rest = 1.0 - seeds / total - sum(share.share for share in shares)
    alone, pairs = shares[: means.ndim], shares[means.ndim :]
    return Importance(alone, pairs, max(rest, 0.0), seeds / total, True, _effective(alone, pairs))


def _dust(values: Values) -> float:
    """Returns the variance that rounding may give to equal values."""
    return float((DUST * np.nanmax(np.abs(values))) ** 2)


def _average(centred: Values, kept: Sequence[int]) -> Values:
    """Averages over all axes but some, and keeps the number of axes."""
    others = tuple(axis for axis in range(centred.ndim) if axis not in kept)
    average: Values = centred.mean(axis=others, keepdims=True)
    return average


def _noise(cells: Values) -> float | None:
    """Variance of a job, without what its seed does to all permutations alike."""
    table = cells.reshape(-1, cells.shape[-1])
    count, repetitions = table.shape
    if repetitions < 2 or not np.isfinite(table).all():
        return None
    residual = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    return float((residual**2).sum() / ((count - 1) * (repetitions - 1)))


def _holed(observed: Observations, marginals: Sequence[Marginal]) -> Importance | None:
    between = float(observed.means.var())
    seeds = float(np.nanvar(observed.values, axis=1).mean())
    parts, names = [], []
    for column, marginal in zip(observed.levels.T, marginals, strict=True):
        if not marginal.is_known:
            continue
        names.append(marginal.axis.name)
        effects = np.array([effect.difference or 0.0 for effect in marginal.effects])
        parts.append(float(np.where(column == ABSENT, 0.0, effects[column]).var()))
    total = max(between, sum(parts)) + seeds
    if total <= _dust(observed.values) or not parts:
        return None
    alone = [Share((name,), part / total) for name, part in zip(names, parts, strict=True)]
    rest = max(between - sum(parts), 0.0) / total
    complete = len(alone) == len(marginals)
    effective = _effective(alone, []) if complete else None
    return Importance(alone, [], rest, seeds / total, False, effective, complete)


def _effective(alone: Sequence[Share], pairs: Sequence[Share]) -> float | None:
    weights = {share.axes[0]: share.share for share in alone}
    for pair in pairs:
        for name in pair.axes:
            weights[name] += pair.share / 2.0
    shares = np.array([weight for weight in weights.values() if weight > 0.0])
    if not shares.size:
        return None
    shares = shares / shares.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))
