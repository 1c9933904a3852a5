"""Tests that each single training has its own directory, whose files describe that training."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
import yaml
from filelock import FileLock

from tests.doors.sweeps import ARGUMENTS, PROJECT, assert_equal, checkpoints
from tests.evaluation.policies import tiny_policy
from tests.patience import PATIENCE, wait_for

NTRAIN = ["-c", "import sys; from neroRL.train import ntrain; sys.exit(ntrain())"]


def _start(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *NTRAIN, "--config=tiny.yaml", "--run-id=run", *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _model(job: Path) -> dict[str, torch.Tensor]:
    return torch.load(job / "checkpoints/run-2.pt", weights_only=True)["model"]


@pytest.mark.slow
def test_trainings_that_start_at_the_same_time(door, tiny, tmp_path):
    """Directories are named by the year of the start here, so all of them are equal."""
    seeds = range(1, 5)
    started = [_start(tmp_path, f"--seed={seed}", "hydra.run.dir=out/${now:%Y}") for seed in seeds]
    for process in started:
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, output
    jobs = sorted((tmp_path / "out").iterdir())
    year = jobs[0].name
    assert [job.name for job in jobs] == [year, f"{year}-1", f"{year}-2", f"{year}-3"]
    found = {}
    for job in jobs:
        config = yaml.safe_load((job / ".hydra/config.yaml").read_text())
        found[config["seed"]] = job
        assert json.loads((job / "result.json").read_text())["seed"] == config["seed"]
        assert (job / "train.log").read_text().count("saved run-2.pt") == 1
    assert sorted(found) == list(seeds)
    for seed, job in found.items():
        command = ["--config=tiny.yaml", "--run-id=run", f"--seed={seed}"]
        alone = tmp_path / f"alone-{seed}"
        assert door("ntrain", [*command, f"hydra.run.dir={alone}"]).status == 0
        assert_equal(_model(job), _model(alone), str(job))


def test_generated_configs_in_the_same_second(door, tiny, tmp_path, monkeypatch):
    """Does what a shell loop over generated configs does, with a clock that stands still."""
    from datetime import datetime

    class Still(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2030, 1, 2, 3, 4, 5)

    monkeypatch.setattr("hydra.core.utils.datetime", Still)
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9, 0.95, 0.99]\n")
    assert door("ntune", [*ARGUMENTS, "--generate-only"]).status == 0
    for number in range(3):
        command = [f"--config=out/configs/{number}.yaml", "--out=runs", "--run-id=run"]
        outcome = door("ntrain", command)
        assert outcome.status == 0, outcome.err
        assert "another process" not in outcome.out + outcome.err
    names = ["2030-01-02_03-04-05", "2030-01-02_03-04-05-1", "2030-01-02_03-04-05-2"]
    assert sorted(path.name for path in (tmp_path / "runs/run").iterdir()) == names
    gammas = [
        torch.load(tmp_path / f"runs/run/{name}/checkpoints/run-2.pt", weights_only=True)["config"][
            "trainer"
        ]["gamma"]
        for name in names
    ]
    assert gammas == [0.9, 0.95, 0.99]


@pytest.mark.slow
def test_a_chosen_directory_has_one_training_at_a_time(door, long, tmp_path):
    first = _start(tmp_path, "--seed=1", "hydra.run.dir=here", "trainer.updates=100000")
    try:
        wait_for(lambda: checkpoints(tmp_path / "here"))
        command = ["--config=tiny.yaml", "--run-id=run", "--seed=2", "hydra.run.dir=here"]
        before = (tmp_path / "here/.hydra/config.yaml").read_text()
        second = door("ntrain", command)
        assert second.status == 2
        holder = f"here is in use by another training: process {first.pid} on "
        assert holder in second.err
        assert (tmp_path / "here/.hydra/config.yaml").read_text() == before
        assert yaml.safe_load(before)["seed"] == 1
    finally:
        first.send_signal(signal.SIGINT)
        output, _ = first.communicate(timeout=PATIENCE)
    assert first.returncode == 130, output
    last = tmp_path / f"here/checkpoints/run-{checkpoints(tmp_path / 'here')[-1]}.pt"
    assert torch.load(last, weights_only=True)["config"]["seed"] == 1
    third = door("ntrain", [*command, "trainer.updates=1"])
    assert third.status == 0, third.err  # no process works there any more
    assert not (tmp_path / "here/.lock-holder").exists()


@pytest.mark.slow
@pytest.mark.parametrize("same", [True, False])
def test_a_job_that_another_process_trains_is_taken_over_if_its_config_is_equal(
    door, tiny, tmp_path, same
):
    """A job waits for another process in its directory, and then checks what it has trained."""
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9, 0.95]\n")
    assert door("ntune", ARGUMENTS).status == 0
    mine, other = tmp_path / "out/run/1/0", tmp_path / "out/run/0/0"
    result = ((mine if same else other) / "result.json").read_text()
    weights = _model(mine)
    for path in (mine / "result.json", mine / "checkpoints/run-2.pt", mine / "train.log"):
        path.unlink()
    lock = FileLock(mine / ".lock", thread_local=False)
    lock.acquire()

    def work() -> None:
        wait_for(lambda: "waiting for its end" in (mine / "train.log").read_text()
                 if (mine / "train.log").exists() else False)  # fmt: skip
        (mine / "result.json").write_text(result)
        lock.release()

    worker = threading.Thread(target=work)
    worker.start()
    outcome = door("ntune", ARGUMENTS)
    worker.join()
    assert outcome.status == 0, outcome.err
    log = (mine / "train.log").read_text()
    assert ("another process has done this job" in log) == same
    assert json.loads((mine / "result.json").read_text())["overrides"] == {"trainer.gamma": 0.95}
    if not same:
        assert_equal(_model(mine), weights, "trained anew")


def test_a_failed_training_is_reported_in_one_line(door, failing, tmp_path):
    how = "environment.reset_params.how=raise"
    outcome = door("ntrain", ["--config=tiny.yaml", "--out=out", how])
    assert outcome.status == 1
    (log,) = (tmp_path / "out").rglob("train.log")
    told = "error: the training failed: RuntimeError: the pole is made of glass; its traceback is "
    assert outcome.err.splitlines()[-1] == f"{told}in {log.relative_to(tmp_path)}"
    assert "Traceback" not in outcome.err + outcome.out
    assert "Traceback" in log.read_text()


def test_an_environment_that_a_checkpoint_cannot_have_here_is_blamed_on_the_checkpoint(
    door, tmp_path
):
    checkpoint, _ = tiny_policy(tmp_path / "job", updates=1)
    content = torch.load(checkpoint, weights_only=True)
    content["config"]["environment"]["name"] = "MiniGrid-MemoryS77-v0"
    torch.save(content, checkpoint)
    outcome = door("ntrain", [f"--checkpoint={checkpoint}", "--num-updates=1", "--out=out"])
    assert outcome.status == 2
    (told,) = [line for line in outcome.err.splitlines() if line.startswith("error")]
    assert told.startswith(f"error: {checkpoint}: environment.name: MiniGrid-MemoryS77-v0 is no")
    assert not (tmp_path / "out").exists()


def test_a_branch_keeps_what_the_training_had_after_it(door, tiny, tmp_path):
    command = ["--config=tiny.yaml", "--run-id=run", "hydra.run.dir=job"]
    often = "model.checkpoint_interval=1"
    assert door("ntrain", [*command, often, "trainer.updates=4"]).status == 0
    job = tmp_path / "job"
    before = {path.name: path.read_bytes() for path in (job / "checkpoints").iterdir()}
    result = (job / "result.json").read_bytes()
    branch = ["--checkpoint=job/checkpoints/run-2.pt", "--num-updates=1", "trainer.gamma=0.5"]
    outcome = door("ntrain", [*branch, often, *command[1:]])
    assert outcome.status == 0, outcome.err
    assert "checkpoints of after update 2 are kept in" in outcome.err + outcome.out
    kept = {path.name: path.read_bytes() for path in (job / "checkpoints.0").iterdir()}
    assert kept == {name: before[name] for name in ("run-3.pt", "run-4.pt")}
    assert (job / "result.0.json").read_bytes() == result
    assert checkpoints(job) == [1, 2, 3]
    # The branch goes on as a training does: nothing is put beside again.
    shutil.copy(job / "checkpoints/run-3.pt", tmp_path / "best.pt")
    outcome = door("ntrain", ["--checkpoint=best.pt", "--num-updates=1", *command])
    assert outcome.status == 0, outcome.err
    assert checkpoints(job)[-1] == 4
    assert not (job / "checkpoints.1").exists()
