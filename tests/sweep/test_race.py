"""Tests a race without jobs: who goes on follows from objectives, never from their order."""

from __future__ import annotations

import doctest
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from neroRL.records.results import COMPLETED, STOPPED, JobResult
from neroRL.sweep import race as module
from neroRL.sweep.continuing import Inventory
from neroRL.sweep.race import LOST, UNKNOWN, Race, Rule, survivors
from neroRL.sweep.racing import may_train
from neroRL.sweep.schedule import End, Schedule


def test_the_examples_run():
    assert doctest.testmod(module).failed == 0
    assert doctest.testmod(module).attempted >= 6


def test_what_may_still_train_is_all_but_what_is_out_or_done():
    """Permutation 0 leads at the rung, 1 is out, 2 has yet to come there, 3 has completed."""
    rule = Rule((0.5,), keep=0.5, least=1, confidence=0.9)
    known = {0: [5.0], 1: [1.0], 3: [9.0]}
    stopped = {job: JobResult(job, 0, 1, STOPPED, rung=0.5) for job in (0, 1)}
    done = JobResult(3, 0, 1, COMPLETED, objective=9.0)
    undecided = Race(rule, {job: [job] for job in range(4)}, known, {3: False})
    found = Inventory(finished={**stopped, 3: done}, pending=[2])
    assert may_train(undecided, found) == [0, 1, 2]
    decided = Race(rule, {0: [0], 1: [1]}, {0: [5.0], 1: [1.0]})
    decided.take_decisions()
    assert may_train(decided, Inventory(finished={1: stopped[1]}, pending=[0])) == [0]


def test_the_share_is_rounded_up_and_the_least_number_holds():
    rule = Rule((0.5,), keep=0.3, least=2, confidence=0.9)
    assert [rule.count(number) for number in (1, 2, 3, 6, 7, 10, 11)] == [1, 2, 2, 2, 3, 3, 4]


@given(seed=st.integers(0, 2**32 - 1), repetitions=st.integers(2, 6))
def test_what_goes_on_beyond_the_share_is_what_a_paired_t_test_cannot_part(seed, repetitions):
    """With no more than three differences, the test borrows no variance: it is scipy's."""
    rng = np.random.default_rng(seed)
    objectives = rng.normal(rng.normal(size=(4, 1)), 0.5, size=(4, repetitions))
    rule = Rule((0.5,), keep=0.25, least=1, confidence=0.9)
    best = int(objectives.mean(axis=1).argmax())
    expected = [
        row == best
        or ttest_rel(objectives[best], objectives[row], alternative="greater").pvalue > 0.1
        for row in range(4)
    ]
    assert survivors(objectives, rule) == expected


def test_a_permutation_with_a_lost_job_stops_and_one_without_an_episode_goes_on():
    objectives = np.array([[LOST, 100.0], [UNKNOWN, 0.0], [1.0, 1.1], [0.0, 0.1], [LOST, UNKNOWN]])
    rule = Rule((0.5,), keep=0.2, least=1, confidence=0.9)
    assert survivors(objectives, rule) == [False, True, True, False, False]


def test_one_repetition_is_decided_by_rank_and_equal_ones_stay_together():
    objectives = np.array([[1.0], [3.0], [2.0], [3.0], [2.0]])
    rule = Rule((0.5,), keep=0.5, least=1, confidence=0.9)
    assert survivors(objectives, rule) == [False, True, True, True, True]


def test_a_job_that_takes_no_part_trains_to_its_end():
    """As one of a repetition that the command does not ask for, and that has more updates now."""
    race = Race(Rule((0.5,), keep=0.5, least=1, confidence=0.9), {0: [0], 1: [1]})
    schedule = Schedule([0, 1, 2], race=race)
    assert [schedule.next() for _ in range(3)] == [0, 1, 2]
    assert [schedule.share(job) for job in range(3)] == [0.5, 0.5, 1.0]
    assert schedule.ended(2, End.FINISHED) == [2]
    schedule.ended(0, End.PAUSED, 1.0)
    schedule.ended(1, End.PAUSED, 2.0)
    assert schedule.next() == 1
    schedule.ended(1, End.FINISHED)
    assert schedule.done
    assert race.is_over


# Who stopped where, and who failed: the rungs of each job; the last is the end of the training.
PERMUTATIONS, REPETITIONS = 7, 3
RULE = Rule((0.2, 0.5), keep=0.4, least=2, confidence=0.8)
STAGES = len(RULE.rungs) + 1


class Truth:
    """What jobs would show at each rung, by stage, permutation and repetition."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        shape = (STAGES, PERMUTATIONS, REPETITIONS)
        means = rng.normal(size=(STAGES, PERMUTATIONS, 1))
        self.values = rng.normal(means, 0.3, size=shape)
        fails = rng.random(shape) < 0.03
        self.values[rng.random(shape) < 0.03] = UNKNOWN
        self.values[np.maximum.accumulate(fails)] = LOST

    def of(self, job: int, stage: int) -> float:
        repetition, permutation = divmod(job, PERMUTATIONS)
        return float(self.values[stage, permutation, repetition])

    def expected(self) -> dict[int, int]:
        """Returns for each job the stage after which it ended, by a loop over rungs."""
        stages = dict.fromkeys(range(PERMUTATIONS * REPETITIONS), 0)
        entrants = list(range(PERMUTATIONS))
        for stage in range(STAGES):
            for permutation in entrants:
                for repetition in range(REPETITIONS):
                    job = repetition * PERMUTATIONS + permutation
                    if stage == 0 or self.of(job, stage - 1) != LOST:
                        stages[job] = stage
            if stage < STAGES - 1 and entrants:
                goes_on = survivors(self.values[stage, entrants], RULE)
                entrants = [one for one, stays in zip(entrants, goes_on, strict=True) if stays]
        return stages


JOBS = {
    permutation: [lap * PERMUTATIONS + permutation for lap in range(REPETITIONS)]
    for permutation in range(PERMUTATIONS)
}


class Simulation:
    """Runs a race with some workers, whose jobs take random times, and breaks it off at times."""

    def __init__(self, truth: Truth, workers: int, seed: int, breaks: float) -> None:
        self._truth, self._workers, self._breaks = truth, workers, breaks
        self._random = random.Random(seed)
        self.known: dict[int, list[float]] = {job: [] for some in JOBS.values() for job in some}
        self.lost: dict[int, bool] = {}
        self.stages: dict[int, int] = {}
        self.idle_while_certain = False

    def run(self) -> None:
        while not self._run_once():
            pass

    def _run_once(self) -> bool:
        """Returns whether the race was run to its end."""
        race = Race(RULE, JOBS, self.known, self.lost)
        schedule = Schedule([job for _, job in race.waiting()], race=race)
        running: list[int] = []
        while True:
            while len(running) < self._workers and (job := schedule.next()) is not None:
                running.append(job)
            assert race.is_over == (not running)
            if not running:
                assert schedule.done
                return True
            if self._random.random() < self._breaks:
                return False
            self._end(schedule, running.pop(self._random.randrange(len(running))))

    def _end(self, schedule: Schedule, job: int) -> None:
        stage = len(self.known[job])
        share = schedule.share(job)
        assert share == [*RULE.rungs, 1.0][stage]
        self.stages[job] = stage
        value = self._truth.of(job, stage)
        if value == LOST:
            self.lost[job] = True
            schedule.ended(job, End.DIVERGED if job % 2 else End.FAILED)
        elif share < 1.0:
            self.known[job].append(value)
            schedule.ended(job, End.PAUSED, None if np.isnan(value) else value)
        else:
            self.lost[job] = False
            schedule.ended(job, End.FINISHED)


@settings(max_examples=150)
@given(
    seed=st.integers(0, 2**32 - 1),
    order=st.integers(0, 2**32 - 1),
    workers=st.integers(1, 30),
    breaks=st.sampled_from([0.0, 0.05]),
)
def test_the_same_jobs_stop_whatever_the_workers_the_order_and_the_interruptions(
    seed, order, workers, breaks
):
    truth = Truth(seed)
    simulation = Simulation(truth, workers, order, breaks)
    simulation.run()
    assert simulation.stages == truth.expected()


def test_a_worker_goes_on_with_what_no_decision_can_make_useless():
    """Six of eight are known, four go on: the best two stay among them whatever comes."""
    race = Race(Rule((0.5,), 0.5, 1, 0.9), {number: [number] for number in range(8)})
    schedule = Schedule([job for _, job in race.waiting()], race=race)
    assert [schedule.next() for _ in range(8)] == list(range(8))
    for job, objective in enumerate([1.0, 6.0, 2.0, 5.0, 4.0, 3.0]):
        schedule.ended(job, End.PAUSED, objective)
    assert [schedule.next() for _ in range(3)] == [1, 3, None]
    assert [schedule.share(job) for job in (1, 3, 6)] == [1.0, 1.0, 0.5]
    schedule.ended(6, End.PAUSED, 0.0)
    assert [schedule.next() for _ in range(2)] == [4, None]
    schedule.ended(7, End.PAUSED, 0.0)
    assert [schedule.next() for _ in range(2)] == [5, None]
    (decision,) = schedule.take_decisions()
    assert (decision.kept, decision.out) == ([1, 3, 4, 5], [0, 2, 6, 7])


def test_a_job_that_is_tried_again_keeps_its_tries_for_each_rung():
    race = Race(Rule((0.5,), 0.5, 1, 0.9), {0: [0]})
    schedule = Schedule([job for _, job in race.waiting()], max_retries=1, race=race)
    for end in (End.TRANSIENT, End.PAUSED, End.TRANSIENT):
        assert schedule.next() == 0
        schedule.progressed(0)
        assert schedule.ended(0, end, 1.0) == ([0] if end is End.PAUSED else [])
    assert schedule.next() == 0
    assert schedule.ended(0, End.FINISHED) == [0]
    assert schedule.done


def test_what_was_trained_without_a_race_goes_on_and_does_not_count():
    """It has no objective at the rung, so nobody is compared with it."""
    race = Race(RULE, {0: [0, 3], 1: [1, 4], 2: [2, 5]}, ended={0: False, 3: False})
    assert race.waiting() == [(0, 1), (0, 2), (0, 4), (0, 5)]
    for job, objective in ((1, 9.0), (4, 9.1), (2, 1.0), (5, 1.2)):
        race.reached(job, objective)
    (decision,) = race.take_decisions()
    assert decision.kept == [0, 1, 2]


@pytest.mark.parametrize("jobs", [20_000])
def test_a_large_race_is_decided_in_time_that_grows_with_its_jobs(jobs):
    race = Race(Rule((0.5,), 0.1, 1, 0.9), {number: [number] for number in range(jobs)})
    schedule = Schedule([job for _, job in race.waiting()], race=race)
    for number in range(jobs):
        schedule.next()
        schedule.ended(number, End.PAUSED, float(number))
    assert len(schedule.take_decisions()[0].kept) == jobs // 10
