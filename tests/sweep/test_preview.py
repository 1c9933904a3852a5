"""The cost of a sweep is computed from what was measured."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from neroRL.records.results import JobResult
from neroRL.sweep import preview
from neroRL.sweep.preview import Speed
from neroRL.sweep.validation import Findings

BASE = {
    "trainer": {"updates": 25, "resume_at": 0},
    "model": {"checkpoint_interval": 10},
    "evaluation": {"interval": 5},
}


def _plan(ports: int = 0, preview: str = "no", *, races: bool = False) -> SimpleNamespace:
    """A sweep of two permutations of 1,000 and 3,000 steps, with 3 checkpoints each."""
    findings = Findings(valid=[4, 7], steps=[1000, 3000], ports=ports)
    options = SimpleNamespace(preview=preview, races=races)
    return SimpleNamespace(
        findings=findings, base=BASE, options=options, space=range(8), config_of=lambda _: BASE
    )


SPEED = Speed(0.01, 5.0, bytes_a_checkpoint=1024.0, bytes_a_step=0.5, source="a test")


def test_time_and_space_follow_from_the_steps_of_the_jobs():
    """Jobs 0 and 2 are the first permutation's, 1 and 3 the second's."""
    lines = preview.lines(_plan(), [0, 1, 2, 3], parallel=2, speed=SPEED)
    seconds = (4 * 5.0 + 8000 * 0.01) / 2
    kibibytes = (4 * 3 * 1024 + 8000 * 0.5) / 1024
    assert lines == [
        "2 permutations, 4 jobs, 8,000 environment steps",
        f"about {seconds:.0f}s, 2 at a time, and {kibibytes:.1f} KiB of disk, by a test",
    ]


def test_only_the_jobs_that_are_left_cost_something():
    (first, second) = preview.lines(_plan(), [3], parallel=None, speed=SPEED)
    assert first == "1 permutation, 1 job, 3,000 environment steps"
    assert second.startswith("about 35s, one job after another")


def test_evaluations_take_time_as_often_as_a_job_plays_them():
    """After updates 5, 10, 15, 20 and 25."""
    speed = replace(SPEED, seconds_an_evaluation=2.0)
    _, second = preview.lines(_plan(), [3], parallel=None, speed=speed)
    assert second.startswith("about 45s, one job after another")


def test_of_jobs_that_go_on_only_the_rest_costs_something():
    """Job 0 goes on after 10 updates and job 1 after 20; job 2 begins."""
    speed = replace(SPEED, seconds_an_evaluation=2.0)
    done = {0: 10, 1: 20}
    first, second = preview.lines(_plan(), [0, 1, 2], None, speed, done)
    steps = 600 + 600 + 1000
    assert first == f"2 permutations, 3 jobs, {steps:,} environment steps"
    seconds = 3 * 5.0 + steps * 0.01 + (3 + 1 + 5) * 2.0
    kibibytes = ((2 + 1 + 3) * 1024 + steps * 0.5) / 1024
    assert f"about {seconds:.0f}s, one job after another, and {kibibytes:.1f} KiB" in second
    _, raced, _ = preview.lines(_plan(races=True), [0, 1, 2], None, speed, done)
    assert raced == "as a race at most these steps"


def test_ports_are_those_of_the_jobs_at_a_time():
    lines = preview.lines(_plan(ports=9), [0, 1, 2], parallel=2, speed=None)
    assert lines[1:] == [
        "wall time and disk are not known yet: ntune --preview measures some updates",
        "9 network ports a job, 18 at a time",
    ]


def test_speed_is_that_of_completed_trainings(tmp_path):
    def result(repetition: int, status: str, **numbers: float) -> JobResult:
        return JobResult(0, repetition, 1, status, directory=f"0/{repetition}", **numbers)

    for repetition in range(3):
        job = tmp_path / f"0/{repetition}"
        (job / "checkpoints").mkdir(parents=True)
        (job / "checkpoints/x-1.pt").write_bytes(bytes(600))
        (job / "events").write_bytes(bytes(100))
    results = [
        result(0, "completed", env_steps=100, steps_per_second=50.0, wall_seconds=6.0),
        result(1, "completed", env_steps=300, steps_per_second=100.0, wall_seconds=9.0),
        result(2, "failed", env_steps=9, steps_per_second=1.0, wall_seconds=1000.0),
    ]
    speed = preview.measured(results, tmp_path, BASE)
    assert speed.seconds_a_step == pytest.approx((2.0 + 3.0) / 400)
    assert speed.seconds_to_start == pytest.approx((4.0 + 6.0) / 2)
    assert speed.bytes_a_checkpoint == 600
    assert speed.bytes_a_step == pytest.approx(200 / 400)
    assert preview.measured(results[2:], tmp_path, BASE) is None


def test_evaluations_are_no_part_of_a_start(tmp_path):
    """Seven updates have evaluations after the fifth and the seventh."""
    common = {"env_steps": 100, "steps_per_second": 50.0, "updates": 7}
    results = [
        JobResult(0, r, 1, "completed", wall_seconds=wall, evaluation_seconds=seconds, **common)
        for r, (wall, seconds) in enumerate([(11.0, 3.0), (7.0, None)])
    ]
    speed = preview.measured(results, tmp_path, BASE)
    assert speed.seconds_an_evaluation == pytest.approx(1.5)
    assert speed.seconds_to_start == pytest.approx((3.0 + 5.0) / 2)


@pytest.mark.parametrize(
    ("count", "expected"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (8, [0, 4, 7])]
)
def test_the_first_the_middle_and_the_last_stand_for_all(count, expected):
    assert preview.to_measure(range(count)) == expected
