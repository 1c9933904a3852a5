"""Tests that ``neroRL.read_sweep`` gives a real sweep as data frames."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pandas
import pytest

import neroRL
from neroRL.errors import OutputError
from neroRL.reporting.frames import SweepFrames
from tests.doors.sweeps import ARGUMENTS

SPACE = "hyperparameters:\n  model/memory: [none, gru]\n  hidden_state_size: [8, 16]\n"


def _assert_as_written(sweep: SweepFrames, table: Path) -> None:
    """Checks that a frame has the rows and columns of ``results.csv``, in their order."""
    text = sweep.results.to_csv(index=False)
    ours, written = (
        pandas.read_csv(source, keep_default_na=False) for source in (io.StringIO(text), table)
    )
    pandas.testing.assert_frame_equal(ours, written)


def test_a_real_sweep_as_data_frames(door, tiny, tmp_path):
    (tmp_path / "space.yaml").write_text(SPACE)
    confirm = ["hydra.sweeper.confirm=1", "hydra.sweeper.confirm_repetitions=1"]
    assert door("ntune", [*ARGUMENTS, "--num-repetitions=2", *confirm]).status == 0
    sweep = neroRL.read_sweep("out/run")
    _assert_as_written(sweep, tmp_path / "out/run/results.csv")
    assert list(sweep.results["permutation"]) == [0, 1, 2, 0, 1, 2]
    assert sweep.results["model.recurrence.hidden_state_size"].isna().tolist()[:3] == [
        True,
        False,
        False,
    ]
    curves = sweep.curves
    assert curves.index.names == ["permutation", "repetition", "update"]
    assert [tuple(row) for row in curves.index] == [
        (p, r, u) for r in range(2) for p in range(3) for u in (1, 2)
    ]
    last = curves.xs(2, level="update")["time/env_steps"]
    assert last.tolist() == sweep.results["env_steps"].tolist()
    assert sweep.confirmation is not None
    assert len(sweep.confirmation.results) == 1
    assert sweep.confirmation.confirmation is None


def test_jobs_of_dropped_permutations_are_rows_too(door, tiny, tmp_path):
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9, 0.95]\n")
    assert door("ntune", [*ARGUMENTS, "--num-repetitions=2"]).status == 0
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.95]\n")
    fewer = door("ntune", [*ARGUMENTS, "--num-repetitions=2", "hydra.sweeper.extend=true"])
    assert fewer.status == 0, fewer.err
    sweep = neroRL.read_sweep("out/run")
    _assert_as_written(sweep, tmp_path / "out/run/results.csv")
    assert sweep.results["permutation"].tolist() == [0, 0, -1, -1]
    assert sweep.results["dropped"].tolist() == [False, False, True, True]
    assert sweep.results["trainer.gamma"].tolist() == [0.95, 0.95, 0.9, 0.9]
    assert set(sweep.curves.index.get_level_values("permutation")) == {0}


def test_a_directory_without_a_sweep_is_refused(tmp_path):
    with pytest.raises(OutputError, match="is no sweep"):
        neroRL.read_sweep(tmp_path)


def test_nothing_else_imports_pandas():
    code = "import neroRL, neroRL.tune, neroRL.report, sys; assert 'pandas' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
