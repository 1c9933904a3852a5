"""Tests what OpenMP's library tells of itself in trainings."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.doors.sweeps import PROJECT

if sys.platform != "linux":
    pytest.skip("torch has another OpenMP library", allow_module_level=True)


TRAIN = "import sys; from neroRL.train import ntrain; sys.exit(ntrain())"
TUNE = "import sys; from neroRL.tune import main; sys.exit(main())"
OPTIONS = {TRAIN: ["--config=tiny.yaml"], TUNE: ["--config=tiny.yaml", "--tune=space.yaml"]}


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
def test_threads_spin_for_as_long_as_was_chosen(door, chosen, spins, tiny, tmp_path):
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9]\n")
    # Commands that other tests called in this process have chosen for it.
    inherited = {key: value for key, value in os.environ.items() if key != "GOMP_SPINCOUNT"}
    environment = {**inherited, "PYTHONPATH": str(PROJECT), "OMP_DISPLAY_ENV": "verbose"}
    ran = subprocess.run(
        [sys.executable, "-c", door, *OPTIONS[door]],
        cwd=tmp_path,
        env={**environment, **chosen},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    # The library writes it when it is loaded, to the standard error of the process.
    outputs = [ran.stderr, *(path.read_text() for path in tmp_path.rglob("output.log"))]
    told = [found for text in outputs for found in re.findall(r"GOMP_SPINCOUNT = '(\d+)'", text)]
    assert told
    assert set(told) == {spins}
