"""Pairs of axes, and how likely the best permutation does better than another."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neroRL.reporting.analysis.observations import ABSENT, Levels, Observations, Values, VariedAxis


@dataclass(frozen=True)
class Pair:
    """A table of the means by the choices of two axes.

    Attributes:
        first: the rows.
        second: the columns.
        means: over all permutations with both choices, of shape (rows, columns); NaN for none.
        counts: how many permutations those are.
    """

    first: VariedAxis
    second: VariedAxis
    means: Values
    counts: Levels


def pairs(observed: Observations, most: int) -> list[Pair]:
    """Returns each pair of axes that some permutation has both of, in the order of the grid.

    Args:
        observed: permutations and what they reached.
        most: pairs of axes with more choices than this are left out.
    """
    small = [i for i, axis in enumerate(observed.axes) if len(axis.choices) <= most]
    found = [_pair(observed, one, two) for one, two in itertools.combinations(small, 2)]
    return [pair for pair in found if pair.counts.any()]


def _pair(observed: Observations, one: int, two: int) -> Pair:
    first, second = observed.axes[one], observed.axes[two]
    shape = len(first.choices), len(second.choices)
    rows = (observed.levels[:, [one, two]] != ABSENT).all(axis=1)
    cell = np.ravel_multi_index((observed.levels[rows, one], observed.levels[rows, two]), shape)
    size = shape[0] * shape[1]
    counts = np.bincount(cell, minlength=size)
    sums = np.bincount(cell, observed.means[rows], minlength=size)
    with np.errstate(invalid="ignore"):
        means = sums / counts
    return Pair(first, second, means.reshape(shape), counts.reshape(shape))


def probabilities_of_improvement(observed: Observations) -> Sequence[float]:
    """Returns how likely a run of the best permutation does better than one of each other.

    Args:
        observed: permutations and what they reached, best first.

    Returns:
        One probability for each permutation after the first.
    """
    return probabilities(observed.values[0], observed.values[1:]) if len(observed.values) else []


def probabilities(runs: Values, others: Values) -> list[float]:
    """Returns how likely a run does better than one of each other permutation.

    All pairs of runs are compared, equal ones count half (Agarwal et al. 2021, "Deep Reinforcement
    Learning at the Edge of the Statistical Precipice", section 4.3, for one task).

    Args:
        runs: of a permutation, of shape (repetitions,); NaN where there is none.
        others: of the others, of shape (permutations, repetitions); NaN where there is none.
    """
    best = np.sort(runs[np.isfinite(runs)])
    known = np.isfinite(others)
    above = len(best) - np.searchsorted(best, others, side="right")
    equal = len(best) - np.searchsorted(best, others, side="left") - above
    wins = np.where(known, above + equal / 2.0, 0.0).sum(axis=1)
    return [float(share) for share in wins / (known.sum(axis=1) * len(best))]
