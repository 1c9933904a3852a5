"""Tests jobs that a cluster starts late: after their sweep went on, or was changed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from neroRL.records.editions import edition_of
from tests.doors.sweeps import ARGUMENTS, start, table, write_space
from tests.patience import PATIENCE

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny")]

SUBMITTED = [*ARGUMENTS, "hydra/launcher=submitit_local", "threads=1"]


def _run(directory: Path, *arguments: str) -> None:
    process = start(directory, *arguments)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output


def _start_late(submission: Path, directory: Path) -> subprocess.CompletedProcess[str]:
    """Starts a submitted job again, as a cluster does that had it in its queue until now."""
    submitted = {
        "SUBMITIT_EXECUTOR": "local",
        "SUBMITIT_LOCAL_JOB_ID": submission.name,
        **{f"SUBMITIT_LOCAL_{name}": "1" for name in ("NTASKS", "NNODES")},
        **{f"SUBMITIT_LOCAL_{name}": "0" for name in ("LOCALID", "GLOBALID", "NODEID")},
    }
    command = [sys.executable, "-m", "submitit.core._submit", str(submission)]
    return subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, **submitted},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def _submissions(sweep: Path) -> list[Path]:
    """Returns the submissions of the sweep's jobs, in the order of the jobs."""
    submitted = [path for path in (sweep / ".submitit").iterdir() if path.name.isdecimal()]
    return sorted(submitted, key=lambda path: int(path.name))


def _files(sweep: Path) -> dict[Path, tuple[int, bytes]]:
    jobs = (path for path in sweep.glob("[0-9]*/**/*") if path.is_file())
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in jobs}


def test_a_job_of_an_earlier_edition_touches_nothing(tmp_path):
    sweep = tmp_path / "out/run"
    write_space(tmp_path, "hyperparameters: {gamma: [0.9]}")
    _run(tmp_path, *SUBMITTED)
    write_space(tmp_path, "hyperparameters: {gamma: [0.5, 0.9]}")
    _run(tmp_path, *ARGUMENTS, "hydra.sweeper.extend=true")
    assert [row["trainer.gamma"] for row in table(sweep)] == ["0.5", "0.9"]
    before = _files(sweep)
    # It was submitted as 0/0 with 0.9, where 0.5 is now.
    (submission,) = _submissions(sweep)
    late = _start_late(submission, tmp_path)
    assert late.returncode == 1
    assert "the sweep was changed after this job was submitted" in late.stderr
    assert _files(sweep) == before
    assert edition_of(sweep) == 1
    # A new sweep in its place has the edition of the job, and another id.
    for path in sweep.iterdir():
        if path.name != ".submitit":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    _run(tmp_path, *ARGUMENTS)
    assert edition_of(sweep) == 0
    before = _files(sweep)
    late = _start_late(submission, tmp_path)
    assert late.returncode == 1
    assert "the sweep was changed after this job was submitted" in late.stderr
    assert _files(sweep) == before


def test_a_job_asks_again_once_it_has_its_lock(door, tmp_path):
    """Hydra has found its directory then, and the sweep may have been changed meanwhile."""
    write_space(tmp_path, "hyperparameters: {gamma: [0.9, 0.99]}")
    outcome = door("ntune", [*ARGUMENTS, "hydra.sweeper.job.edition=7"])
    assert outcome.status == 1
    for row in table(tmp_path / "out/run"):
        assert row["status"] == "failed"
        assert "the sweep was changed after this job was submitted" in row["error"]
        assert not list((tmp_path / "out/run" / row["directory"]).glob("checkpoints/*.pt"))


def test_the_edition_is_that_of_what_jobs_are(door, tiny, tmp_path):
    write_space(tmp_path, "hyperparameters: {updates: [1, 2]}")
    assert door("ntune", ARGUMENTS).status == 0
    tiny.write_text(tiny.read_text().replace("updates: 2", "updates: 3"))
    again = door("ntune", ARGUMENTS)  # the swept key leaves the base config's value unused
    assert "2 of 2 jobs are done already" in again.err
    assert edition_of(tmp_path / "out/run") == 0


def test_a_job_on_its_way_to_a_rung_that_others_reached_goes_no_further(tmp_path):
    sweep = tmp_path / "out/run"
    write_space(tmp_path, "learning_rate_schedule: {initial: [0.0, 0.003, 1.0]}")
    options = ("race=true", "race_rungs=[0.25,0.5]", "race_keep=0.5", "race_min_permutations=1")
    race = [f"hydra.sweeper.{option}" for option in options]
    _run(tmp_path, *SUBMITTED, *race, "trainer.updates=8")
    (stopped,) = [number for number, row in enumerate(table(sweep)) if row["rung"] == "0.5"]
    result = sweep / f"{stopped}/0/result.json"
    before = result.stat().st_mtime_ns, result.read_bytes()
    # The first submissions are those to the first rung, one of each permutation.
    assert _start_late(_submissions(sweep)[stopped], tmp_path).returncode == 0
    assert (result.stat().st_mtime_ns, result.read_bytes()) == before
