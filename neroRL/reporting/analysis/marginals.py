"""The effect of each axis alone, paired over the other axes.

Permutations are compared within blocks that agree in everything else: the other axes' choices and
the repetition, hence the seed. An axis that applies beside some choices of this one only cannot
agree, and is averaged over. Where every block has every choice, the effect of a choice is the mean
of its differences to the means of the blocks. Where some are missing, effects and blocks are fitted
together by least squares (the additive model of a two-way layout), which gives the same for full
blocks and does not take a block's level for a choice's effect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neroRL.ranking.ties import DUST
from neroRL.reporting.analysis.observations import ABSENT, Levels, Observations, Values, VariedAxis

NDArrayBool = NDArray[np.bool_]


@dataclass(frozen=True)
class Effect:
    """The effect of one choice.

    Attributes:
        choice: its text.
        difference: to the mean of the axis' choices; None if no block compares it with others.
        interval: Student's t interval of that difference over the blocks; None with fewer than two.
        blocks: how many blocks compare the choice with others.
    """

    choice: str
    difference: float | None
    interval: tuple[float, float] | None
    blocks: int


@dataclass(frozen=True)
class Marginal:
    """The effects of an axis' choices.

    Attributes:
        axis: whose.
        effects: one for each choice.
        full: whether every block has every choice.
    """

    axis: VariedAxis
    effects: Sequence[Effect]
    full: bool

    @property
    def is_known(self) -> bool:
        """Whether some jobs agree in all but this axis, so that they can be compared."""
        return any(effect.difference is not None for effect in self.effects)


def marginal_effects(observed: Observations, confidence: float) -> list[Marginal]:
    """Returns the effect of each axis alone.

    Args:
        observed: permutations and what they reached.
        confidence: of the intervals, between 0 and 1.
    """
    return [_marginal(observed, axis, confidence) for axis in range(len(observed.axes))]


def _marginal(observed: Observations, index: int, confidence: float) -> Marginal:
    from scipy.special import stdtrit

    axis = observed.axes[index]
    block, choice, value = _entries(observed, index)
    effects, levels = _fit(block, choice, value, len(axis.choices))
    dust = DUST * float(np.abs(value).max(initial=0.0))
    counts = np.bincount(choice, minlength=len(axis.choices))
    differences = value - levels[block] if len(value) else value
    spread = np.bincount(choice, (differences - effects[choice]) ** 2, minlength=len(axis.choices))
    found = []
    for text, effect, count, squares in zip(axis.choices, effects, counts, spread, strict=True):
        interval = None
        if count > 1:
            error = np.sqrt(squares / (count - 1) / count)
            width = float(stdtrit(count - 1, (1.0 + confidence) / 2.0) * error)
            low, high = (_clean(float(effect) + side, dust) for side in (-width, width))
            interval = low, high
        difference = _clean(float(effect), dust) if count else None
        found.append(Effect(text, difference, interval, int(count)))
    return Marginal(axis, found, full=bool(len(value)) and _is_full(block, choice))


def _clean(value: float, dust: float) -> float:
    return 0.0 if abs(value) < dust else value


def _entries(observed: Observations, index: int) -> tuple[Levels, Levels, Values]:
    """Block, choice and value of what can be compared; one entry for each block and choice."""
    rows = observed.levels[:, index] != ABSENT
    levels, values = observed.levels[rows], observed.values[rows]
    choices = levels[:, index]
    others = [
        other
        for other in range(levels.shape[1])
        if other != index and not _depends(levels[:, other], choices)
    ]
    surrounding = _numbered(levels[:, others]) if others else np.zeros(len(levels), np.int64)
    row, repetition = np.nonzero(np.isfinite(values))
    blocks = _numbered(np.stack([surrounding[row], repetition], axis=1))
    cells, inverse = np.unique(
        np.stack([blocks, choices[row]], axis=1), axis=0, return_inverse=True
    )
    counts = np.bincount(inverse, minlength=len(cells))
    means = np.bincount(inverse, values[row, repetition], minlength=len(cells)) / np.maximum(
        counts, 1
    )
    keep = _compared(cells[:, 0], cells[:, 1])
    return _numbered(cells[keep, :1]), cells[keep, 1], means[keep]


def _depends(other: Levels, choices: Levels) -> bool:
    """Returns whether an axis applies beside some of the choices, and never beside others."""
    total = np.bincount(choices)
    applies = np.bincount(choices, other != ABSENT)[total > 0]
    return bool(applies.size) and applies.min() == 0 < applies.max()


def _compared(blocks: Levels, choices: Levels) -> NDArrayBool:
    """Returns the entries of the largest set of choices that blocks connect with each other."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    shared = np.bincount(blocks)[blocks] > 1 if len(blocks) else np.zeros(0, bool)
    if not shared.any():
        return shared
    size = int(blocks.max()) + 1
    nodes = size + int(choices.max()) + 1
    ends = blocks[shared], choices[shared] + size
    _, parts = connected_components(
        coo_array((np.ones(len(ends[0])), ends), shape=(nodes, nodes)), directed=False
    )
    largest = np.bincount(parts[blocks[shared]]).argmax()
    kept: NDArrayBool = shared & (parts[blocks] == largest)
    return kept


def _fit(blocks: Levels, choices: Levels, values: Values, count: int) -> tuple[Values, Values]:
    """Effects of choices, whose mean is zero, and levels of blocks, by least squares."""
    from scipy.sparse import coo_array
    from scipy.sparse.linalg import lsqr

    effects = np.zeros(count)
    if not len(values):
        return effects, np.zeros(0)
    present = np.unique(choices)
    size = int(blocks.max()) + 1
    sums = np.bincount(blocks, values)
    counts = np.bincount(blocks)
    if _is_full(blocks, choices):
        levels = sums / counts
        differences = np.bincount(choices, values - levels[blocks], minlength=count)
        effects[present] = (differences / np.maximum(np.bincount(choices, minlength=count), 1))[
            present
        ]
        return effects, levels
    rows = np.arange(len(values))
    design = coo_array(
        (
            np.ones(2 * len(values)),
            (np.concatenate([rows, rows]), np.concatenate([blocks, size + choices])),
        ),
        shape=(len(values), size + count),
    ).tocsr()
    start = values.mean()
    fitted = lsqr(design, values - start, atol=1e-13, btol=1e-13, iter_lim=10_000)[0]
    effects[present] = fitted[size:][present] - fitted[size:][present].mean()
    levels = np.bincount(blocks, values - effects[choices]) / counts
    return effects, levels


def _is_full(blocks: Levels, choices: Levels) -> bool:
    return len(blocks) == len(np.unique(blocks)) * len(np.unique(choices))


def _numbered(rows: Levels) -> Levels:
    """Numbers equal rows equally, from 0 without gaps."""
    _, inverse = np.unique(rows, axis=0, return_inverse=True)
    numbers: Levels = inverse.reshape(-1).astype(np.int64)
    return numbers
