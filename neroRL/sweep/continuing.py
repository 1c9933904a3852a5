"""Finds the jobs of a sweep that are done, from the results of an earlier run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neroRL.config.budget import shorter
from neroRL.records.results import (
    DIVERGED,
    FAILED,
    FORMAT,
    STOPPED,
    JobResult,
    fingerprint,
    read_result,
)
from neroRL.records.rungs import read_rungs
from neroRL.reporting.tensorboard import EVENT_FILES
from neroRL.sweep.jobs import SEED, JobPlan
from neroRL.sweep.plan import SweepPlan


@dataclass
class Standing:
    """The finished and the pending jobs at the start of a sweep.

    Attributes:
        finished: the results of the finished jobs, by number. In a race, those that stopped at a
            rung are among them.
        pending: numbers of the jobs to run, ascending.
        others: number of pending jobs that have a result of another config or version.
        longer: number of pending jobs that ended with fewer updates.
    """

    finished: dict[int, JobResult] = field(default_factory=dict)
    pending: list[int] = field(default_factory=list)
    others: int = 0
    longer: int = 0

    @property
    def total(self) -> int:
        """Returns the number of jobs."""
        return len(self.finished) + len(self.pending)


def standing(plan: SweepPlan, jobs: JobPlan, directory: Path, asked: int) -> Standing:
    """Reads the results of a sweep's jobs.

    Args:
        plan: of the current command.
        jobs: of the sweep, with the repetitions that only an earlier command asked for.
        directory: in which the jobs have theirs.
        asked: how many of the jobs, from the first, are asked for now.
    """
    found = Standing()
    for number in range(len(jobs)):
        result = read_result(directory / jobs.directory(number))
        permutation = jobs.valid[number % len(jobs.valid)]
        if number >= asked or not plan.is_asked_for(permutation):
            if result is not None and _goes_on(plan, jobs, number, result):
                found.longer += 1  # all jobs of a sweep have the same updates
                found.pending.append(number)
            elif result is not None:
                found.finished[number] = result
        elif result is None or (result.status == FAILED and plan.options.retry_failed):
            found.pending.append(number)
        elif result.status == STOPPED and _is_part(plan, jobs, number, result, directory):
            found.longer += not plan.options.races
            if plan.options.races:
                found.finished[number] = result
            else:
                found.pending.append(number)
        elif result.status == FAILED or _is_of(plan, jobs, number, result):
            found.finished[number] = result
        elif result.status == DIVERGED and _is_shorter(plan, jobs, number, result):
            found.finished[number] = result  # with more updates it would diverge where it did
        else:
            goes_on = _goes_on(plan, jobs, number, result)
            found.longer += goes_on
            found.others += not goes_on
            found.pending.append(number)
    return found


def set_jobs_aside(sweep: Path, permutations: Iterable[int], repetitions: int) -> None:
    """Moves the jobs of permutations out of the way, so that they train again.

    Their event files get names that TensorBoard does not read.

    Args:
        sweep: its directory.
        permutations: to train again.
        repetitions: how many of each, from the first.
    """
    for permutation in permutations:
        for repetition in range(repetitions):
            job = sweep / f"{permutation}/{repetition}"
            if not job.is_dir():
                continue
            number = 1
            while (aside := job.with_name(f"{job.name}.before-{number}")).exists():
                number += 1
            job.rename(aside)
            for path in aside.rglob(EVENT_FILES):
                path.rename(path.with_name(path.name.replace("tfevents", "events-before")))


def _is_of(plan: SweepPlan, jobs: JobPlan, number: int, result: JobResult) -> bool:
    """Returns whether a result belongs to the config that the job has now."""
    return result.format == FORMAT and result.fingerprint == fingerprint(
        config_of(plan, jobs, number)
    )


def _is_part(
    plan: SweepPlan, jobs: JobPlan, number: int, result: JobResult, directory: Path
) -> bool:
    """Returns whether a stopped job is the beginning of the training that it is now."""
    config = config_of(plan, jobs, number)
    planned = [one.planned for one in read_rungs(directory / jobs.directory(number))]
    marks = marks_of(config, planned[-1]) if planned else {fingerprint(config)}
    return result.format == FORMAT and result.fingerprint in marks


def marks_of(config: Mapping[str, Any], planned: int) -> set[str]:
    """Returns the fingerprints of a training, and of the same one with fewer updates.

    Args:
        config: complete and resolved.
        planned: number of updates of the shorter one.
    """
    return {fingerprint(one) for one in (config, *shorter(config, planned))}


def _goes_on(plan: SweepPlan, jobs: JobPlan, number: int, result: JobResult) -> bool:
    """Returns whether a job that has ended trains on, since it has more updates now."""
    return result.status != DIVERGED and _is_shorter(plan, jobs, number, result)


def _is_shorter(plan: SweepPlan, jobs: JobPlan, number: int, result: JobResult) -> bool:
    """Returns whether a result belongs to the same training with fewer updates."""
    config = config_of(plan, jobs, number)
    planned = result.whole_updates
    if planned >= config["trainer"]["updates"]:
        return False
    marks = [fingerprint(one) for one in shorter(config, planned)]
    return result.format == FORMAT and result.fingerprint in marks


def config_of(plan: SweepPlan, jobs: JobPlan, number: int) -> dict[str, Any]:
    """Returns the complete config of a job."""
    permutation, seed = jobs.point(number)
    return {**plan.config_of(permutation), SEED: seed}
