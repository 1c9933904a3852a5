"""Makes sweeps from given objectives, for the tests of reports."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neroRL.ranking.ranking import Ranking, rank
from neroRL.records.results import COMPLETED, JobResult
from neroRL.records.sweep_record import SweepRecord
from neroRL.records.sweeps import RecordedSweep, read_sweep
from neroRL.reporting.analysis.observations import Observations, observe

Axes = Mapping[str, Sequence[Any]]


def jobs(points: Sequence[Mapping[str, Any]], values: np.ndarray, **told: Any) -> list[JobResult]:
    """A completed job for each finite number of (permutations, repetitions)."""
    return [
        JobResult(
            permutation,
            repetition,
            seed=repetition,
            status=COMPLETED,
            overrides=points[permutation],
            objective=float(value),
            directory=f"{permutation}/{repetition}",
            **told,
        )
        for (permutation, repetition), value in np.ndenumerate(values)
        if np.isfinite(value)
    ]


def grid(axes: Axes) -> list[dict[str, Any]]:
    """All points of a full grid, the last key fastest."""
    return [dict(zip(axes, point, strict=True)) for point in itertools.product(*axes.values())]


def ranking_of(points: Sequence[Mapping[str, Any]], values: np.ndarray) -> Ranking:
    """The ranking of such jobs; every repetition counts."""
    return rank(jobs(points, values), 1)


def observed(axes: Axes, points: Sequence[Mapping[str, Any]], values: np.ndarray) -> Observations:
    """The same as arrays."""
    return observe(ranking_of(points, values), axes)


def landscape(
    axes: Axes, height: Callable[[Mapping[str, Any]], float], repetitions: int, noise: float
) -> tuple[list[dict[str, Any]], np.ndarray]:
    """A known function of the point, noise of the seeds, and noise of each job."""
    random = np.random.default_rng(4)
    points = grid(axes)
    truth = np.array([height(point) for point in points])[:, None]
    seeds = random.normal(size=(1, repetitions)) * noise
    return points, truth + seeds + random.normal(size=(len(points), repetitions)) * noise


def sweep_of(
    directory: Path, axes: Axes, values: np.ndarray, failed: Sequence[JobResult] = (), **told: Any
) -> RecordedSweep:
    """A sweep on disk; repetitions that are NaN have no job."""
    points = grid(axes)
    repetitions = max(values.shape[1], 1)
    SweepRecord(
        base={"trainer": {"updates": 10}, "environment": {"name": "Cart & Pole"}},
        axes=axes,
        seed=1,
        tune="space.yaml",
        repetitions=repetitions,
        permutations=len(points),
        jobs=len(points) * repetitions,
        **told,
    ).write(directory)
    for result in [*jobs(points, values, wall_seconds=60.0, env_steps=1000), *failed]:
        (directory / result.directory).mkdir(parents=True)
        result.write(directory / result.directory)
    return read_sweep(directory)
