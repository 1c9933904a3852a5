"""Finds the jobs of a sweep that are done, from the results of an earlier run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from neroRL.records.results import FAILED, FORMAT, JobResult, fingerprint, read_result
from neroRL.sweep.jobs import SEED, JobPlan
from neroRL.sweep.plan import SweepPlan


@dataclass
class Standing:
    """The finished and the pending jobs at the start of a sweep.

    Attributes:
        finished: the results of the finished jobs, by number.
        pending: numbers of the jobs to run, ascending.
        others: number of pending jobs that have a result of another config or version.
    """

    finished: dict[int, JobResult] = field(default_factory=dict)
    pending: list[int] = field(default_factory=list)
    others: int = 0

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
        if number >= asked:
            if result is not None:
                found.finished[number] = result
        elif result is None or (result.status == FAILED and plan.options.retry_failed):
            found.pending.append(number)
        elif result.status == FAILED or _is_of(plan, jobs, number, result):
            found.finished[number] = result
        else:
            found.others += 1
            found.pending.append(number)
    return found


def _is_of(plan: SweepPlan, jobs: JobPlan, number: int, result: JobResult) -> bool:
    """Returns whether a result belongs to the config that the job has now."""
    permutation, seed = jobs.point(number)
    config = {**plan.config_of(permutation), SEED: seed}
    return result.format == FORMAT and result.fingerprint == fingerprint(config)
