"""Tests the schedule without runners: its decisions follow from what it is told."""

from __future__ import annotations

import doctest
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neroRL.sweep import execution
from neroRL.sweep import schedule as module
from neroRL.sweep.schedule import FREE_STARTS, End, Schedule


def test_the_example_runs():
    assert doctest.testmod(module).failed == 0
    assert doctest.testmod(module).attempted >= 7


def _given_out(schedule: Schedule) -> list[int]:
    return list(iter(schedule.next, None))


@pytest.mark.parametrize("end", [End.TRANSIENT, End.DIED])
def test_a_fault_of_the_machine_is_tried_again(end):
    schedule = Schedule([0, 1], max_retries=2)
    assert schedule.next() == 0
    for _ in range(2):
        schedule.progressed(0)
        assert schedule.ended(0, end) == []
        assert schedule.next() == 0
    schedule.progressed(0)
    assert schedule.ended(0, end) == [0]
    assert schedule.next() == 1


def test_an_error_of_the_config_is_not_tried_again():
    schedule = Schedule([0], max_retries=2)
    schedule.next()
    assert schedule.ended(0, End.FAILED) == [0]
    assert schedule.done


def test_a_job_that_never_began_is_given_out_again_and_not_forever():
    schedule = Schedule([0, 1])
    for _ in range(FREE_STARTS):
        assert schedule.next() == 0
        assert schedule.ended(0, End.DIED) == []
    assert schedule.next() == 0
    assert schedule.ended(0, End.DIED) == [0]
    assert schedule.next() == 1


def test_jobs_that_were_running_when_all_were_lost_run_alone():
    schedule = Schedule(range(5))
    assert [schedule.next() for _ in range(4)] == [0, 1, 2, 3]
    for number in (2, 1):
        schedule.progressed(number)
    assert [schedule.ended(number, End.LOST) for number in (3, 2, 1, 0)] == [[]] * 4
    assert _given_out(schedule) == [1]
    schedule.progressed(1)
    assert schedule.ended(1, End.LOST) == [1]  # it ran alone, so it is the one at fault
    assert _given_out(schedule) == [2]
    assert schedule.ended(2, End.FINISHED) == [2]
    assert _given_out(schedule) == [0, 3, 4]


def test_a_job_that_broke_a_launch_is_tried_again_alone():
    schedule = Schedule(range(3), max_retries=1)
    assert schedule.next() == 0
    schedule.progressed(0)
    assert schedule.ended(0, End.LOST) == []
    assert _given_out(schedule) == [0]
    schedule.progressed(0)
    assert schedule.ended(0, End.LOST) == [0]
    assert _given_out(schedule) == [1, 2]


def test_suspects_wait_for_running_jobs():
    schedule = Schedule(range(3))
    assert _given_out(schedule) == [0, 1, 2]
    schedule.progressed(0)
    schedule.ended(0, End.LOST)
    assert schedule.next() is None
    for number in (1, 2):
        schedule.ended(number, End.FINISHED)
    assert _given_out(schedule) == [0]


def test_fail_fast_ends_a_sweep_after_the_last_try():
    schedule = Schedule(range(3), max_retries=1, fail_fast=True)
    assert _given_out(schedule) == [0, 1, 2]
    schedule.progressed(0)
    assert schedule.ended(0, End.DIED) == []
    assert not schedule.stopping
    assert schedule.next() == 0
    schedule.progressed(0)
    assert schedule.ended(0, End.DIED) == [0]
    assert schedule.stopping
    assert not schedule.done
    assert schedule.ended(1, End.INTERRUPTED) == []
    assert schedule.ended(2, End.FINISHED) == [2]
    assert schedule.done


def test_fail_fast_settles_jobs_that_wait_for_another_try():
    schedule = Schedule(range(4), max_retries=1, fail_fast=True)
    for number in range(3):
        schedule.next()
        schedule.progressed(number)
    assert schedule.ended(2, End.TRANSIENT) == []
    assert schedule.ended(1, End.FAILED) == [1, 2]
    assert schedule.ended(0, End.TRANSIENT) == [0]  # no try is left
    assert schedule.done
    assert schedule.next() is None


@given(st.integers(0, 8), st.integers(0, 2), st.booleans(), st.integers(1, 4), st.data())
def test_whatever_happens_every_job_is_settled_once(jobs, retries, fail_fast, places, data):
    schedule = Schedule(range(jobs), max_retries=retries, fail_fast=fail_fast)
    running: set[int] = set()
    tries = [0] * jobs
    settled: list[int] = []
    while True:
        while len(running) < places and (number := schedule.next()) is not None:
            assert number not in running
            assert number not in settled
            running.add(number)
        if not running:
            break
        number = data.draw(st.sampled_from(sorted(running)))
        if data.draw(st.booleans()):
            schedule.progressed(number)
        # A broken launch loses jobs at most as often as drawn; after that, each try ends.
        ends = [End.FINISHED, End.FAILED, End.TRANSIENT, End.DIED, End.LOST]
        end = data.draw(st.sampled_from(ends)) if tries[number] < 6 else End.FINISHED
        running.remove(number)
        tries[number] += 1
        settled += schedule.ended(number, end)
    assert schedule.done
    assert len(settled) == len(set(settled))
    if not schedule.stopping:
        assert sorted(settled) == list(range(jobs))


@given(st.lists(st.sampled_from([End.FINISHED, End.FAILED, End.DIED]), max_size=8), st.randoms())
def test_the_order_in_which_jobs_end_does_not_matter(ends, random):
    """Equal ends in another order settle the same jobs after the same tries."""

    def outcome(shuffled: bool) -> tuple[list[int], list[int]]:
        schedule = Schedule(range(len(ends)), max_retries=1)
        given_out, settled = [], []
        while batch := _given_out(schedule):
            given_out += sorted(batch)
            if shuffled:
                random.shuffle(batch)
            for number in batch:
                schedule.progressed(number)
                settled += schedule.ended(number, ends[number])
        return given_out, sorted(settled)

    assert outcome(shuffled=True) == outcome(shuffled=False)


class _LastFirst(Schedule):
    """Another rule: starts with the last job of the grid."""

    def __init__(self, jobs, **rules):
        super().__init__(jobs, **rules)
        self._new = sorted((-job, job) for job in jobs)


@pytest.mark.parametrize(
    "runner",
    [
        ["hydra.sweeper.n_jobs=1"],
        pytest.param(
            ["hydra/launcher=joblib", "hydra.launcher.n_jobs=1", "hydra.sweeper.max_batch_size=1"],
            marks=pytest.mark.slow,
        ),
    ],
    ids=["pool", "launcher"],
)
def test_another_rule_changes_the_order_under_every_runner(door, tiny, monkeypatch, runner):
    """Only the execution names the rule; neither runner changes."""
    monkeypatch.setattr(execution, "Schedule", _LastFirst)
    (tiny.parent / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9, 0.95, 0.99]\n")
    arguments = ["--config=tiny.yaml", "--tune=space.yaml", "trainer.updates=1"]
    outcome = door("ntune", [*arguments, *runner])
    assert outcome.status == 0, outcome.err
    assert re.findall(r"^(\d)/0: completed", outcome.err, re.MULTILINE) == ["2", "1", "0"]
