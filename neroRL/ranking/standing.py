"""Finds the best permutation, by one definition for displays, tables and reports.

Permutations are compared, never single jobs, by the interquartile mean of their objectives (Agarwal
et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice"). Two rules
keep luck out. A repetition of the grid counts once all of its jobs have ended, so a permutation
gains nothing by being early; the first one counts from its first job. And a permutation with fewer
completed repetitions, because some failed, diverged or were stopped, ranks below all with more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neroRL.config.documents import text_of_value
from neroRL.records.results import COMPLETED, JobResult

CUT = 0.25


@dataclass(frozen=True)
class Standing:
    """The results of a permutation over its repetitions.

    Attributes:
        permutation: number of the grid point.
        overrides: its swept keys and their values.
        objectives: of its completed repetitions that count, by repetition.
        iqm: their interquartile mean.
    """

    permutation: int
    overrides: Mapping[str, Any]
    objectives: Mapping[int, float] = field(default_factory=dict)
    iqm: float = float("nan")

    @property
    def runs(self) -> int:
        """Counts the repetitions that have an objective."""
        return len(self.objectives)

    def values(self) -> str:
        """Returns the swept keys and their values, in one line."""
        text = " ".join(f"{key}={text_of_value(value)}" for key, value in self.overrides.items())
        return text.replace("\n", "\\n").replace("\r", "\\r")


def standings(
    results: Sequence[JobResult], jobs_a_lap: int, metric: str = "objective"
) -> list[Standing]:
    """Returns the permutations with a completed repetition that counts, best first.

    Ties go to the lower number.

    Args:
        results: of a sweep, in any order; at most one for each job.
        jobs_a_lap: number of jobs in each repetition of the grid.
        metric: the number of the results to compare; more is better.
    """
    laps = laps_that_count(results, jobs_a_lap)
    objectives: dict[int, dict[int, float]] = {}
    overrides: dict[int, Mapping[str, Any]] = {}
    for result in results:
        value = result.number(metric)
        if result.status == COMPLETED and value is not None and result.repetition < laps:
            objectives.setdefault(result.permutation, {})[result.repetition] = value
            overrides[result.permutation] = result.overrides
    found = [
        Standing(
            number,
            overrides[number],
            dict(sorted(values.items())),
            float(interquartile_mean(np.fromiter(values.values(), np.float64))),
        )
        for number, values in objectives.items()
    ]
    return sorted(found, key=lambda one: (-one.runs, -one.iqm, one.permutation))


def laps_that_count(results: Sequence[JobResult], jobs_a_lap: int) -> int:
    """Returns the number of first repetitions whose jobs have all ended; at least 1."""
    ended = Counter(result.repetition for result in results)
    laps = 0
    while jobs_a_lap and ended[laps] >= jobs_a_lap:
        laps += 1
    return max(laps, 1)


def uncounted(results: Sequence[JobResult], jobs_a_lap: int) -> tuple[int, int, int] | None:
    """Returns why results do not count yet; None if all do.

    Returns:
        The number of results that do not count, the first repetition that lacks jobs, and how many
        it lacks.

    >>> ended = [JobResult(p, k, seed=k, status=COMPLETED) for p, k in ((0, 0), (0, 1), (1, 1))]
    >>> uncounted(ended, jobs_a_lap=2)
    (2, 0, 1)
    """
    laps = laps_that_count(results, jobs_a_lap)
    ended = Counter(result.repetition for result in results)
    waiting = sum(count for lap, count in ended.items() if lap >= laps)
    if not waiting:
        return None
    lap = next(lap for lap in range(laps + 1) if ended[lap] < jobs_a_lap)
    return waiting, lap, jobs_a_lap - ended[lap]


def interquartile_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the mean of the last axis without its lowest and highest quarter.

    The number of values left out on each side is rounded down, as in ``scipy.stats.trim_mean``:
    up to three values are averaged as they are.

    Args:
        values: at least one along the last axis.
    """
    cut = int(CUT * values.shape[-1])
    kept = np.sort(values, axis=-1)[..., cut : values.shape[-1] - cut]
    mean: NDArray[np.float64] = kept.mean(axis=-1)
    return mean
