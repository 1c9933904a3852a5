"""Tests what OpenMP's library tells of itself in trainings."""

from __future__ import annotations

import contextlib
import os
import re
import sys

import pytest

from benchmarks.busy import busy
from neroRL.cores import ALONE, BESIDE_OTHERS, limit_spinning

if sys.platform != "linux":
    pytest.skip("torch has another OpenMP library", allow_module_level=True)


@pytest.mark.parametrize(
    ("running", "allowed", "cores", "beside_others"),
    [
        ([1], 2, 2, False),
        ([2, 2, 2], 2, 2, True),
        ([3, 2, 1], 2, 2, False),  # for a moment only
        ([30], 4, 64, False),
        ([62, 62, 62], 4, 64, True),
    ],
)
def test_threads_spin_briefly_where_others_need_cores(
    tmp_path, monkeypatch, running, allowed, cores, beside_others
):
    statistics, looks = tmp_path / "stat", iter(running)

    def look(_=0.0):
        statistics.write_text(f"cpu 1 2 3\nprocs_running {next(looks)}\nprocs_blocked 0\n")

    look()
    monkeypatch.setattr("neroRL.cores.STATISTICS", statistics)
    monkeypatch.setattr("neroRL.cores.available_cores", lambda: allowed)
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    monkeypatch.setattr("time.sleep", look)
    monkeypatch.setenv("GOMP_SPINCOUNT", "")  # so that it is as before at the end
    monkeypatch.delenv("GOMP_SPINCOUNT")
    limit_spinning()
    assert os.environ["GOMP_SPINCOUNT"] == str(BESIDE_OTHERS if beside_others else ALONE)
    assert next(looks, None) is None


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
