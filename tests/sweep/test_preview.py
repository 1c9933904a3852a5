"""The cost of a sweep is computed from what was measured."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from neroRL.records.results import JobResult
from neroRL.sweep import preview
from neroRL.sweep.preview import Speed
from neroRL.sweep.validation import Findings


def _plan(ports: int = 0, preview: str = "no") -> SimpleNamespace:
    """A sweep of two permutations of 1,000 and 3,000 steps, with 3 checkpoints each."""
    base = {"trainer": {"updates": 25}, "model": {"checkpoint_interval": 10}}
    findings = Findings(valid=[4, 7], steps=[1000, 3000], ports=ports)
    options = SimpleNamespace(preview=preview, races=False)
    return SimpleNamespace(findings=findings, base=base, options=options)


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
    speed = preview.measured(results, tmp_path)
    assert speed.seconds_a_step == pytest.approx((2.0 + 3.0) / 400)
    assert speed.seconds_to_start == pytest.approx((4.0 + 6.0) / 2)
    assert speed.bytes_a_checkpoint == 600
    assert speed.bytes_a_step == pytest.approx(200 / 400)
    assert preview.measured(results[2:], tmp_path) is None


@pytest.mark.parametrize(
    ("count", "expected"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (8, [0, 4, 7])]
)
def test_the_first_the_middle_and_the_last_stand_for_all(count, expected):
    assert preview.to_measure(range(count)) == expected
