"""What a sweep cost, and what stopping jobs early saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neroRL.records.results import COMPLETED, DIVERGED, FAILED, STATUSES, STOPPED, JobResult, Status
from neroRL.reporting.race import updates_saved
from neroRL.texts import in_one_line


@dataclass(frozen=True)
class Costs:
    """Sums over all jobs that have ended.

    Attributes:
        env_steps: environment steps.
        hours: of all jobs together, as if one had run after the other.
        steps_per_second: median of the jobs; None if none has a speed.
        updates_saved: updates that stopped jobs did not do.
        hours_saved: what they would have taken at the pace of the same jobs.
        jobs: how many ended with each status.
    """

    env_steps: int
    hours: float
    steps_per_second: float | None
    updates_saved: int
    hours_saved: float
    jobs: dict[Status, int]


def costs(results: Sequence[JobResult]) -> Costs:
    """Returns what the jobs of a sweep cost.

    Args:
        results: of the jobs that ended.
    """
    speeds = [result.steps_per_second for result in results if result.steps_per_second]
    stopped = [result for result in results if result.status == STOPPED]
    saved = [updates_saved(result) for result in stopped]
    seconds = sum(
        missing * one.wall_seconds / max(one.own_updates, 1)
        for missing, one in zip(saved, stopped, strict=True)
    )
    return Costs(
        env_steps=sum(result.env_steps for result in results),
        hours=sum(result.wall_seconds for result in results) / 3600.0,
        steps_per_second=float(np.median(speeds)) if speeds else None,
        updates_saved=sum(saved),
        hours_saved=seconds / 3600.0,
        jobs={status: sum(one.status == status for one in results) for status in STATUSES},
    )


@dataclass(frozen=True)
class Ending:
    """A job that did not complete.

    Attributes:
        job: its directory.
        status: how it ended.
        updates: that it had done.
        reason: what ended it, in one line.
    """

    job: str
    status: Status
    updates: int
    reason: str


def endings(results: Sequence[JobResult], *, is_open: bool = False) -> list[Ending]:
    """Returns the jobs that failed, diverged or were stopped, in the order of the results.

    Args:
        results: of a sweep.
        is_open: whether some that a race has stopped may go on.
    """
    # One such job puts its whole permutation out of a race.
    broken = {one.permutation: one.status for one in results if one.status in (FAILED, DIVERGED)}

    def reason(result: JobResult) -> str:
        if result.rung is None:
            return in_one_line(result.error or "") or "–"
        if result.permutation in broken:
            return f"another job of its permutation {broken[result.permutation]}"
        if is_open:
            return f"at rung {result.rung:g} of a race that is not over"
        return f"behind at rung {result.rung:g} of the race"

    return [
        Ending(result.directory, result.status, result.updates, reason(result))
        for result in results
        if result.status != COMPLETED
    ]
