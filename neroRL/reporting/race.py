"""What a race has saved, and where its permutations can be compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from neroRL.records.results import COMPLETED, STOPPED, JobResult
from neroRL.records.rungs import read_rungs
from neroRL.records.sweeps import RecordedSweep


def updates_saved(result: JobResult) -> int:
    """Returns the updates that a stopped job did not do."""
    return max((result.planned_updates or 0) - result.updates, 0)


def steps_saved(results: Iterable[JobResult]) -> int:
    """Returns the environment steps that jobs did not do because a race stopped them."""
    stopped = (one for one in results if one.updates)
    return sum(one.env_steps // one.updates * updates_saved(one) for one in stopped)


def unworked(results: Iterable[JobResult]) -> float:
    """Returns how much of stopped jobs is left, in jobs.

    >>> half = JobResult(0, 0, seed=1, status="stopped", updates=5, planned_updates=10)
    >>> unworked([half, half])
    1.0
    """
    return sum(updates_saved(one) / (one.planned_updates or 1) for one in results)


def steps_text(saved: int, done: int) -> str:
    """Returns the saved steps, and their share of what the sweep would have taken."""
    share = saved / (saved + done) if saved + done else 0.0
    return f"{saved:,} environment steps saved, {share:.0%} of the whole sweep"


def at_first_rung(sweep: RecordedSweep) -> list[JobResult]:
    """Returns the jobs of a race as they stood at the first rung, which all of them reached.

    At the end of a race only those are left that did well, and these do not show what an axis does.

    Args:
        sweep: as its files tell it.

    Returns:
        The jobs, as if completed there; empty if no race has stopped any.
    """
    if not any(result.status == STOPPED for result in sweep.results):
        return []
    found = []
    for result in sweep.results:
        reached = read_rungs(sweep.job_directory(result.permutation, result.repetition))
        if reached:
            objective = reached[0].objective
            found.append(replace(result, status=COMPLETED, objective=objective, rung=None))
    return found
