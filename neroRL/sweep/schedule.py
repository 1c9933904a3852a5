"""Decides which job of a sweep runs next, and how far.

A schedule is asked with ``next`` and told how each job ended. It starts nothing, reads no file and
knows no clock, so its decisions depend only on what it is told. :mod:`neroRL.sweep.dispatch` is its
caller.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections import Counter
from collections.abc import Iterable
from enum import Enum

from neroRL.sweep.race import UNKNOWN, Decision, Race

# Number of times a job may die before it has begun without counting as a try.
FREE_STARTS = 2


class End(Enum):
    """The end of a try of a job."""

    FINISHED = "it has a result"
    DIVERGED = "it has a result, and its loss was not finite"
    PAUSED = "it stopped at a rung"
    FAILED = "an error that another try would meet again"
    TRANSIENT = "an error of the machine, or of an environment's process"
    DIED = "its process died"
    LOST = "the processes of several jobs ended, and it is not known which job is at fault"
    INTERRUPTED = "the sweep asked it to end"


class Schedule:
    """The order of a sweep's jobs, with their retries.

    - A job that died before it had begun is handed out again.
    - A job that died, or failed through no fault of its config, is tried again up to
      ``max_retries`` times.
    - Jobs that were lost together run again one at a time, which shows the one at fault. Its
      further tries run alone, too.
    - In a race, jobs run from rung to rung, the lower ones first. While there is nothing else to
      do, jobs go on that will stay in the race whatever happens to the others.

    Args:
        jobs: numbers of the jobs to run; in a race, those that are waiting in it.
        max_retries: additional tries of a job.
        fail_fast: whether the first failed job ends the sweep.
        race: in which the jobs take part, if any.

    >>> schedule = Schedule([4, 7], max_retries=1)
    >>> schedule.next(), schedule.next(), schedule.next()
    (4, 7, None)
    >>> schedule.progressed(4)
    >>> schedule.ended(4, End.DIED)
    []
    >>> schedule.next()
    4
    >>> schedule.ended(7, End.FAILED), schedule.ended(4, End.FINISHED)
    ([7], [4])
    >>> schedule.done
    True
    """

    def __init__(
        self,
        jobs: Iterable[int],
        *,
        max_retries: int = 0,
        fail_fast: bool = False,
        race: Race | None = None,
    ) -> None:
        self._max_retries = max_retries
        self._fail_fast = fail_fast
        self._race = race
        # Rungs and numbers; a sorted list is a heap.
        self._new = sorted((race.rung_of(job) if race else 0, job) for job in jobs)
        self._again: list[int] = []  # ascending
        self._suspects: list[int] = []  # ascending
        self._alone: int | None = None
        self._running: set[int] = set()
        self._accompanied: set[int] = set()
        self._begun: set[int] = set()
        self._deaths: Counter[int] = Counter()  # before the job had begun
        self._tries: Counter[int] = Counter()
        self._stopping = False

    @property
    def stopping(self) -> bool:
        """Returns whether the sweep is stopping, so that running jobs should save and end."""
        return self._stopping

    @property
    def done(self) -> bool:
        """Returns whether no job is running or left to run."""
        left = self._new or self._again or self._suspects
        return not self._running and (self._stopping or not left)

    def next(self) -> int | None:
        """Returns the job to start now; None while there is none."""
        if self._stopping or self._alone is not None:
            return None
        if self._suspects:
            if self._running:
                return None
            number = self._alone = self._suspects.pop(0)
        elif self._again:
            number = self._again.pop(0)
        else:
            if not self._new and self._race is not None:
                self._release(self._race.certain())
            if not self._new:
                return None
            _, number = heapq.heappop(self._new)
        if self._running:
            self._accompanied |= {number, next(iter(self._running))}
        self._running.add(number)
        return number

    def share(self, number: int) -> float | None:
        """Returns the share of its updates that a job runs up to; None without a race.

        Args:
            number: of a job that was handed out.
        """
        if self._race is None:
            return None
        rungs, rung = self._race.rule.rungs, self._race.rung_of(number)
        return rungs[rung] if rung < len(rungs) else 1.0

    def take_decisions(self) -> list[Decision]:
        """Returns what the race has decided since the last call."""
        return self._race.take_decisions() if self._race is not None else []

    def progressed(self, number: int) -> None:
        """Notes that a running job has begun its work.

        Args:
            number: of the job.
        """
        self._begun.add(number)

    def ended(self, number: int, end: End, objective: float | None = None) -> list[int]:
        """Notes how a try ended, and decides whether the job runs again.

        Args:
            number: of a running job.
            end: of its try.
            objective: of a job that stopped at a rung, if it has any.

        Returns:
            The jobs that are now settled, with the outcome of their last try. Empty if the job
            runs again. With ``fail_fast`` it also holds the jobs whose further tries are cancelled.
        """
        begun, accompanied = number in self._begun, number in self._accompanied
        self._running.remove(number)
        self._begun.discard(number)
        self._accompanied.discard(number)
        if number == self._alone:
            self._alone = None
        if end is End.INTERRUPTED:
            return []
        if end is End.PAUSED:
            assert self._race is not None
            del self._tries[number], self._deaths[number]  # of the way to this rung
            self._release(self._race.reached(number, UNKNOWN if objective is None else objective))
            return [number]
        if end is End.LOST and accompanied:
            insort(self._suspects if begun else self._again, number)
            return []
        if end in (End.DIED, End.LOST) and not begun:
            self._deaths[number] += 1
            if self._deaths[number] <= FREE_STARTS:
                insort(self._again, number)
                return []
        self._tries[number] += 1
        if end in (End.FINISHED, End.DIVERGED, End.FAILED):
            return self._settled(number, end)
        if self._tries[number] <= self._max_retries and not self._stopping:
            # A job that broke a launch would break it again for the jobs beside it.
            insort(self._suspects if end is End.LOST else self._again, number)
            return []
        return self._settled(number, End.FAILED)

    def _release(self, jobs: Iterable[tuple[int, int]]) -> None:
        for job in jobs:
            heapq.heappush(self._new, job)

    def _settled(self, number: int, end: End) -> list[int]:
        if self._race is not None:
            self._release(self._race.ended(number, lost=end is not End.FINISHED))
        if not (end is End.FAILED and self._fail_fast):
            return [number]
        self._stopping = True
        tried = [other for other in [*self._again, *self._suspects] if self._tries[other]]
        self._again.clear()
        self._suspects.clear()
        return [number, *tried]
