"""What may not be read is bad input that is named, and never taken for missing or damaged."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from neroRL.records.results import JobResult
from neroRL.records.sweep_record import SweepRecord
from tests.doors.sweeps import PROJECT
from tests.evaluation.policies import tiny_policy
from tests.patience import PATIENCE

# Root may read everything unless it gives up these capabilities.
AS_ANYONE = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


@pytest.fixture
def permitted(tmp_path):
    """Runs a command as a user to whom permissions apply, after it has locked a path."""
    prefix = AS_ANYONE if os.geteuid() == 0 else []
    if prefix and shutil.which("setpriv") is None:
        pytest.skip("root may read everything here")

    def call(locked, module, *arguments):
        locked.chmod(0)
        try:
            return subprocess.run(
                [*prefix, sys.executable, "-m", f"neroRL.{module}", *arguments],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(PROJECT), "TMPDIR": str(tmp_path)},
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
        finally:
            locked.chmod(0o700)

    return call


def test_a_base_config(permitted, tiny, tmp_path):
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9]\n")
    done = permitted(tiny, "tune", "--config=tiny.yaml", "--tune=space.yaml", "--generate-only")
    assert (done.returncode, done.stderr) == (
        2,
        f"error: {tiny} cannot be read: Permission denied\n",
    )


@pytest.mark.parametrize("door", ["eval", "eval_checkpoints"])
@pytest.mark.parametrize("what", ["a checkpoint", "its directory", "the job"])
def test_checkpoints(permitted, tmp_path, what, door):
    checkpoint, _ = tiny_policy(tmp_path / "job", updates=1)
    locked = {"a checkpoint": checkpoint, "its directory": checkpoint.parent}.get(
        what, tmp_path / "job"
    )
    flag = "--checkpoint" if door == "eval" else "--checkpoints"
    done = permitted(locked, door, f"{flag}=job")
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"error: {locked.relative_to(tmp_path)}")
    assert done.stderr.endswith(" cannot be read: Permission denied\n")
    assert not list(tmp_path.glob("nerorl-error*"))


@pytest.mark.parametrize("locked", ["1/0/result.json", "1/0", "1"])
def test_a_result_that_may_not_be_read_is_listed_like_a_damaged_one(permitted, tmp_path, locked):
    sweep = tmp_path / "run"
    axes = {"trainer.gamma": [0.9, 0.99]}
    sweep.mkdir()
    SweepRecord({}, axes, 1, None, repetitions=1, permutations=2, jobs=2).write(sweep)
    for number, gamma in enumerate(axes["trainer.gamma"]):
        job = sweep / f"{number}/0"
        job.mkdir(parents=True)
        told = {"overrides": {"trainer.gamma": gamma}, "directory": f"{number}/0"}
        JobResult(number, 0, 1, "completed", objective=0.5, **told).write(job)
    done = permitted(sweep / locked, "report", "run")
    assert done.returncode == 0, done.stderr
    assert "1 of 2 jobs have ended" in done.stdout
    assert "warning: run/1/0/result.json cannot be read: Permission denied\n" in done.stderr
