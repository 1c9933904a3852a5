"""Tests that running a command again continues its earlier run: nothing is lost or done twice."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import gymnasium
import pytest
import torch
import yaml
from gymnasium.envs.classic_control import CartPoleEnv
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from neroRL.config.schema import ADDED_KEYS
from neroRL.locks import held
from neroRL.records.results import read_result
from neroRL.records.sweep_record import read_record
from neroRL.records.sweeps import read_sweep
from neroRL.sweep.dispatch import Dispatch
from tests.doors.sweeps import (
    ARGUMENTS,
    PROJECT,
    assert_same_trainings,
    checkpoints,
    jobs_of,
    start,
    table,
)
from tests.once import made_once
from tests.patience import wait_for


@pytest.fixture
def finished(tiny, tmp_path, undisturbed):
    """Runs a sweep of two jobs to its end."""
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9, 0.95]\n")
    shutil.copytree(undisturbed().parents[1], tmp_path, dirs_exist_ok=True)
    return tmp_path / "out/run"


def _change(job: Path, **values) -> None:
    path = job / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize("change", ["fingerprint", "format", "truncated", "empty", "missing"])
def test_only_a_complete_result_of_the_same_config_counts(door, finished, change):
    path = finished / "1/0/result.json"
    before = json.loads(path.read_text())
    if change == "fingerprint":
        _change(finished / "1/0", fingerprint="0123456789abcdef")
    elif change == "format":
        _change(finished / "1/0", format=0)
    elif change == "truncated":
        path.write_text(path.read_text()[:-20])
    elif change == "empty":
        path.write_text("")
    else:
        path.unlink()
    other = (finished / "0/0/result.json").stat().st_mtime_ns
    again = door("ntune", ARGUMENTS)
    assert again.status == 0, again.err
    assert "1 of 2 jobs are done already" in again.err
    told = "results of 1 job are of another config or version" in again.err
    assert told == (change in ("fingerprint", "format"))
    assert ("result.json is damaged" in again.err) == (change in ("truncated", "empty"))
    assert path.with_name("result.0.json").exists() == (change != "missing")
    after = json.loads(path.read_text())
    for key in ("fingerprint", "format", "objective", "updates", "env_steps"):
        assert after[key] == before[key]
    assert (finished / "0/0/result.json").stat().st_mtime_ns == other


@pytest.mark.parametrize("fewer", ["--num-repetitions=1", "hydra.sweeper.only=[0]"])
def test_results_of_another_config_are_not_counted_where_their_jobs_are_not_asked_for(
    door, finished, fewer
):
    """As after an edit of a config group that the sweep chooses from."""
    assert door("ntune", [*ARGUMENTS, "--num-repetitions=2"]).status == 0
    _change(finished / "1/1", fingerprint="0123456789abcdef")
    again = door("ntune", [*ARGUMENTS, "--num-repetitions=2", fewer])
    assert again.status == 0, again.err
    told = "results of 1 job are of another config or version; they are kept beside"
    assert f"warning: {told}" in again.err
    assert [row["directory"] for row in table(finished)] == ["0/0", "1/0", "0/1"]
    assert {one.directory for one in read_sweep(finished).results} == {"0/0", "1/0", "0/1"}
    kept = json.loads((finished / "1/1/result.0.json").read_text())
    assert kept["fingerprint"] == "0123456789abcdef"


@pytest.mark.parametrize(
    ("choices", "options"),
    [
        ("[0.5, 0.9, 0.95]", ["hydra.sweeper.extend=true"]),
        ("[0.9, 0.95]", ["hydra.sweeper.only=[1]", "hydra.sweeper.rerun=true"]),
    ],
)
def test_jobs_that_still_run_are_not_moved(door, finished, tmp_path, choices, options):
    """As one of a cluster that outlived its command: it writes to the directory that it has."""
    (tmp_path / "space.yaml").write_text(f"hyperparameters:\n  gamma: {choices}\n")

    def files() -> dict[Path, bytes]:
        found = (path for path in finished.rglob("*") if path.is_file())
        return {path: path.read_bytes() for path in found if ".lock" not in path.name}

    before = files()
    holding = (
        "import pathlib, sys; from neroRL.locks import held\n"
        "with held(pathlib.Path(sys.argv[1]), 'training'): print(flush=True); sys.stdin.read()"
    )
    orphan = subprocess.Popen(
        [sys.executable, "-c", holding, str(finished / "1/0")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
    orphan.stdout.readline()
    refused = door("ntune", [*ARGUMENTS, *options])
    assert refused.status == 2
    assert f"1/0 is in use by another training: process {orphan.pid} on " in refused.err
    assert files() == before
    orphan.communicate()
    assert door("ntune", [*ARGUMENTS, *options]).status == 0


@pytest.mark.slow
def test_repetitions_of_some_permutations_alone_are_told_not_to_count(door, finished):
    only = [*ARGUMENTS, "hydra.sweeper.only=[0]"]
    told = "warning: repetitions from 1 on count in the ranking once all permutations have trained"
    assert told not in door("ntune", only).err
    outcome = door("ntune", [*only, "--num-repetitions=2"])
    assert told in outcome.err
    assert "1 result of later repetitions does not count yet" in outcome.out
    assert told not in door("ntune", [*only, "--num-repetitions=2"]).err  # they have trained
    assert told not in door("ntune", [*ARGUMENTS, "--num-repetitions=2"]).err


def test_a_job_that_an_orphan_of_a_killed_sweep_ends_meanwhile_is_not_run_again(
    door, finished, monkeypatch
):
    path = finished / "0/0/result.json"
    orphans = path.read_bytes()
    path.unlink()
    handed_out = Dispatch.start_next

    def start_next(self):
        job = handed_out(self)
        if job is not None:
            path.write_bytes(orphans)
        return job

    monkeypatch.setattr(Dispatch, "start_next", start_next)
    outcome = door("ntune", ARGUMENTS)
    assert outcome.status == 0, outcome.err
    assert path.read_bytes() == orphans
    assert table(finished)[0]["wall_seconds"] == str(json.loads(orphans)["wall_seconds"])
    assert "another process has done this job" in (finished / "0/0/train.log").read_text()


def test_checkpoints_of_another_config_are_set_aside(door, finished):
    """However they got there, a job trains what its own config says."""
    expected = json.loads((finished / "1/0/result.json").read_text())["objective"]
    (finished / "1/0/result.json").unlink()
    for path in (finished / "1/0/checkpoints").iterdir():
        path.unlink()
    (other,) = (finished / "0/0/checkpoints").iterdir()
    (finished / "1/0/checkpoints/run-2.pt").write_bytes(other.read_bytes())
    assert door("ntune", ARGUMENTS).status == 0
    assert (finished / "1/0/checkpoints.0/run-2.pt").exists()
    log = (finished / "1/0/train.log").read_text()
    assert "trainer.gamma: 0.9 there, 0.95 here" in log
    weights = torch.load(finished / "1/0/checkpoints/run-2.pt", weights_only=True)["config"]
    assert weights["trainer"]["gamma"] == 0.95
    assert json.loads((finished / "1/0/result.json").read_text())["objective"] == expected


@pytest.mark.slow
def test_a_job_that_fails_counts_no_update_of_another_configs_checkpoint(door, failing, tmp_path):
    failing.write_text("hyperparameters:\n  environment.reset_params.how: ['', raise]\n")
    assert door("ntune", ARGUMENTS).status == 1
    other, job = tmp_path / "out/run/0/0", tmp_path / "out/run/1/0"
    (job / "checkpoints").mkdir(exist_ok=True)
    shutil.copy(other / "checkpoints/run-2.pt", job / "checkpoints")
    assert door("ntune", ARGUMENTS).status == 1
    assert (job / "checkpoints.0/run-2.pt").exists()
    failed = json.loads((job / "result.json").read_text())
    assert (failed["status"], failed["updates"], failed["env_steps"]) == ("failed", 0, 0)


def test_a_sweep_of_a_version_that_lacked_some_keys_continues(door, finished):
    """Its record has the config of its time; the keys that came later say what it did."""
    path = finished / "sweep.yaml"
    record = yaml.safe_load(path.read_text())
    for key in ADDED_KEYS:
        *sections, name = key.split(".")
        section = record["base_config"]
        for each in sections:
            section = section[each]
        del section[name]
    del record["base_config"]["loggers"]
    path.write_text(yaml.safe_dump(record, sort_keys=False))
    again = door("ntune", ARGUMENTS)
    assert again.status == 0, again.err
    assert "2 of 2 jobs are done already" in again.err
    path.write_text(yaml.safe_dump(record, sort_keys=False))
    other = door("ntune", [*ARGUMENTS, "environment.clip_rewards=true"])
    assert other.status == 2
    assert "environment.clip_rewards: there False, now True" in other.err


def test_more_repetitions_add_seeds(door, finished):
    before = {path: path.stat().st_mtime_ns for path in finished.glob("*/*/result.json")}
    more = door("ntune", [*ARGUMENTS, "--num-repetitions=3"])
    assert more.status == 0, more.err
    assert "2 of 6 jobs are done already" in more.err
    assert [row["seed"] for row in table(finished)] == ["5", "5", "6", "6", "7", "7"]
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.slow
def test_a_key_can_be_added(door, finished, tmp_path):
    """Finished permutations get the base config's value of the new key."""
    space = tmp_path / "space.yaml"
    space.write_text("hyperparameters:\n  epochs: [2, 4]\n  gamma: [0.9, 0.95]\n")
    refused = door("ntune", ARGUMENTS)
    assert refused.status == 2
    assert "trainer.epochs: there not swept, now [2, 4]" in refused.err
    before = {row["trainer.gamma"]: row for row in table(finished)}
    more = door("ntune", [*ARGUMENTS, "hydra.sweeper.extend=true"])
    assert more.status == 0, more.err
    assert "2 of 4 jobs are done already" in more.err
    rows = table(finished)
    assert [(row["trainer.epochs"], row["trainer.gamma"]) for row in rows] == [
        ("2", "0.9"), ("2", "0.95"), ("4", "0.9"), ("4", "0.95"),
    ]  # fmt: skip
    for row in rows[2:]:
        assert row["wall_seconds"] == before[row["trainer.gamma"]]["wall_seconds"]
    assert door("ntune", ARGUMENTS).status == 0
    space.write_text("hyperparameters:\n  epochs: [2, 4]\n  gamma: [0.9, 0.95]\n  lamda: [0.5]\n")
    other = door("ntune", [*ARGUMENTS, "hydra.sweeper.extend=true"])
    assert other.status == 2
    assert "trainer.lamda is new and does not list 0.95" in other.err
    space.write_text("hyperparameters:\n  gamma: [0.9, 0.95]\n")
    gone = door("ntune", [*ARGUMENTS, "hydra.sweeper.extend=true"])
    assert "trainer.epochs is not swept any more" in gone.err


def test_a_search_space_that_is_read_differently_now_is_not_extended(door, tiny, tmp_path):
    """An earlier version may have made other permutations of what its record says."""
    space = tmp_path / "space.yaml"
    space.write_text("hyperparameters: {gamma: [0.9]}\n")
    assert door("ntune", ARGUMENTS).status == 0
    record = tmp_path / "out/run/sweep.yaml"
    record.write_text(record.read_text().replace("permutations: 1", "permutations: 2"))
    before = {path: path.read_bytes() for path in record.parent.rglob("*") if path.is_file()}
    space.write_text("hyperparameters: {gamma: [0.8, 0.9]}\n")
    refused = door("ntune", [*ARGUMENTS, "hydra.sweeper.extend=true"])
    assert refused.status == 2
    assert "this version makes other permutations of its search space" in refused.err
    assert all(path.read_bytes() == content for path, content in before.items())


def test_a_drawn_seed_can_be_listed(door, tiny, tmp_path):
    """The base config asks for a seed to be drawn; its jobs have the one that was."""
    space = tmp_path / "space.yaml"
    space.write_text("hyperparameters: {gamma: [0.9]}\n")
    drawing = [*ARGUMENTS, "seed=-1", "hydra.sweeper.extend=true"]
    assert door("ntune", drawing).status == 0
    (trained,) = table(tmp_path / "out/run")
    space.write_text("hyperparameters: {gamma: [0.9], seed: [-1, 7]}\n")
    refused = door("ntune", drawing)
    assert refused.status == 2
    assert f"seed is new and does not list {trained['seed']}" in refused.err
    space.write_text(f"hyperparameters: {{gamma: [0.9], seed: [7, {trained['seed']}]}}\n")
    more = door("ntune", drawing)
    assert more.status == 0, more.err
    assert "1 of 2 jobs are done already" in more.err
    assert [row["seed"] for row in table(tmp_path / "out/run")] == ["7", trained["seed"]]
    assert table(tmp_path / "out/run")[1]["wall_seconds"] == trained["wall_seconds"]


def test_a_diverged_job_is_a_result(door, tiny, tmp_path):
    """It is recorded and not tried again, and the other jobs continue."""
    (tmp_path / "space.yaml").write_text(
        "hyperparameters:\n  max_grad_norm: [1.0e+30]\n"
        "learning_rate_schedule:\n  initial: [1.0e+30, 1.0e-4]\n"
    )
    outcome = door("ntune", [*ARGUMENTS, "hydra.sweeper.max_retries=3"])
    assert outcome.status == 0, outcome.err
    rows = table(tmp_path / "out/run")
    assert [row["status"] for row in rows] == ["diverged", "completed"]
    assert "not finite in update" in rows[0]["error"]
    assert "2 of 2 jobs are done already" in door("ntune", ARGUMENTS).err
    # With more updates it would diverge where it did, and the other one trains on.
    longer = door("ntune", [*ARGUMENTS, "trainer.updates=4", "hydra.sweeper.extend=true"])
    assert longer.status == 0, longer.err
    assert "another config" not in longer.err
    assert "1 job to go on, up to 4 updates" in longer.err
    after = table(tmp_path / "out/run")
    assert after[0] == rows[0]
    assert (after[1]["status"], after[1]["updates"]) == ("completed", "4")


def test_a_sweep_that_another_command_has_changed_is_left_alone(door, tiny, tmp_path, monkeypatch):
    """One that planned with an older record would renumber jobs by it."""
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9]\n")
    assert door("ntune", ARGUMENTS).status == 0
    sweep = tmp_path / "out/run"

    @contextlib.contextmanager
    def late(directory, what):
        replace(read_record(directory), repetitions=2, jobs=2).write(directory)
        with held(directory, what):
            yield

    monkeypatch.setattr("neroRL.sweep.opening.held", late)
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.8, 0.9]\n")
    refused = door("ntune", [*ARGUMENTS, "hydra.sweeper.extend=true"])
    assert refused.status == 2
    assert "out/run: another command has changed the sweep meanwhile" in refused.err
    record = read_sweep(sweep).record
    assert (record.repetitions, record.permutations) == (2, 1)


@pytest.fixture
def cut_off(long, tmp_path, tmp_path_factory):
    """Runs a sweep of one job, and kills it well past its last checkpoint."""
    text = long.read_text().replace("checkpoint_interval: 5", "checkpoint_interval: 60")
    long.write_text(text.replace("updates: 60", "updates: 200"))
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9]\n")

    def run(directory):
        shutil.copytree(tmp_path, directory, dirs_exist_ok=True)
        process = start(directory, *ARGUMENTS)
        job = directory / "out/run/0/0"
        wait_for(lambda: 120 in checkpoints(job))
        time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert checkpoints(job) == [60, 120]

    shutil.copytree(made_once(tmp_path_factory, "cut-off", run), tmp_path, dirs_exist_ok=True)
    return tmp_path / "out/run/0/0"


def _curve(job: Path, tag: str) -> list[tuple[int, float]]:
    """Returns a curve as TensorBoard reads it."""
    (run,) = (job / "summaries").iterdir()
    reader = EventAccumulator(str(run), size_guidance={"tensors": 0})
    reader.Reload()
    return [(event.step, event.tensor_proto.float_val[0]) for event in reader.Tensors(tag)]


@pytest.mark.slow
def test_curves_of_a_job_that_was_cut_off_are_whole(command, cut_off, undisturbed, tmp_path):
    assert _curve(cut_off, "loss/loss")[-1][0] > 120
    again = command("tune", *ARGUMENTS)
    assert again.returncode == 0, again.stderr
    assert "continuing from run-120.pt" in (cut_off / "train.log").read_text()
    whole = undisturbed()
    assert [step for step, _ in _curve(cut_off, "loss/loss")] == list(range(1, 201))
    for tag in ("loss/loss", "episode/reward_mean", "time/env_steps"):
        assert _curve(cut_off, tag) == _curve(whole / "0/0", tag)
    assert_same_trainings(tmp_path / "out/run", whole)


@pytest.mark.slow
def test_a_truncated_checkpoint_falls_back_to_the_one_before(
    command, cut_off, undisturbed, tmp_path
):
    """The log says so, and the training continues from there."""
    last = cut_off / "checkpoints/run-120.pt"
    last.write_bytes(last.read_bytes()[:-1000])
    again = command("tune", *ARGUMENTS)
    assert again.returncode == 0, again.stderr
    log = (cut_off / "train.log").read_text()
    assert "run-120.pt cannot be read, it may be cut off" in log
    assert "continuing from run-60.pt" in log
    assert_same_trainings(tmp_path / "out/run", undisturbed())


@pytest.mark.slow
def test_temporary_files_of_a_killed_writer_are_removed(command, cut_off):
    leftovers = [
        cut_off / ".result.json.abcd1234.tmp",
        cut_off / "checkpoints/.run-180.pt.x_9zk1_q.tmp",
        cut_off.parents[1] / ".results.csv.00000000.tmp",
        cut_off / ".result.json.x_9zk1_q",  # of an earlier version
    ]
    of_a_user = cut_off / ".env.template"
    for path in (*leftovers, of_a_user):
        path.write_text("half")
    assert command("tune", *ARGUMENTS).returncode == 0
    assert not any(path.exists() for path in leftovers)
    assert of_a_user.exists()
    assert len(jobs_of(cut_off.parents[1])) == 1


class _Slow(CartPoleEnv):
    """An environment whose start moves the test's clock forward by 100 seconds."""

    wound = 0.0
    is_glass = False

    def __init__(self, **rest):
        super().__init__(**rest)
        self._count = 0
        _Slow.wound += 100.0

    def step(self, action):
        self._count += 1
        if _Slow.is_glass and self._count == 5:
            raise RuntimeError("the pole is made of glass")
        return super().step(action)


@pytest.fixture
def slow_starts(monkeypatch):
    clock = time.perf_counter
    monkeypatch.setattr(time, "perf_counter", lambda: clock() + _Slow.wound)
    gymnasium.register("Slow-v0", _Slow)
    yield
    del gymnasium.registry["Slow-v0"]


@pytest.mark.usefixtures("slow_starts")
def test_wall_seconds_begin_with_the_job_and_add_up_over_its_continuations(
    door, tiny, tmp_path, monkeypatch
):
    text = tiny.read_text().replace("type: CartPole", "type: Gymnasium")
    tiny.write_text(text.replace("CartPole-v1", "Slow-v0"))
    walls = []
    for updates in (2, 4):
        arguments = ["--config=tiny.yaml", "hydra.run.dir=job", f"trainer.updates={updates}"]
        assert door("ntrain", arguments).status == 0
        result = read_result(tmp_path / "job")
        assert result.updates == updates
        assert result.steps_per_second > 10.0  # the time of starts does not count
        walls.append(result.wall_seconds)
    # Of two environments each time; checks make some, too.
    assert walls[0] >= 200.0
    assert walls[1] >= walls[0] + 200.0
    monkeypatch.setattr(_Slow, "is_glass", True)
    assert door("ntrain", ["--config=tiny.yaml", "hydra.run.dir=job", "trainer.updates=6"]).status
    failed = read_result(tmp_path / "job")
    assert (failed.status, failed.updates, failed.env_steps) == ("failed", 4, 4 * 2 * 16)
    assert failed.wall_seconds >= walls[1] + 200.0
