"""Decides which permutations of a sweep go on at the rungs of a race.

Jobs stop at rungs, which are shares of their updates. At a rung all repetitions of all permutations
that came so far are compared: a share goes on by rank, and with it everything that a paired test
cannot tell from the last one of these (as in racing: Birattari et al. 2002, "A Racing Algorithm
for Configuring Metaheuristics"; the rungs and the share are those of successive halving, Jamieson
and Talwalkar 2016).

A race starts nothing, reads no file and knows no clock: its decisions depend only on objectives,
never on the order in which they come.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from neroRL.ranking.ties import ties

Values = NDArray[np.float64]
LOST = -math.inf
UNKNOWN = math.nan


@dataclass(frozen=True)
class Rule:
    """The rule by which a race decides.

    Attributes:
        rungs: shares of the updates at which jobs stop, ascending, between 0 and 1.
        keep: share of the permutations that goes on by rank.
        least: number of permutations that goes on by rank at least.
        confidence: of the test that parts a permutation from the last one kept.
    """

    rungs: tuple[float, ...]
    keep: float
    least: int
    confidence: float

    def count(self, permutations: int) -> int:
        """Returns how many of some permutations go on by rank."""
        share = math.ceil(round(self.keep * permutations, 6))
        return min(max(share, self.least), permutations)

    def least_share(self, permutations: int, begun: float = 0.0) -> float:
        """Returns the share of all updates that is trained if only ranks let permutations go on.

        Args:
            permutations: at the start.
            begun: share of the updates that count as done before the training begins.

        >>> f"{Rule((0.1, 0.5), keep=0.5, least=1, confidence=0.9).least_share(8):.1%}"
        '42.5%'
        """
        alive, before, done = permutations, begun, 0.0
        for rung in (*self.rungs, 1.0):
            done += alive * (rung - before)
            alive, before = self.count(alive), rung
        return done / permutations / (1.0 - begun)


@dataclass(frozen=True)
class Decision:
    """A decision at a rung.

    Attributes:
        rung: its position, from 0.
        kept: the permutations that go on.
        out: those that stop there.
    """

    rung: int
    kept: Sequence[int]
    out: Sequence[int]


def survivors(objectives: Values, rule: Rule) -> list[bool]:
    """Returns which permutations go on at a rung.

    A permutation of which a job failed or diverged does not. One of which a job has no objective,
    because no episode had ended, cannot be compared and goes on. With a single repetition nothing
    can be tested, and rank alone decides.

    Args:
        objectives: of shape (permutations, repetitions); ``LOST`` for a job that failed or
            diverged, ``UNKNOWN`` where there is none.
        rule: of the race.

    >>> values = np.array([[5.0, 5.1, 4.9], [4.9, 5.2, 4.8], [1.0, 1.1, 0.9], [LOST, 9.0, 9.0]])
    >>> survivors(values, Rule((0.5,), keep=0.25, least=1, confidence=0.95))
    [True, True, False, False]
    """
    lost = np.isneginf(objectives).any(axis=1)
    goes_on = np.array(np.isnan(objectives).any(axis=1) & ~lost)
    order = _ranked(objectives, np.flatnonzero(~lost & ~goes_on))
    count = rule.count(len(objectives))
    goes_on[order[:count]] = True
    if len(order) > count:
        compared = objectives[order[count - 1 :]]
        if compared.shape[1] > 1:
            tied = ties(compared, 1.0 - rule.confidence)
        else:
            tied = list(compared[:, 0] == compared[0, 0])
        goes_on[order[count - 1 :]] |= np.array(tied)
    return [bool(one) for one in goes_on]


def _ranked(objectives: Values, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Returns rows by their mean, best first; equal ones in their order."""
    if not rows.size:
        return rows
    return rows[np.argsort(-objectives[rows].mean(axis=1), kind="stable")]


class Race:
    """The state of a race.

    Args:
        rule: how it decides.
        jobs: the jobs of each permutation, by its number, one for each repetition.
        known: what is known of jobs before the race goes on: an objective for each rung that they
            have reached, in order; ``UNKNOWN`` where they passed it unseen.
        ended: jobs that will not run any more, and whether they failed or diverged.

    >>> race = Race(Rule((0.5,), 0.5, 1, 0.95), {0: [0], 1: [1]})
    >>> race.waiting()
    [(0, 0), (0, 1)]
    >>> race.reached(0, 1.0), race.reached(1, 2.0)
    ([], [(1, 1)])
    >>> race.take_decisions()
    [Decision(rung=0, kept=[1], out=[0])]
    """

    def __init__(
        self,
        rule: Rule,
        jobs: Mapping[int, Sequence[int]],
        known: Mapping[int, Sequence[float]] | None = None,
        ended: Mapping[int, bool] | None = None,
    ) -> None:
        self.rule = rule
        self._jobs = {number: list(some) for number, some in sorted(jobs.items())}
        self._permutation = {job: number for number, some in self._jobs.items() for job in some}
        self._known = {job: list((known or {}).get(job, ())) for job in self._permutation}
        self._ended = {job: lost for job, lost in (ended or {}).items() if job in self._permutation}
        self._rung = 0  # the next one that is decided
        self._entrants = list(self._jobs)
        self._ahead: set[int] = set()  # permutations that went on before the decision
        self._decisions: list[Decision] = []
        self._handed_out: set[tuple[int, int]] = set()
        self._missing = self._count_missing()
        self._has_news = True
        self._decide()
        self._handed_out.clear()  # nobody took what that returned

    def waiting(self) -> list[tuple[int, int]]:
        """Returns rung and number of the jobs to run now that were not returned before."""
        found = self._to_run(self._entrants, self._rung)
        return [*found, *self._to_run(sorted(self._ahead), self._rung + 1)]

    def reached(self, job: int, objective: float) -> list[tuple[int, int]]:
        """Takes the objective of a job at its next rung.

        Args:
            job: its number.
            objective: ``UNKNOWN`` if there is none.

        Returns:
            Rung and number of the jobs that go on because of it.
        """
        at = len(self._known[job])
        self._known[job].append(objective)
        return self._after(job, at)

    def ended(self, job: int, *, lost: bool) -> list[tuple[int, int]]:
        """Takes the end of a job.

        Args:
            job: its number.
            lost: whether it failed or diverged.

        Returns:
            Rung and number of the jobs that go on because of it.
        """
        if job not in self._known:  # one that takes no part, but trains on
            return []
        at = len(self._known[job])
        self._ended[job] = lost
        return self._after(job, at)

    def certain(self) -> list[tuple[int, int]]:
        """Returns rung and number of jobs that go on whatever the missing objectives will be.

        These are the jobs of permutations that stay among those kept by rank even if all that are
        not known yet turn out better.
        """
        if not self._has_news or self._rung == len(self.rule.rungs):
            return []
        self._has_news = False
        known = [one for one in self._entrants if self._is_complete(one)]
        unknown = len(self._entrants) - len(known)
        table = self._table(known)
        healthy = np.flatnonzero(np.isfinite(table).all(axis=1))
        room = self.rule.count(len(self._entrants)) - unknown
        sure = [known[row] for row in _ranked(table, healthy)[: max(room, 0)]]
        new = sorted(set(sure) - self._ahead)
        self._ahead.update(new)
        return self._to_run(new, self._rung + 1)

    def rung_of(self, job: int) -> int:
        """Returns the position of the rung to which a job runs next; the end for other jobs."""
        return len(self._known.get(job, self.rule.rungs))

    def is_out(self, job: int) -> bool:
        """Returns whether a job stays where it stopped."""
        number = self._permutation.get(job)
        return number not in self._entrants_set

    @property
    def is_over(self) -> bool:
        """Whether everything was decided, and all that went on has ended."""
        running = (job for number in self._entrants for job in self._jobs[number])
        return self._rung == len(self.rule.rungs) and all(job in self._ended for job in running)

    def take_decisions(self) -> list[Decision]:
        """Returns what was decided since the last call."""
        found, self._decisions = self._decisions, []
        return found

    def _after(self, job: int, rung: int) -> list[tuple[int, int]]:
        self._has_news = True
        if rung == self._rung and self._permutation[job] in self._entrants_set:
            self._missing -= 1
        return self._decide()

    def _decide(self) -> list[tuple[int, int]]:
        """Decides as many rungs as can be, and returns what runs because of it."""
        released: list[tuple[int, int]] = []
        while not self._missing and self._rung < len(self.rule.rungs):
            goes_on = survivors(self._table(self._entrants), self.rule)
            kept = [one for one, stays in zip(self._entrants, goes_on, strict=True) if stays]
            out = [one for one, stays in zip(self._entrants, goes_on, strict=True) if not stays]
            self._decisions.append(Decision(self._rung, kept, out))
            self._rung += 1
            self._entrants = kept
            self._ahead = set()
            self._missing = self._count_missing()
            released = self._to_run(kept, self._rung)
        return released

    def _count_missing(self) -> int:
        """Counts the jobs that have to reach the next rung before it is decided."""
        self._entrants_set = set(self._entrants)
        return sum(
            not self._has_reached(job, self._rung)
            for number in self._entrants
            for job in self._jobs[number]
        )

    def _has_reached(self, job: int, rung: int) -> bool:
        return job in self._ended or len(self._known[job]) > rung

    def _is_complete(self, permutation: int) -> bool:
        return all(self._has_reached(job, self._rung) for job in self._jobs[permutation])

    def _table(self, permutations: Iterable[int]) -> Values:
        """Returns the objectives of permutations at the next rung, a row each."""
        rows = [[self._objective(job) for job in self._jobs[one]] for one in permutations]
        width = max((len(row) for row in rows), default=0)
        table = np.full((len(rows), width), UNKNOWN)
        for place, row in zip(table, rows, strict=True):
            place[: len(row)] = row
        return table

    def _objective(self, job: int) -> float:
        known = self._known[job]
        if self._rung < len(known):  # whatever became of it later, which is a matter of timing
            return known[self._rung]
        return LOST if self._ended.get(job) else UNKNOWN

    def _to_run(self, permutations: Iterable[int], rung: int) -> list[tuple[int, int]]:
        found = [
            (rung, job)
            for number in permutations
            for job in self._jobs[number]
            if not self._has_reached(job, rung) and (rung, job) not in self._handed_out
        ]
        self._handed_out.update(found)
        return sorted(found)
