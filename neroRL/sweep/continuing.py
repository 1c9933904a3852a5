"""Finds the jobs of a sweep that are done, from the results of an earlier run."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from neroRL.errors import RecordError
from neroRL.files import keep_beside
from neroRL.locks import HOLDER_FILE, held
from neroRL.records.results import FAILED, RESULT_FILE, STOPPED, JobResult, load_result
from neroRL.reporting.tensorboard import EVENT_FILES
from neroRL.sweep.jobs import JobPlan
from neroRL.sweep.plan import SweepPlan
from neroRL.sweep.trainings import Trainings
from neroRL.texts import counted


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
    found, trainings = Inventory(), Trainings(plan, jobs, directory)
    for number in range(len(jobs)):
        result = _read(trainings.directory(number), found.damaged)
        permutation = jobs.valid[number % len(jobs.valid)]
        if number >= asked or not plan.is_asked_for(permutation):
            if result is None:
                continue
            if trainings.go_on(number, result):
                found.longer += 1  # all jobs of a sweep have the same updates
                found.pending.append(number)
            elif trainings.have(number, result):
                found.finished[number] = result
            else:
                found.others.append(number)
        elif result is None or (result.status == FAILED and plan.options.retry_failed):
            found.pending.append(number)
        elif result.status == STOPPED and trainings.begin_with(number, result):
            found.longer += not plan.options.races
            if plan.options.races:
                found.finished[number] = result
            else:
                found.pending.append(number)
        elif trainings.have(number, result):
            found.finished[number] = result
        else:
            found.pending.append(number)
            if trainings.go_on(number, result):
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

    Raises:
        OutputError: another process has begun to train one.
    """
    for permutation in permutations:
        for repetition in range(repetitions):
            job = sweep / f"{permutation}/{repetition}"
            if not job.is_dir():
                continue
            number = 1
            while (aside := job.with_name(f"{job.name}.before-{number}")).exists():
                number += 1
            with held(job, "training"):
                job.rename(aside)
            (aside / HOLDER_FILE).unlink(missing_ok=True)
            for path in aside.rglob(EVENT_FILES):
                path.rename(path.with_name(path.name.replace("tfevents", "events-before")))
