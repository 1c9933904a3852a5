"""Tests what OpenMP's library tells of itself in trainings."""

from __future__ import annotations

import re
import sys

import pytest

if sys.platform != "linux":
    pytest.skip("torch has another OpenMP library", allow_module_level=True)

TRAIN = ["train", "--config-path=.", "--config-name=tiny.yaml"]
TUNE = ["tune", "--config=tiny.yaml", "--tune=space.yaml"]


@pytest.mark.parametrize(
    ("door", "chosen", "spins"),
    [
        (TRAIN, {}, "10000"),
        (TUNE, {}, "10000"),
        (TRAIN, {"GOMP_SPINCOUNT": "77"}, "77"),
        (TRAIN, {"OMP_WAIT_POLICY": "passive"}, "0"),
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
    ran = command(*door)
    assert ran.returncode == 0, ran.stderr
    # The library writes it when it is loaded, to the standard error of the process.
    outputs = [ran.stderr, *(path.read_text() for path in tmp_path.rglob("output.log"))]
    told = [found for text in outputs for found in re.findall(r"GOMP_SPINCOUNT = '(\d+)'", text)]
    assert told
    assert set(told) == {spins}
