"""Watches the jobs of a running sweep through their files.

The files of a job show its state under every launcher: its progress while it runs, and its
``result.json`` when it has ended. A thread reads them, keeps ``results.csv`` up to date and updates
the display.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from neroRL.ranking.standing import Standing, standings
from neroRL.records.job_progress import read_progress
from neroRL.records.results import (
    STATUSES,
    STOPPED,
    JobResult,
    Status,
    read_result,
    write_table,
)
from neroRL.reporting.progress import ProgressDisplay, SweepStatus, decision_line
from neroRL.reporting.race import steps_saved, unworked
from neroRL.sweep.jobs import Job
from neroRL.sweep.race import Decision, Race

POLL_SECONDS = 0.5
TABLE_SECONDS = 0.5


def own_result(sweep: Path, job: Job) -> JobResult | None:
    """Returns the result in a job's directory; None if it is not there, not whole or another's.

    Another program may have left it there.

    Args:
        sweep: its directory.
        job: of the sweep.
    """
    result = read_result(sweep / job.directory)
    place = (job.permutation.number, job.repetition)
    return result if result and (result.permutation, result.repetition) == place else None


class Monitor:
    """Knows the state of every job of a sweep.

    Args:
        sweep: the sweep's directory.
        keys: the swept keys, for the columns of ``results.csv``.
        total: number of jobs of the sweep.
        lap: number of jobs in each repetition of the grid.
        finished: results of earlier runs of this sweep, by job number.
        display: shows the progress to the user.
        dropped: results that are no part of the sweep any more, which stay in the table.
        race: in which the jobs take part, if any.
    """

    def __init__(
        self,
        sweep: Path,
        keys: Sequence[str],
        total: int,
        lap: int,
        finished: Mapping[int, JobResult],
        display: ProgressDisplay,
        dropped: Sequence[JobResult] = (),
        race: Race | None = None,
    ) -> None:
        self._sweep = sweep
        self._keys = keys
        self._total = total
        self._display = display
        self._dropped = dropped
        self._race = race
        self._results: dict[int, JobResult] = {}
        # Jobs that wait at a rung for its decision, and how much of them is left, in jobs.
        self._waiting: dict[int, JobResult] = {}
        self._left = 0.0
        self._count: Counter[Status] = Counter()
        self._lap = lap
        self._best: Standing | None = None
        for number, result in finished.items():
            self._add(number, result)
        self._worked = len(self._results) - self._left  # before this run
        # How much of each job that has begun in this run was done before; None while not known.
        self._begun: dict[int, float | None] = {}
        self._watched: dict[int, Job] = {}
        self._lock = threading.Lock()
        self._table_lock = threading.Lock()  # so that an older table never replaces a newer one
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="sweep-monitor", daemon=True)
        self._started = time.monotonic()
        self._stale = self._warned = False
        self._next_table = 0.0

    def start(self) -> None:
        """Writes the table as it stands and begins to watch."""
        self._write_table()
        self._display.start(self._total)
        self._thread.start()

    def stop(self) -> None:
        """Reads the files one last time and ends the display."""
        self._stop.set()
        self._thread.join()
        self.poll()
        self._write_table()
        self._display.stop(self._status())

    def watch(self, jobs: Sequence[Job]) -> None:
        """Adds jobs that are about to be launched."""
        with self._lock:
            self._watched.update({job.number: job for job in jobs})
            for job in jobs:
                before = self._begun.setdefault(job.number, None)
                if before is None and job.number in self._results:
                    self._begun[job.number] = (
                        0.0  # its work is counted, as of before or of this run
                    )
                self._forget(job.number)

    def settled(self, job: Job, result: JobResult) -> None:
        """Takes the result that a job ended with.

        Its file may not have been written, or may have held the result of an earlier command's job,
        which this one waited for.
        """
        with self._lock:
            if self._results.get(job.number) != result:
                self._note(job, result)
                self._stale = True

    def decided(self, decision: Decision) -> None:
        """Shows what a race has decided."""
        assert self._race is not None
        with self._lock:
            for number in [number for number in self._waiting if self._race.is_out(number)]:
                self._wait_no_more(number)
            stopped = [one for one in self._results.values() if one.status == STOPPED]
            saved = steps_saved(stopped) - steps_saved(self._waiting.values())
        rung = self._race.rule.rungs[decision.rung]
        self._display.tell(decision_line(rung, decision.kept, decision.out, saved))

    def results(self) -> list[JobResult]:
        """Returns the results known so far, in the order of the sweep."""
        with self._lock:
            return [self._results[number] for number in sorted(self._results)]

    def poll(self) -> None:
        """Reads the files of the watched jobs once."""
        with self._lock:
            for job in list(self._watched.values()):
                result = own_result(self._sweep, job)
                if result is not None:
                    self._note(job, result)
                    self._stale = True
        # Writing the table of a large sweep takes long: spend at most a tenth of the time on it.
        if self._stale and time.monotonic() > self._next_table:
            self._write_table()
        self._display.update(self._status())

    def _watch(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            self.poll()

    def _note(self, job: Job, result: JobResult) -> None:
        self._add(job.number, result)
        self._watched.pop(job.number, None)
        self._display.job_finished(result)

    def _forget(self, number: int) -> None:
        """Forgets the result of a job that runs again."""
        earlier = self._results.pop(number, None)
        if earlier is not None:
            self._count[earlier.status] -= 1
        self._wait_no_more(number)

    def _wait_no_more(self, number: int) -> None:
        waiting = self._waiting.pop(number, None)
        if waiting is not None:
            self._left -= unworked(waiting)

    def _add(self, number: int, result: JobResult) -> None:
        self._forget(number)
        self._results[number] = result
        self._count[result.status] += 1
        if result.status == STOPPED and self._race is not None and not self._race.is_out(number):
            self._waiting[number] = result
            self._left += unworked(result)

    def _write_table(self) -> None:
        """Writes the table and finds its best permutation."""
        with self._table_lock:
            began = time.monotonic()
            self._stale = False  # before the results are taken: others may arrive meanwhile
            results = self.results()
            self._best = next(iter(standings(results, self._lap)), None)
            try:
                write_table(self._sweep, self._keys, [*results, *self._dropped])
            except OSError as reason:  # on a full disk the jobs' own results still count
                self._stale = True
                if not self._warned:
                    print(f"warning: {reason}", file=sys.stderr)
                self._warned = True
            ended = time.monotonic()
            self._next_table = ended + max(9.0 * (ended - began), TABLE_SECONDS)

    def _status(self) -> SweepStatus:
        running = {}
        with self._lock:
            count = self._count.copy()
            paused, left = len(self._waiting), self._left
            for job in self._watched.values():
                progress = read_progress(self._sweep / job.directory)
                if progress is not None:
                    running[job.directory] = progress
                    if self._begun[job.number] is None:
                        self._begun[job.number] = progress.share_before
            before = self._worked + sum(filter(None, self._begun.values()))
        count[STOPPED] -= paused
        return SweepStatus(
            total=self._total,
            ended={status: count[status] for status in STATUSES},
            paused=paused,
            worked=paused - left,
            worked_before=before,
            running=running,
            best=self._best,
            elapsed_seconds=time.monotonic() - self._started,
        )
