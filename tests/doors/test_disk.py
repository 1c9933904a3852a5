"""Tests full and read-only disks with real, small file systems."""

from __future__ import annotations

import contextlib
import subprocess

import pytest
import torch

from tests.doors.sweeps import ARGUMENTS, assert_same_trainings, jobs_of, table


def _mount(*arguments: str) -> bool:
    done = subprocess.run(["mount", *arguments], capture_output=True, check=False)
    return done.returncode == 0


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a file system of less than a megabyte at ``out``; only root can do so."""
    disk = tmp_path / "out"
    disk.mkdir()
    with contextlib.suppress(FileNotFoundError):
        if _mount("-t", "tmpfs", "-o", "size=700k", "tmpfs", str(disk)):
            yield disk
            subprocess.run(["umount", "-l", str(disk)], check=True)
            return
    pytest.skip("needs the right to mount a file system")


@pytest.mark.slow
@pytest.mark.usefixtures("long")
def test_a_full_disk_loses_nothing(command, undisturbed, small_disk):
    """Existing checkpoints and results stay intact, and the sweep continues from them."""
    full = command("tune", *ARGUMENTS)
    assert full.returncode == 1, full.stderr
    assert "No space left on device" in full.stderr + full.stdout
    assert "Traceback" not in full.stderr
    kept = list(small_disk.glob("run/*/*/checkpoints/run-*.pt"))
    assert kept
    for path in kept:
        torch.load(path, weights_only=True)
    assert not list(small_disk.glob("run/*/*/checkpoints/.run-*"))
    assert _mount("-o", "remount,size=64m", str(small_disk))
    again = command("tune", *ARGUMENTS)
    assert again.returncode == 0, again.stderr
    assert [row["status"] for row in table(small_disk / "run")] == ["completed"] * 4
    logs = "".join((job / "train.log").read_text() for job in jobs_of(small_disk / "run"))
    assert "continuing from run-" in logs
    assert_same_trainings(small_disk / "run", undisturbed())


def test_a_read_only_disk_is_refused(door, tiny, small_disk, tmp_path):
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9]\n")
    assert _mount("-o", "remount,ro", str(small_disk))
    outcome = door("ntune", ARGUMENTS)
    assert outcome.status == 2
    assert "out is not writable" in outcome.err
