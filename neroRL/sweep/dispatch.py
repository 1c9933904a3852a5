"""Between a schedule and whoever runs its jobs: hands jobs out, and records what became of them.

What became of a job is what its files say. A runner tells only what files cannot: that a process
died, and of what.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Protocol

from neroRL.records.job_progress import PROGRESS_FILE, read_progress, seconds_worked
from neroRL.records.results import FAILED, RESULT_FILE, JobResult, read_result
from neroRL.sweep.jobs import Job, JobPlan
from neroRL.sweep.monitor import Monitor
from neroRL.sweep.schedule import End, Schedule

NO_RESULT = "the job ended without a result"


class Runner(Protocol):
    """Runs jobs in its own way: in processes of this machine, on a cluster."""

    def run(self, dispatch: Dispatch) -> None:
        """Runs what it is handed until there is no more, and tells how each job ended."""


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
        self._untold: dict[int, JobResult] = {}  # failures that the jobs left no result of

    @property
    def stopping(self) -> bool:
        """Whether running jobs should save and end."""
        return self._schedule.stopping

    @property
    def done(self) -> bool:
        """Whether no job is running, and none will."""
        return self._schedule.done

    def start_next(self) -> Job | None:
        """Clears what earlier tries of the next job left, and hands it out.

        Returns:
            The job; None while none is to be started.
        """
        number = self._schedule.next()
        if number is None:
            return None
        job = self._jobs[number]
        self._untold.pop(number, None)
        for name in (RESULT_FILE, PROGRESS_FILE):
            (self.directory(job) / name).unlink(missing_ok=True)
        self._monitor.watch([job])
        return job

    def directory(self, job: Job) -> Path:
        """Returns the directory of a job."""
        return self._sweep / job.directory

    def has_begun(self, job: Job) -> bool:
        """Whether a job that was handed out has left something."""
        directory = self.directory(job)
        return read_progress(directory) is not None or read_result(directory) is not None

    def ended(self, job: Job, end: End, error: str | None = None, at: float | None = None) -> None:
        """Takes the end of a job's try, and records what is settled by it.

        Args:
            job: was handed out.
            end: of the try, as the runner saw it; the job's result, where there is one, counts.
            error: what ended it, where the runner knows.
            at: when it ended, in seconds since 1970, where the runner knows.
        """
        result = read_result(self.directory(job))
        if result is not None or self.has_begun(job):
            self._schedule.progressed(job.number)
        if result is None:
            seconds = seconds_worked(self.directory(job), at)
            self._untold[job.number] = self._failure(job, error or NO_RESULT, seconds)
            end = End.FAILED if end is End.FINISHED else end
        elif result.status == FAILED:
            end = End.TRANSIENT if result.transient else End.FAILED
        else:
            end = End.FINISHED
        for number in self._schedule.ended(job.number, end):
            if number in self._untold:
                self._record(self._jobs[number], self._untold[number])
        self._monitor.poll()

    def _failure(self, job: Job, error: str, seconds: float) -> JobResult:
        """The result of a job that could not write it itself."""
        return JobResult(
            permutation=job.permutation.number,
            repetition=job.repetition,
            seed=job.seed,
            status=FAILED,
            overrides=job.values,
            wall_seconds=seconds,
            directory=job.directory,
            error=error,
        )

    def _record(self, job: Job, failed: JobResult) -> None:
        directory = self.directory(job)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            failed.write(directory)
        except OSError as reason:
            print(f"warning: {job.directory}: {reason}", file=sys.stderr)
            self._monitor.note(job, failed)
