"""Connects a schedule with the runner of its jobs: hands out jobs and records their outcomes.

The files of a job tell how it ended. A runner adds only what files cannot show: that a process
died, and why.
"""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from neroRL.files import keep_beside
from neroRL.records.job_progress import (
    PROGRESS_FILE,
    JobProgress,
    read_progress,
    seconds_worked,
)
from neroRL.records.results import (
    COMPLETED,
    DIVERGED,
    FAILED,
    RESULT_FILE,
    STOPPED,
    JobResult,
    read_result,
)
from neroRL.sweep.jobs import Job, JobPlan
from neroRL.sweep.monitor import Monitor, own_result
from neroRL.sweep.schedule import End, Schedule

NO_RESULT = "the job ended without a result"
# A network file system may show the files of another machine so much later.
LATE_SECONDS = 3.0


class Runner(Protocol):
    """Runs jobs, in processes of this machine or on a cluster."""

    def run(self, dispatch: Dispatch) -> None:
        """Runs all jobs that it is handed, and reports how each ended."""


class Dispatch:
    """Hands out the jobs of a sweep.

    Args:
        schedule: decides which job runs next.
        jobs: all jobs of the sweep.
        sweep: its directory.
        monitor: watches the jobs that run.
    """

    def __init__(self, schedule: Schedule, jobs: JobPlan, sweep: Path, monitor: Monitor) -> None:
        self._schedule = schedule
        self._jobs = jobs
        self._sweep = sweep
        self._monitor = monitor
        self._untold: dict[int, JobResult] = {}  # failures of jobs that left no result

    @property
    def stopping(self) -> bool:
        """Returns whether running jobs should save and end."""
        return self._schedule.stopping

    def start_next(self) -> Job | None:
        """Hands out the next job, without the result and progress of its earlier tries.

        The result of a training that was completed, of fewer updates or another config, is kept
        beside, and so is a file that cannot be read.

        Returns:
            The job; None while there is none to start.
        """
        number = self._schedule.next()
        if number is None:
            return None
        job = self._jobs[number]
        share = self._schedule.share(number)
        if share is not None:
            job = replace(job, overrides=(*job.overrides, f"hydra.sweeper.job.rung={share}"))
        self._untold.pop(number, None)
        directory = self.directory(job)
        earlier = read_result(directory)
        if earlier is None or earlier.status == COMPLETED:
            keep_beside(directory / RESULT_FILE)
        for name in (RESULT_FILE, PROGRESS_FILE):
            (directory / name).unlink(missing_ok=True)
        self._monitor.watch([job])
        return job

    def directory(self, job: Job) -> Path:
        """Returns the directory of a job."""
        return self._sweep / job.directory

    def has_begun(self, job: Job) -> bool:
        """Returns whether a job has written its progress or its result."""
        directory = self.directory(job)
        return read_progress(directory) is not None or read_result(directory) is not None

    def ended(
        self,
        job: Job,
        end: End,
        error: str | None = None,
        at: float | None = None,
        returned: float | None = None,
    ) -> None:
        """Takes the end of a job's try, and records the failures that this settles.

        Args:
            job: that was handed out.
            end: of the try, as the runner saw it; the job's own result takes precedence.
            error: that ended it, if the runner knows.
            at: time of the end in seconds since 1970, if the runner knows.
            returned: when the runner has learnt of the end, by ``time.monotonic``; None for now.
        """
        result = self._result(job, end, time.monotonic() if returned is None else returned)
        if result is not None or self.has_begun(job):
            self._schedule.progressed(job.number)
        if result is None:
            seconds = seconds_worked(self.directory(job), at)
            self._untold[job.number] = self._failure(job, error or NO_RESULT, seconds)
            end = End.FAILED if end is End.FINISHED else end
        else:
            end = _end_of(result)
            self._monitor.settled(job, result)
        objective = result.objective if result is not None else None
        for number in self._schedule.ended(job.number, end, objective):
            if number in self._untold:
                self._record(self._jobs[number], self._untold[number])
        self._monitor.poll()
        for decision in self._schedule.take_decisions():
            self._monitor.decided(decision)

    def _result(self, job: Job, end: End, returned: float) -> JobResult | None:
        """Returns the result that a job has left; waits if it ended well, and has none yet."""
        while (result := own_result(self._sweep, job)) is None and end is End.FINISHED:
            if time.monotonic() > returned + LATE_SECONDS:
                break
            with contextlib.suppress(OSError):
                list(self.directory(job).iterdir())  # asks the server of a network file system
            time.sleep(LATE_SECONDS / 20)
        return result

    def _failure(self, job: Job, error: str, seconds: float) -> JobResult:
        """Returns the result of a job that could not write it itself."""
        told = read_progress(self.directory(job)) or JobProgress(0, 0, 0, 0.0, None)
        return JobResult(
            permutation=job.permutation.number,
            repetition=job.repetition,
            seed=job.seed,
            status=FAILED,
            overrides=job.values,
            updates=told.update,
            env_steps=told.env_steps,
            wall_seconds=seconds,
            directory=job.directory,
            error=error,
            planned_updates=told.updates or None,
            resume_at=told.resume_at,
        )

    def _record(self, job: Job, failed: JobResult) -> None:
        directory = self.directory(job)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            keep_beside(directory / RESULT_FILE)  # it cannot be read, or is another's
            failed.write(directory)
        except OSError as reason:
            print(f"warning: {job.directory}: {reason}", file=sys.stderr)
        self._monitor.settled(job, failed)


def _end_of(result: JobResult) -> End:
    if result.status == FAILED:
        return End.TRANSIENT if result.transient else End.FAILED
    return {STOPPED: End.PAUSED, DIVERGED: End.DIVERGED}.get(result.status, End.FINISHED)
