"""Weights & Biases and MLflow record what TensorBoard records, and no training fails by them."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from neroRL.config import build
from neroRL.config.checks import cross_check
from neroRL.records.results import COMPLETED, fingerprint, load_result
from neroRL.reporting.analysis.curves import read_scalars
from neroRL.reporting.loggers.external import ExternalLogger
from neroRL.reporting.loggers.interface import Course, Description
from tests.patience import wait_for

PROJECT = Path(__file__).resolve().parents[2]
SWEEP = ["--config=tiny.yaml", "--tune=space.yaml", "--run-id=run", "--out=out"]
JOBS = ["0/0", "1/0", "0/1", "1/1"]


@pytest.fixture(autouse=True)
def _offline(monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")


@pytest.fixture
def space(tiny, tmp_path) -> Path:
    path = tmp_path / "space.yaml"
    path.write_text("hyperparameters:\n  gamma: [0.9, 0.99]\n")
    return path


def _records(path: Path):
    """The records of an offline run: a log of LevelDB's format after a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, position, parts = path.read_bytes(), 7, b""
    while position + 7 <= len(content):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, position)
        parts += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(parts)
            parts = b""


def _whole(path: Path):
    """The records of a run that has ended; another process of W&B's writes them a moment later."""

    def whole():
        records = list(_records(path))
        is_over = any(record.WhichOneof("record_type") == "exit" for record in records)
        return records if is_over else None

    return wait_for(whole)


def _offline_runs(job: Path):
    """The curves of the runs in a job's directory by id, and what their last record of a run says.

    Raises:
        AssertionError: a run has a step twice.
    """
    curves, runs = {}, {}
    for path in sorted(
        (job / "wandb").glob("offline-run-*/run-*.wandb"), key=lambda path: path.stat().st_mtime_ns
    ):
        for record in _whole(path):
            if record.WhichOneof("record_type") == "run":
                runs[record.run.run_id] = record.run
                curve = curves.setdefault(record.run.run_id, {})
            if record.WhichOneof("record_type") == "history":
                items = record.history.item
                told = {"/".join(item.nested_key) or item.key: item for item in items}
                values = {key: json.loads(item.value_json) for key, item in told.items()}
                step = values.pop("_step")
                assert step not in curve
                curve[step] = {key: value for key, value in values.items() if key[0] != "_"}
    return curves, runs


def _mlflow_curve(client, run: str) -> dict[int, dict[str, float]]:
    curve: dict[int, dict[str, float]] = {}
    for tag in client.get_run(run).data.metrics:
        for metric in client.get_metric_history(run, tag):
            values = curve.setdefault(metric.step, {})
            assert tag not in values
            values[tag] = metric.value
    return curve


def _same(curve, told) -> bool:
    """Whether curves are equal; TensorBoard has numbers of 32 bits."""
    rounded = {step: {k: np.float32(v) for k, v in values.items()} for step, values in told.items()}
    return bool(curve) and rounded == curve


@pytest.mark.slow
@pytest.mark.usefixtures("space")
def test_a_preview_leaves_nothing_with_the_loggers(command, tmp_path):
    pytest.importorskip("mlflow")
    done = command("tune", *SWEEP, "--preview", "loggers=[mlflow]")
    assert done.returncode == 0, done.stderr
    assert "by 3 updates of 2 permutations" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"space.yaml", "tiny.yaml"}


@pytest.mark.slow
@pytest.mark.usefixtures("space")
def test_a_sweep_appears_with_its_group_seeds_config_and_curves(command, tmp_path):
    pytest.importorskip("wandb")
    pytest.importorskip("mlflow")
    from mlflow import MlflowClient

    done = command("tune", *SWEEP, "--num-repetitions=2", "loggers=[wandb,mlflow]")
    assert done.returncode == 0, done.stderr
    sweep = tmp_path / "out/run"
    client = MlflowClient()
    (experiment,) = [one for one in client.search_experiments() if one.name != "Default"]
    assert experiment.name.startswith("run-")
    found = {
        (run.data.tags["permutation"], run.data.tags["repetition"]): run
        for run in client.search_runs([experiment.experiment_id])
    }
    assert len(found) == 4
    for job in JOBS:
        curve = read_scalars(sweep / job)
        assert list(curve) == [1, 2]
        permutation, repetition = job.split("/")
        run = found[permutation, repetition]
        assert _same(curve, _mlflow_curve(client, run.info.run_id))
        gamma = ["0.9", "0.99"][int(permutation)]
        assert (run.data.params["trainer.gamma"], run.data.params["seed"]) == (
            gamma,
            str(5 + int(repetition)),
        )
        assert (run.info.status, run.info.run_name) == ("FINISHED", f"gamma={gamma}/{repetition}")
        curves, runs = _offline_runs(sweep / job)
        ((name, told),) = runs.items()
        assert _same(curve, curves[name])
        assert (told.run_group, told.display_name) == (experiment.name, run.info.run_name)
        config = {item.key: json.loads(item.value_json) for item in told.config.update}
        assert (config["trainer"]["gamma"], config["seed"]) == (float(gamma), 5 + int(repetition))
        assert (config["permutation"], config["repetition"]) == (int(permutation), int(repetition))


@pytest.mark.parametrize("name", ["wandb", pytest.param("mlflow", marks=pytest.mark.slow)])
def test_a_job_that_goes_on_goes_on_in_its_run(name, tmp_path):
    """Updates after the last checkpoint are trained twice, and told once."""
    pytest.importorskip(name)
    job = Description("sweep-1", "gamma=0.9/0", {"seed": 1}, {"permutation": 0}, tmp_path)

    def log(first: int, last: int, mark: str, success: bool | None) -> None:
        logger = ExternalLogger(name, job, Course(mark, 9))
        logger.begin(first)
        for update in range(first + 1, last + 1):
            logger.scalars(update, 10 * update, {"episode/reward_mean": update / 4})
        logger.close(success=success)

    log(0, 5, "one", None)
    log(3, 8, "one", None)  # from a checkpoint
    log(0, 9, "one", True)  # from the start, as before the first checkpoint
    assert _runs_of(name, tmp_path) == {
        1: {n: {"episode/reward_mean": n / 4, "time/env_steps": 10 * n} for n in range(1, 10)}
    }
    log(0, 2, "another", True)
    assert set(_runs_of(name, tmp_path)) == {1, 2}


def _runs_of(name: str, job: Path) -> dict[int, dict[int, dict[str, float]]]:
    """The curves of all runs, numbered in the order in which they began."""
    if name == "wandb":
        curves = list(_offline_runs(job)[0].values())
    else:
        from mlflow import MlflowClient

        client = MlflowClient()
        experiment = client.get_experiment_by_name("sweep-1")
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id], order_by=["attributes.start_time"])
        curves = [_mlflow_curve(client, run.info.run_id) for run in runs]
    return dict(enumerate(curves, 1))


@pytest.mark.parametrize(
    ("name", "variables"),
    [
        ("wandb", {"WANDB_MODE": "online", "WANDB_BASE_URL": "http://127.0.0.1:9"}),
        pytest.param(
            "mlflow", {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}, marks=pytest.mark.slow
        ),
    ],
)
@pytest.mark.usefixtures("tiny")
def test_a_logger_that_fails_is_a_warning(name, variables, command, monkeypatch, tmp_path):
    pytest.importorskip(name)
    monkeypatch.setenv("HOME", str(tmp_path))  # where nobody is logged in
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    done = command("train", "--config-dir=.", "--config-name=tiny", f"loggers=[{name}]")
    assert done.returncode == 0, done.stderr
    (job,) = (path.parent for path in tmp_path.glob("runs/*/*/result.json"))
    assert load_result(job).status == COMPLETED
    assert (job / "train.log").read_text().count(f"{name} gets nothing more of this job") == 1


@pytest.mark.slow
def test_a_run_that_failed_once_is_told_how_its_job_ended(monkeypatch, tmp_path, caplog):
    mlflow = pytest.importorskip("mlflow")
    tracking = pytest.importorskip("neroRL.reporting.loggers.mlflow_tracking")

    def fail(*_):
        raise OSError("the disk is full")

    logger = ExternalLogger(
        "mlflow", Description("sweep", "job", {}, {}, tmp_path), Course("mark", 3)
    )
    logger.begin(0)
    logger.scalars(1, 10, {"value": 1.0})
    with monkeypatch.context() as patched:
        patched.setattr(tracking.MlflowRun, "log", fail)
        logger.scalars(2, 20, {"value": 2.0})
    logger.scalars(3, 30, {"value": 3.0})
    logger.close(success=True)
    assert caplog.text.count("mlflow gets nothing more of this job") == 1
    client = mlflow.MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("sweep").experiment_id])
    assert run.info.status == "FINISHED"
    assert list(_mlflow_curve(client, run.info.run_id)) == [1]


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
def test_without_loggers_nothing_of_them_is_imported(tmp_path):
    code = (
        "import sys, neroRL.train\n"
        "status = neroRL.train.main()\n"
        "sys.exit(status or any(name in sys.modules for name in ('wandb', 'mlflow')))"
    )
    arguments = ["--config-dir=.", "--config-name=tiny", "trainer.updates=1"]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=False)
    assert done.returncode == 0


@pytest.mark.usefixtures("space")
def test_a_logger_changes_no_result(door, monkeypatch):
    """A sweep goes on with other loggers, and finds its results."""
    config = {"seed": 3, "trainer": {"gamma": 0.9}}
    assert fingerprint(config) == fingerprint({**config, "loggers": ["mlflow"]})
    assert door("ntune", SWEEP).status == 0
    monkeypatch.setattr("neroRL.config.checks.find_spec", lambda name: name)
    again = door("ntune", [*SWEEP, "loggers=[mlflow]"])
    assert (again.status, "2 of 2 jobs are done already" in again.err) == (0, True)


@pytest.mark.usefixtures("space")
def test_loggers_cannot_be_swept(door, tmp_path):
    outcome = door("ntune", [*SWEEP, "loggers=[],[mlflow]"])
    assert (outcome.status, (tmp_path / "out").exists()) == (2, False)
    assert "loggers: says where curves go" in outcome.err


def test_a_logger_that_is_not_installed_is_a_problem(monkeypatch):
    config = build({"loggers": ["wandb"]})
    monkeypatch.setattr("neroRL.config.checks.find_spec", lambda name: None)
    (problem,) = cross_check(config)
    assert problem.path == "loggers"
    assert 'pip install "neroRL[wandb]"' in problem.message
