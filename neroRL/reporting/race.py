"""What a race has saved, and where its permutations can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from neroRL.config.budget import updates_at
from neroRL.records.results import COMPLETED, STOPPED, JobResult
from neroRL.records.rungs import Reached, read_rungs
from neroRL.records.sweeps import RecordedSweep
from neroRL.texts import counted


def updates_saved(result: JobResult) -> int:
    """Returns the updates that a stopped job did not do."""
    return max((result.planned_updates or 0) - result.updates, 0)


def steps_saved(stopped: Iterable[JobResult]) -> int:
    """Returns the environment steps that jobs did not do because a race stopped them."""
    return sum(one.env_steps // max(one.own_updates, 1) * updates_saved(one) for one in stopped)


def unworked(stopped: JobResult) -> float:
    """Returns how much of a stopped job is left, as a share of it.

    >>> unworked(JobResult(0, 0, seed=1, status="stopped", updates=5, planned_updates=20))
    0.75
    """
    return updates_saved(stopped) / max((stopped.planned_updates or 1) - stopped.resume_at, 1)


def saving(results: Sequence[JobResult], base: Mapping[str, Any], jobs: int) -> str:
    """Returns what a race has saved; empty if it has stopped no job.

    Args:
        results: of the sweep.
        base: its base config.
        jobs: how many it has.
    """
    stopped = [one for one in results if one.status == STOPPED]
    if not stopped:
        return ""
    saved = steps_saved(stopped)
    share = saved / max(_steps_planned(results, base, jobs), 1)
    return (
        f"a race stopped {counted(len(stopped), 'job')}: {saved:,} environment steps saved, "
        f"{share:.0%} of the whole sweep"
    )


def _steps_planned(results: Iterable[JobResult], base: Mapping[str, Any], jobs: int) -> int:
    """Returns the environment steps of a sweep whose jobs are all trained to their end."""
    steps: dict[int, int] = {}
    for one in results:
        if one.status in (COMPLETED, STOPPED) and one.own_updates:
            whole = one.whole_updates - one.resume_at
            steps[one.permutation] = one.env_steps * whole // one.own_updates
        else:  # where no other job of its permutation tells, the config does
            steps.setdefault(one.permutation, _configured_steps(base, one.overrides))
    # Permutations of which nothing is known count like the others.
    known = [count for count in steps.values() if count]
    return jobs * sum(known) // max(len(known), 1)


def _configured_steps(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> int:
    """Returns the environment steps of a whole training by its config; 0 if that does not tell."""

    def value(section: str, key: str) -> int:
        found: int = overrides.get(f"{section}.{key}", base.get(section, {}).get(key, 0))
        return found

    updates = value("trainer", "updates") - value("trainer", "resume_at")
    return updates * value("sampler", "n_workers") * value("sampler", "worker_steps")


def under_way(sweep: RecordedSweep) -> str:
    """Returns where the jobs of a race stand that is not over; empty for any other sweep."""
    if sweep.let_go:
        return f"the sweep goes on without its race; jobs that it had stopped: {sweep.let_go}"
    if not sweep.is_racing:
        return ""
    ended = {(result.permutation, result.repetition) for result in sweep.results}
    waiting = sum(result.status == STOPPED for result in sweep.results)
    left = [job for job in sweep.jobs() if job not in ended]
    past = sum(bool(read_rungs(sweep.job_directory(*job))) for job in left)
    return f"the race is not over; jobs at a rung: {waiting}, gone on from one: {past}"


def may_go_on(sweep: RecordedSweep) -> bool:
    """Returns whether some jobs that a race has stopped may still go on."""
    return sweep.is_racing or sweep.let_go > 0


def at_first_rung(sweep: RecordedSweep) -> list[JobResult]:
    """Returns the jobs of a race as they stood at its first rung.

    At the end of a race only those are left that did well, and these do not show what an axis does.

    Args:
        sweep: as its files tell it.

    Returns:
        The jobs, as if completed there, and those that came to nothing, as they are. One of which
        nothing is known there has no objective. Empty if no race has stopped any, or if some
        permutation has no job that is known to have stood there.
    """
    rungs = sweep.record.race.get("rungs")
    if not rungs or not any(result.status == STOPPED for result in sweep.results):
        return []
    found, known, all_of_them = [], set(), set()
    for result in sweep.results:
        if result.status not in (COMPLETED, STOPPED):
            found.append(result)
            continue
        all_of_them.add(result.permutation)
        there = _reached(sweep, result, rungs[0])
        if there is not None:
            known.add(result.permutation)
        objective = there.objective if there is not None else None
        found.append(replace(result, status=COMPLETED, objective=objective, rung=None))
    return found if known == all_of_them else []


def _reached(sweep: RecordedSweep, result: JobResult, rung: float) -> Reached | None:
    """Returns where a job stood at a rung, if that is known."""
    planned = result.whole_updates
    # One that was stopped by another rule, or with fewer updates, stood elsewhere.
    for one in read_rungs(sweep.job_directory(result.permutation, result.repetition)):
        is_same = one.planned != planned or one.fingerprint == result.fingerprint
        if one.updates == updates_at(rung, planned) and is_same:
            return one
    return None
