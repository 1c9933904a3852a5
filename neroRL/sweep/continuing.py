"""Finds the jobs of a sweep that are done, from the results of an earlier run."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neroRL.config.budget import shorter
from neroRL.config.weights import weights_digest
from neroRL.errors import RecordError
from neroRL.files import keep_beside
from neroRL.records.results import (
    DIVERGED,
    FAILED,
    FORMAT,
    RESULT_FILE,
    STOPPED,
    JobResult,
    fingerprint,
    load_result,
)
from neroRL.records.rungs import read_rungs
from neroRL.reporting.summary import counted
from neroRL.reporting.tensorboard import EVENT_FILES
from neroRL.sweep.jobs import SEED, JobPlan
from neroRL.sweep.plan import SweepPlan


@dataclass
class Inventory:
    """The finished and the pending jobs at the start of a sweep.

    Attributes:
        finished: the results of the finished jobs, by number. In a race, those that stopped at a
            rung are among them.
        pending: numbers of the jobs to run, ascending.
        others: numbers of the jobs whose result is of another config or version, pending or not.
        longer: number of pending jobs that ended with fewer updates.
        damaged: what is wrong with results that cannot be read.
    """

    finished: dict[int, JobResult] = field(default_factory=dict)
    pending: list[int] = field(default_factory=list)
    others: list[int] = field(default_factory=list)
    longer: int = 0
    damaged: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Returns the number of jobs."""
        return len(self.finished) + len(self.pending)


def inventory(plan: SweepPlan, jobs: JobPlan, directory: Path, asked: int) -> Inventory:
    """Reads the results of a sweep's jobs.

    Args:
        plan: of the current command.
        jobs: of the sweep, with the repetitions that only an earlier command asked for.
        directory: in which the jobs have theirs.
        asked: how many of the jobs, from the first, are asked for now.

    Raises:
        OSError: the machine cannot read a result now.
    """
    found = Inventory()
    for number in range(len(jobs)):
        result = _read(directory / jobs.directory(number), found.damaged)
        permutation = jobs.valid[number % len(jobs.valid)]
        if number >= asked or not plan.is_asked_for(permutation):
            if result is None:
                continue
            if _goes_on(plan, jobs, number, result):
                found.longer += 1  # all jobs of a sweep have the same updates
                found.pending.append(number)
            elif _is_of_job(plan, jobs, number, result, directory):
                found.finished[number] = result
            else:
                found.others.append(number)
        elif result is None or (result.status == FAILED and plan.options.retry_failed):
            found.pending.append(number)
        elif result.status == STOPPED and _is_part(plan, jobs, number, result, directory):
            found.longer += not plan.options.races
            if plan.options.races:
                found.finished[number] = result
            else:
                found.pending.append(number)
        elif _is_of_job(plan, jobs, number, result, directory):
            found.finished[number] = result
        else:
            found.pending.append(number)
            if _goes_on(plan, jobs, number, result):
                found.longer += 1
            else:
                found.others.append(number)
    return found


def _read(job: Path, damaged: list[str]) -> JobResult | None:
    """Returns a job's result, if there is a whole one, and notes what is wrong with another."""
    try:
        return load_result(job)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except RecordError as error:
        damaged.append(str(error))
        return None


def put_beside(jobs: JobPlan, found: Inventory, directory: Path) -> None:
    """Puts results beside that are not of the jobs that have them, so that none is counted.

    Args:
        jobs: of the sweep.
        found: where they stand; it tells what is put beside.
        directory: in which the jobs have theirs.
    """
    for message in found.damaged:
        print(f"warning: {message}", file=sys.stderr)
    for number in found.others:
        keep_beside(directory / jobs.directory(number) / RESULT_FILE)
    again = len(set(found.pending).intersection(found.others))
    for count, told in (
        (again, "these run again"),
        (len(found.others) - again, "they are kept beside and do not count"),
    ):
        if count:
            results = f"results of {counted(count, 'job')} are of another config or version"
            print(f"warning: {results}; {told}", file=sys.stderr)


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


def _is_of_job(
    plan: SweepPlan, jobs: JobPlan, number: int, result: JobResult, directory: Path
) -> bool:
    """Returns whether a result is one of the training that the job is now."""
    if result.status == STOPPED:
        return _is_part(plan, jobs, number, result, directory)
    if result.status == DIVERGED and _is_shorter(plan, jobs, number, result):
        return True  # with more updates it would diverge where it did
    return result.status == FAILED or _is_of(plan, jobs, number, result)


def _is_of(plan: SweepPlan, jobs: JobPlan, number: int, result: JobResult) -> bool:
    """Returns whether a result belongs to the config that the job has now."""
    return result.format == FORMAT and result.fingerprint in marks_of(config_of(plan, jobs, number))


def _is_part(
    plan: SweepPlan, jobs: JobPlan, number: int, result: JobResult, directory: Path
) -> bool:
    """Returns whether a stopped job is the beginning of the training that it is now."""
    config = config_of(plan, jobs, number)
    planned = [one.planned for one in read_rungs(directory / jobs.directory(number))]
    configs = [config, *(shorter(config, planned[-1]) if planned else [])]
    return result.format == FORMAT and result.fingerprint in marks_of(*configs)


def marks_of(*configs: Mapping[str, Any]) -> set[str]:
    """Returns the fingerprints of trainings; earlier versions left the weights out.

    Args:
        configs: complete and resolved.

    Raises:
        CheckpointError: weights that they begin with cannot be read.
    """
    marks = set()
    for config in configs:
        model = config["model"]
        weights = weights_digest(model["load_model"], model["model_path"])
        marks |= {fingerprint(config, known) for known in {None, weights}}
    return marks


def _goes_on(plan: SweepPlan, jobs: JobPlan, number: int, result: JobResult) -> bool:
    """Returns whether a job that has ended trains on, since it has more updates now."""
    return result.status != DIVERGED and _is_shorter(plan, jobs, number, result)


def _is_shorter(plan: SweepPlan, jobs: JobPlan, number: int, result: JobResult) -> bool:
    """Returns whether a result belongs to the same training with fewer updates."""
    config = config_of(plan, jobs, number)
    planned = result.whole_updates
    if planned >= config["trainer"]["updates"]:
        return False
    marks = marks_of(*shorter(config, planned))
    return result.format == FORMAT and result.fingerprint in marks


def config_of(plan: SweepPlan, jobs: JobPlan, number: int) -> dict[str, Any]:
    """Returns the complete config of a job."""
    permutation, seed = jobs.point(number)
    return {**plan.config_of(permutation), SEED: seed}
