"""Tests that sweeps killed at random many times end like an undisturbed one."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from pathlib import Path

import pytest

from neroRL.records.results import read_result
from tests.doors.sweeps import (
    ARGUMENTS,
    assert_same_trainings,
    checkpoints,
    jobs_of,
    start,
    table,
    workers_of,
)
from tests.patience import PATIENCE, wait_for

KILLS = 16
# At most this many of the 240 checkpoints are saved between two kills. Otherwise a sweep on a
# fast machine would end before the last kill.
MOST_CHECKPOINTS = 8
REPETITIONS = "--num-repetitions=3"
CHAOTIC = [*ARGUMENTS, REPETITIONS]
# Every interpreter reads this at its start. It makes saving slow enough for a kill to hit it.
SLOW_SAVES = """
import os, time
flush = os.fsync
def fsync(handle):
    time.sleep(0.03)
    flush(handle)
if os.environ.get("SLOW_SAVES"):
    os.fsync = fsync
"""


@pytest.fixture
def chaotic(long, tmp_path):
    """Writes a sweep of twelve jobs, with a checkpoint after every fifth update."""
    long.write_text(long.read_text().replace("updates: 60", "updates: 100"))
    (tmp_path / "sitecustomize.py").write_text(SLOW_SAVES)
    return tmp_path


class Witness:
    """Checks a sweep after every kill.

    Attributes:
        finished: the result of each job that has one, and when it was written.
        furthest: the last checkpoint of each job.
        within_saves: number of kills that left a half-written checkpoint.
    """

    def __init__(self, sweep: Path) -> None:
        self.sweep = sweep
        self.finished: dict[Path, int] = {}
        self.furthest: dict[Path, int] = {}
        self.within_saves = 0

    def look(self) -> None:
        """Checks that nothing was lost or done again since the last look."""
        self.within_saves += bool(half_written(self.sweep))
        for job in jobs_of(self.sweep):
            last = max(checkpoints(job), default=0)
            assert last >= self.furthest.get(job, 0), job
            self.furthest[job] = last
        for job, written in self.finished.items():
            assert (job / "result.json").stat().st_mtime_ns == written, job
        for job in jobs_of(self.sweep):
            if read_result(job) is not None:
                self.finished.setdefault(job, (job / "result.json").stat().st_mtime_ns)

    def check_end(self, undisturbed: Path) -> None:
        """Checks a sweep that has ended."""
        self.look()
        rows = table(self.sweep)
        assert [row["status"] for row in rows] == ["completed"] * 12
        assert [row["updates"] for row in rows] == ["100"] * 12
        for job in jobs_of(self.sweep):
            continued = [int(n) for n in re.findall(r"after (\d+) updates", _log(job))]
            assert continued == sorted(continued), job
        assert_same_trainings(self.sweep, undisturbed)
        others = table(undisturbed)
        assert [row["objective"] for row in rows] == [row["objective"] for row in others]


def half_written(sweep: Path) -> list[Path]:
    """Returns the temporary files of checkpoints that are being saved."""
    return list(sweep.glob("*/*/checkpoints/.run-*"))


def wait_a_while(sweep: Path, seconds: float) -> None:
    """Waits for some seconds, or until a sweep has saved ``MOST_CHECKPOINTS`` more."""
    moment = time.monotonic() + seconds
    enough = saved(sweep) + MOST_CHECKPOINTS
    wait_for(lambda: time.monotonic() > moment or saved(sweep) >= enough)


def saved(sweep: Path) -> int:
    """Returns the number of checkpoints that a sweep has saved."""
    return sum(len(checkpoints(job)) for job in jobs_of(sweep))


def _log(job: Path) -> str:
    return (job / "train.log").read_text()


@pytest.mark.slow
def test_a_sweep_killed_at_random(command, undisturbed, chaotic):
    """Every other kill hits the saving of a checkpoint; the others come at any time."""
    witness = Witness(chaotic / "out/run")
    generator = random.Random(0)
    kills = 0
    while kills < KILLS:
        process = start(chaotic, *CHAOTIC, SLOW_SAVES="1")
        wait_a_while(chaotic / "out/run", generator.uniform(2.0, 6.0))
        if kills % 2:
            wait_for(lambda: half_written(chaotic / "out/run"))
        assert process.poll() is None, process.communicate()
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        kills += 1
        witness.look()
    assert kills >= 15
    assert witness.within_saves >= 4
    assert len(witness.finished) < 12
    done = command("tune", *CHAOTIC)
    assert done.returncode == 0, done.stderr
    witness.check_end(undisturbed(REPETITIONS))


@pytest.mark.slow
def test_workers_killed_at_random(undisturbed, chaotic):
    """The sweep itself keeps running."""
    witness = Witness(chaotic / "out/run")
    generator = random.Random(1)
    process = start(chaotic, *CHAOTIC, "hydra.sweeper.max_retries=100", SLOW_SAVES="1")
    kills = 0
    while kills < KILLS:
        wait_for(lambda: workers_of(process.pid))
        wait_a_while(chaotic / "out/run", generator.uniform(0.2, 1.5))
        if kills % 2:
            wait_for(lambda: half_written(chaotic / "out/run"))
        workers = workers_of(process.pid)
        assert process.poll() is None
        if workers:
            os.kill(generator.choice(workers), signal.SIGKILL)
            kills += 1
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    witness.check_end(undisturbed(REPETITIONS))
