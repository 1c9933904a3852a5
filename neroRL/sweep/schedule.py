"""Decides which job of a sweep runs next: asked with ``next``, told what became of each job.

A schedule starts nothing, reads no file and knows no clock, so its decisions follow from what it
is told and from nothing else. :mod:`neroRL.sweep.dispatch` asks and tells it.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter, deque
from collections.abc import Iterable
from enum import Enum

# How often a job may die before it has begun until that counts as a try.
FREE_STARTS = 2


class End(Enum):
    """The end of a try of a job."""

    FINISHED = "it came to a result"
    FAILED = "an error that another try would meet again"
    TRANSIENT = "an error of the machine, or of an environment's process"
    DIED = "its process died"
    LOST = "the processes of several jobs ended, and it is not known which job is at fault"
    INTERRUPTED = "the sweep asked it to end"


class Schedule:
    """Tells which job runs next.

    A job that was lost before it had begun is given out again. A job that died, or failed without
    its config's fault, is tried again up to ``max_retries`` times. Of jobs that were lost together
    each runs alone, which shows the one at fault; that one is tried again alone, too.

    Args:
        jobs: numbers of the jobs to run, ascending.
        max_retries: how often a job is tried again.
        fail_fast: whether the first failed job is the end of the sweep.

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
        self, jobs: Iterable[int], *, max_retries: int = 0, fail_fast: bool = False
    ) -> None:
        self._max_retries = max_retries
        self._fail_fast = fail_fast
        self._new = deque(jobs)
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
        """Whether no job starts any more, so that running ones should save and end."""
        return self._stopping

    @property
    def done(self) -> bool:
        """Whether no job is running, and none will."""
        left = self._new or self._again or self._suspects
        return not self._running and (self._stopping or not left)

    def next(self) -> int | None:
        """Returns the job to start now, or None while none is to be started."""
        if self._stopping or self._alone is not None:
            return None
        if self._suspects:
            if self._running:
                return None
            number = self._alone = self._suspects.pop(0)
        elif self._again:
            number = self._again.pop(0)
        elif self._new:
            number = self._new.popleft()
        else:
            return None
        if self._running:
            self._accompanied |= {number, next(iter(self._running))}
        self._running.add(number)
        return number

    def progressed(self, number: int) -> None:
        """Notes that a running job has begun its work.

        Args:
            number: of the job.
        """
        self._begun.add(number)

    def ended(self, number: int, end: End) -> list[int]:
        """Decides what follows from the end of a job's try.

        Args:
            number: of a running job.
            end: of its try.

        Returns:
            The jobs that this settles. They run no more: what became of their last try became of
            them. It is empty where the job is to run again, and holds others where those were to
            be tried again and will not be.
        """
        begun, accompanied = number in self._begun, number in self._accompanied
        self._running.remove(number)
        self._begun.discard(number)
        self._accompanied.discard(number)
        if number == self._alone:
            self._alone = None
        if end is End.INTERRUPTED:
            return []
        if end is End.LOST and accompanied:
            insort(self._suspects if begun else self._again, number)
            return []
        if end in (End.DIED, End.LOST) and not begun:
            self._deaths[number] += 1
            if self._deaths[number] <= FREE_STARTS:
                insort(self._again, number)
                return []
        self._tries[number] += 1
        if end in (End.FINISHED, End.FAILED):
            return self._settled(number, failed=end is End.FAILED)
        if self._tries[number] <= self._max_retries and not self._stopping:
            # Whoever broke a launch would break the next one for its company, too.
            insort(self._suspects if end is End.LOST else self._again, number)
            return []
        return self._settled(number, failed=True)

    def _settled(self, number: int, *, failed: bool) -> list[int]:
        if not (failed and self._fail_fast):
            return [number]
        self._stopping = True
        tried = [other for other in [*self._again, *self._suspects] if self._tries[other]]
        self._again.clear()
        self._suspects.clear()
        return [number, *tried]
