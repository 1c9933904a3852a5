"""Tests that Optuna reads a sweep that was exported as a study."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from neroRL.records.results import FAILED, STOPPED, JobResult
from tests.reporting.landscapes import sweep_of

AXES = {"a.rate": [0.1, 0.2], "b.memory": [None, "gru"], "c.sizes": [[8, 8], [16]]}


@pytest.mark.slow
def test_optuna_reads_every_job(tmp_path, door):
    directory = tmp_path / "run"
    directory.mkdir()
    values = np.random.default_rng(0).normal(size=(8, 2))
    values[6:] = np.nan
    rest = {"a.rate": 0.2, "b.memory": "gru"}
    ended = [
        JobResult(6, 0, 0, FAILED, {**rest, "c.sizes": [8, 8]}, directory="6/0", error="no luck"),
        JobResult(7, 0, 0, STOPPED, {**rest, "c.sizes": [16]}, objective=1.0, directory="7/0"),
    ]
    sweep_of(directory, AXES, values, ended, id="run-1")
    outcome = door("nreport", ["run", "--optuna=studies/what?.db"])
    assert outcome.status == 0, outcome.err
    (tmp_path / "studies/what?.db").rename(tmp_path / "run.db")
    storage = f"sqlite:///{tmp_path}/run.db"
    study = optuna.load_study(study_name="run-1", storage=storage)
    assert study.direction.name == "MAXIMIZE"
    states = [trial.state for trial in study.trials]
    assert states.count(TrialState.COMPLETE) == 12
    told = {(t.user_attrs["permutation"], t.user_attrs["repetition"]): t for t in study.trials}
    for (permutation, repetition), value in np.ndenumerate(values[:6]):
        assert told[permutation, repetition].value == value
    assert told[1, 0].params == {"a.rate": 0.1, "b.memory": "null", "c.sizes": "[16]"}
    assert told[6, 0].state is TrialState.FAIL
    assert told[6, 0].user_attrs["error"] == "no luck"
    assert told[7, 0].state is TrialState.PRUNED
    best = np.unravel_index(np.nanargmax(values), values.shape)
    assert study.best_trial.user_attrs["permutation"] == best[0]
    importance = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
    )
    assert set(importance) == set(AXES)


@pytest.mark.parametrize(
    ("file", "told"),
    [("taken.db", "nothing is overwritten"), ("taken.db/run.db", "taken.db is a file")],
)
def test_a_study_that_cannot_be_written_is_refused_before_anything_is(tmp_path, door, file, told):
    (tmp_path / "run").mkdir()
    sweep_of(tmp_path / "run", {"a.b": [1, 2]}, np.array([[1.0], [2.0]]))
    (tmp_path / "taken.db").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    outcome = door("nreport", ["run", f"--optuna={file}"])
    assert outcome.status == 2
    assert told in outcome.err
    assert outcome.out == ""
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "taken.db").read_text() == "mine"
