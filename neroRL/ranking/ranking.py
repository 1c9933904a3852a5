"""Ranks permutations with intervals, ties with the best, and the repetitions still needed.

Everything is computed from the objectives alone, with a fixed seed: the same results give the same
ranking.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neroRL.ranking.standing import CUT, Standing, standings, uncounted
from neroRL.ranking.ties import repetitions_missing, ties
from neroRL.records.results import COMPLETED, JobResult, Status

OBJECTIVE = "objective"
CONFIDENCE = 0.95
# With fewer repetitions, bootstrap intervals are too narrow.
TRUSTED_RUNS = 5
RESAMPLES = 2000
SEED = 0
_ROWS_AT_A_TIME = 256

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Ranked:
    """A permutation in a ranking.

    Attributes:
        rank: from 1; None for a permutation without a completed repetition that counts.
        standing: its objectives and their interquartile mean.
        interval: bootstrap interval of that mean; None with fewer than two repetitions.
        tied_with_best: whether it may be as good as the best.
        jobs: number of its jobs with each status, including those that do not count.
        env_steps: environment steps of all its jobs.
        wall_seconds: duration of all its jobs.
    """

    rank: int | None
    standing: Standing
    interval: tuple[float, float] | None
    tied_with_best: bool
    jobs: Counter[Status]
    env_steps: int
    wall_seconds: float

    @property
    def mean(self) -> float | None:
        """The mean of the objectives that count."""
        values = self._values
        return float(values.mean()) if values.size else None

    @property
    def std(self) -> float | None:
        """Their sample standard deviation; None with fewer than two."""
        values = self._values
        return float(values.std(ddof=1)) if values.size > 1 else None

    @property
    def _values(self) -> Values:
        return np.fromiter(self.standing.objectives.values(), np.float64)


@dataclass(frozen=True)
class Ranking:
    """The permutations of a sweep, best first, and the certainty of their order.

    Attributes:
        rows: all permutations with a result.
        metric: the number compared.
        confidence: of intervals and ties, between 0 and 1.
        more_repetitions: number that would most likely separate the best from the first one that
            is tied with it; 0 if none is, None if it cannot be estimated.
        uncounted: why some results do not count yet; None if all do. See
            :func:`~neroRL.ranking.standing.uncounted`.
    """

    rows: Sequence[Ranked]
    metric: str
    confidence: float
    more_repetitions: int | None
    uncounted: tuple[int, int, int] | None = None

    @property
    def ranked(self) -> list[Ranked]:
        """The permutations with a rank."""
        return [row for row in self.rows if row.rank is not None]

    @property
    def best(self) -> Ranked | None:
        """The best permutation, if any has completed a repetition."""
        return self.rows[0] if self.rows and self.rows[0].rank is not None else None

    @property
    def incomplete(self) -> int:
        """Counts the jobs that ended without completing."""
        return sum(row.jobs.total() - row.jobs[COMPLETED] for row in self.rows)

    @property
    def tied(self) -> list[int]:
        """The permutations that may be as good as the best, and the best itself."""
        return [row.standing.permutation for row in self.rows if row.tied_with_best]


def rank(
    results: Sequence[JobResult],
    jobs_a_lap: int,
    metric: str = OBJECTIVE,
    confidence: float = CONFIDENCE,
) -> Ranking:
    """Ranks the permutations of a sweep.

    Args:
        results: of the sweep, in any order.
        jobs_a_lap: number of jobs in each repetition of the grid.
        metric: the number of the results to compare; more is better.
        confidence: of intervals and ties, between 0 and 1.
    """
    compared = standings(results, jobs_a_lap, metric)
    table = objectives_table(compared)
    intervals = _intervals(table, confidence)
    level = (1.0 - confidence) / max(len(compared) - 1, 1)  # Bonferroni
    tied = ties(table, level)
    jobs = _by_permutation(results)
    others = sorted(jobs.keys() - {one.permutation for one in compared})
    unranked = [Standing(number, jobs[number][0].overrides) for number in others]
    rows = [
        _row(position, one, interval, is_tied, jobs[one.permutation])
        for position, one, interval, is_tied in zip(
            itertools.count(1), compared, intervals, tied, strict=False
        )
    ]
    rows += [_row(None, one, None, False, jobs[one.permutation]) for one in unranked]
    missing = repetitions_missing(table, level)
    return Ranking(rows, metric, confidence, missing, uncounted(results, jobs_a_lap))


def confirmed_best(ranking: Ranking, confirmation: Ranking | None) -> Ranked | None:
    """Returns the best permutation of a sweep with its numbers on fresh seeds, if it has any.

    Args:
        ranking: of the tuning jobs.
        confirmation: of the best permutations on fresh seeds.
    """
    if ranking.best is None or confirmation is None:
        return None
    number = ranking.best.standing.permutation
    return next((row for row in confirmation.ranked if row.standing.permutation == number), None)


def bootstrap_interval(samples: Values, confidence: float) -> Values:
    """Returns percentile intervals of interquartile means (Efron 1979), a row for each sample.

    The trimmed mean of a resample is a weighted sum of the sample's sorted values. The weights
    depend only on the drawn positions, so all samples share them, and one matrix product computes
    all means.

    Args:
        samples: of shape (samples, values), at least two values each.
        confidence: between 0 and 1.

    Returns:
        Lower and upper bounds, of shape (samples, 2).
    """
    size = samples.shape[1]
    cut = int(CUT * size)
    drawn = np.random.default_rng(SEED).integers(size, size=(RESAMPLES, size))
    kept = np.sort(drawn, axis=1)[:, cut : size - cut]
    cells = np.arange(RESAMPLES)[:, None] * size + kept
    counts = np.bincount(cells.ravel(), minlength=RESAMPLES * size).reshape(RESAMPLES, size)
    weights = counts / kept.shape[1]
    tail = (1.0 - confidence) / 2.0
    bounds = [
        np.quantile(np.sort(some, axis=1) @ weights.T, (tail, 1.0 - tail), axis=1).T
        for some in np.array_split(samples, math.ceil(len(samples) / _ROWS_AT_A_TIME))
    ]
    return np.concatenate(bounds)


def objectives_table(compared: Sequence[Standing]) -> Values:
    """Returns objectives of shape (permutations, repetitions), NaN where there is none."""
    width = max((max(one.objectives) + 1 for one in compared), default=0)
    table = np.full((len(compared), width), np.nan)
    for row, one in zip(table, compared, strict=True):
        row[list(one.objectives)] = list(one.objectives.values())
    return table


def _intervals(table: Values, confidence: float) -> list[tuple[float, float] | None]:
    """Returns the interval of each row; rows with equally many values share a computation."""
    known = np.isfinite(table)
    runs = known.sum(axis=1)
    found: list[tuple[float, float] | None] = [None] * len(table)
    for count in sorted({int(count) for count in runs} - {0, 1}):
        rows = np.flatnonzero(runs == count)
        samples = table[rows][known[rows]].reshape(len(rows), count)
        for row, (low, high) in zip(rows, bootstrap_interval(samples, confidence), strict=True):
            found[row] = float(low), float(high)
    return found


def _by_permutation(results: Iterable[JobResult]) -> dict[int, list[JobResult]]:
    jobs: dict[int, list[JobResult]] = {}
    for result in results:
        jobs.setdefault(result.permutation, []).append(result)
    return jobs


def _row(
    position: int | None,
    standing: Standing,
    interval: tuple[float, float] | None,
    tied: bool,
    jobs: Sequence[JobResult],
) -> Ranked:
    return Ranked(
        rank=position,
        standing=standing,
        interval=interval,
        tied_with_best=tied,
        jobs=Counter(job.status for job in jobs),
        env_steps=sum(job.env_steps for job in jobs),
        wall_seconds=sum(job.wall_seconds for job in jobs),
    )
