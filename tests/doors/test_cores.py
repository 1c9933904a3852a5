"""Tests what OpenMP's library tells of itself in trainings."""

from __future__ import annotations

import contextlib
import os
import re
import sys

import pytest

from benchmarks.busy import busy
from neroRL import cores
from neroRL.cores import ALONE, BESIDE_OTHERS, limit_spinning

if sys.platform != "linux":
    pytest.skip("torch has another OpenMP library", allow_module_level=True)


@pytest.mark.parametrize(
    ("running", "allowed", "of_machine", "beside_others"),
    [
        ([1], 2, 2, False),
        ([2, 2, 2], 2, 2, True),
        ([3, 2, 1], 2, 2, False),  # for a moment only
        ([30], 4, 64, False),
        ([62, 62, 62], 4, 64, True),
    ],
)
def test_threads_spin_briefly_where_others_need_cores(
    tmp_path, monkeypatch, running, allowed, of_machine, beside_others
):
    statistics, looks = tmp_path / "stat", iter(running)

    def look(_=0.0):
        statistics.write_text(f"cpu 1 2 3\nprocs_running {next(looks)}\nprocs_blocked 0\n")

    look()
    monkeypatch.setattr("neroRL.cores.STATISTICS", statistics)
    monkeypatch.setattr("neroRL.cores.available_cores", lambda: allowed)
    monkeypatch.setattr("os.cpu_count", lambda: of_machine)
    monkeypatch.setattr("time.sleep", look)
    monkeypatch.setenv("GOMP_SPINCOUNT", "")  # so that it is as before at the end
    monkeypatch.delenv("GOMP_SPINCOUNT")
    limit_spinning()
    assert os.environ["GOMP_SPINCOUNT"] == str(BESIDE_OTHERS if beside_others else ALONE)
    assert next(looks, None) is None


@pytest.mark.parametrize(
    ("files", "own", "expected"),
    [
        ({}, None, 8),
        ({"cpu.max": "max 100000\n"}, "0::/\n", 8),
        ({"cpu.max": "250000 100000\n"}, "0::/\n", 3),
        ({"cpu.max": "5000 100000\n"}, "0::/\n", 1),
        ({"cpu.max": "9900000 100000\n"}, "0::/\n", 8),
        ({"a/cpu.max": "200000 100000\n", "a/b/cpu.max": "max 100000\n"}, "0::/a/b\n", 2),
        ({"a/cpu.max": "200000 100000\n"}, "0::/c\n", 8),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, "1:cpu:/\n", 8),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, "", 4),
    ],
)
def test_a_container_has_as_many_cores_as_it_has_time_of(
    tmp_path, monkeypatch, files, own, expected
):
    """As in the kernel's documentation of both versions of control groups."""
    for name, text in files.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(text)
    if own is not None:
        (tmp_path / "own").write_text(own)
    monkeypatch.setattr(cores, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(cores, "OWN_GROUP", tmp_path / "own")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert cores.available_cores() == expected


TRAIN = ["train", "--config-path=.", "--config-name=tiny.yaml"]
TUNE = ["tune", "--config=tiny.yaml", "--tune=space.yaml"]


@pytest.mark.parametrize(
    ("door", "chosen", "spins"),
    [
        pytest.param(TRAIN, {}, str(BESIDE_OTHERS), marks=pytest.mark.slow),
        pytest.param(TUNE, {}, str(BESIDE_OTHERS), marks=pytest.mark.slow),
        pytest.param(TRAIN, {"GOMP_SPINCOUNT": "77"}, "77", marks=pytest.mark.slow),
        pytest.param(TRAIN, {"OMP_WAIT_POLICY": "passive"}, "0", marks=pytest.mark.slow),
    ],
    ids=["training", "sweep", "own number", "own policy"],
)
def test_threads_spin_for_as_long_as_was_chosen(
    command, door, chosen, spins, tiny, tmp_path, monkeypatch
):
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9]\n")
    # Commands that other tests called in this process have chosen for it.
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    for name, value in {"OMP_DISPLAY_ENV": "verbose", **chosen}.items():
        monkeypatch.setenv(name, value)
    with contextlib.nullcontext() if chosen else busy(os.cpu_count() or 1):
        ran = command(*door)
    assert ran.returncode == 0, ran.stderr
    # The library writes it when it is loaded, to the standard error of the process.
    outputs = [ran.stderr, *(path.read_text() for path in tmp_path.rglob("output.log"))]
    told = [found for text in outputs for found in re.findall(r"GOMP_SPINCOUNT = '(\d+)'", text)]
    assert told
    assert set(told) == {spins}
