"""Tests whole jobs and sweeps of Unity environments with a peer that plays Unity."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from neroRL.config.checks import build
from neroRL.environments.unity import protocol
from neroRL.environments.vector.interface import EpisodeSeeds
from neroRL.records.results import read_result
from neroRL.training import checkpoint as checkpoints
from neroRL.training import evaluations, rollout, trainer
from tests.conftest import TINY
from tests.environments.unity_peer import TOWER, Behaviour, living, records, write_peer
from tests.patience import PATIENCE, wait_for

pytestmark = pytest.mark.usefixtures("ports")

ARGUMENTS = ["--config=unity.yaml", "--tune=space.yaml", "--run-id=run", "--out=out"]
FIRST_PORT = 5005 + 100
DOOR = "import sys; from neroRL.{} import {} as door; sys.exit(door())"


@pytest.fixture
def peer(tmp_path: Path) -> Path:
    """Writes a peer and ``unity.yaml``, which trains on it; returns the peer's path."""
    path = write_peer(tmp_path / "peer", Behaviour(branches=[3, 2]))
    params = "{num-seeds: 1000, crash-at: 0, hang-at: 0}"
    unity = f"type: Unity\n  name: ./peer/peer\n  reset_params: {params}"
    (tmp_path / "unity.yaml").write_text(TINY.replace("type: CartPole\n  name: CartPole-v1", unity))
    return path


def _expected_seeds(seed: int, worker: int, count: int) -> list[int]:
    generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, worker])))
    seeds = EpisodeSeeds(generator, 0, 1000)
    return [seeds.next() for _ in range(count)]


def _played(events: list[dict]) -> list[int]:
    resets = [event["parameters"] for event in events if event["event"] == "reset"]
    return [int(reset["seed"]) for reset in resets if "seed" in reset]


def _actions(events: list[dict]) -> list[list[int]]:
    return [event["action"] for event in events if event["event"] == "step"]


def _assert_no_port_is_shared(path: Path) -> None:
    lives = [(e[0]["port"], e[0]["time"], e[-1]["time"]) for e in records(path)]
    for (port, begin, end), (other, other_begin, other_end) in combinations(lives, 2):
        assert port != other or end < other_begin or other_end < begin


def _start(tmp_path: Path, module: str, door: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", DOOR.format(module, door), *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _spy(monkeypatch) -> list[np.ndarray]:
    """Collects the actions of each later rollout, shape (steps, workers, numbers of an action)."""
    sampled: list[np.ndarray] = []
    collect = rollout.collect

    def spied(environment, actor, steps, config, **options):
        collected = collect(environment, actor, steps, config, **options)
        sampled.append(collected.actions.reshape(steps, environment.num_envs, -1).numpy())
        return collected

    monkeypatch.setattr(trainer, "collect", spied)
    return sampled


def test_every_worker_gets_its_seeds_and_the_sampled_actions(tmp_path, peer, monkeypatch):
    mapping = {
        "environment": {"type": "Unity", "name": str(peer), "reset_params": {"num-seeds": 1000}},
        "model": {"num_hidden_units": 8, "recurrence": {"sequence_length": 8}},
        "sampler": {"n_workers": 2, "worker_steps": 16},
        "trainer": {"updates": 2, "n_mini_batches": 2},
        "seed": 5,
        "threads": 1,
        "worker_id": 100,
    }
    sampled = _spy(monkeypatch)
    outcome = trainer.train(build(mapping), tmp_path / "job")
    assert (outcome.status, outcome.env_steps) == ("completed", 64)
    assert outcome.length_mean == 5.0
    assert living(peer) == []
    peers = sorted(records(peer), key=lambda events: events[0]["port"])
    assert [events[0]["port"] for events in peers] == [FIRST_PORT, FIRST_PORT + 1]
    for worker, events in enumerate(peers):
        assert _played(events) == _expected_seeds(5, worker, 7)
        assert _actions(events) == np.concatenate(sampled)[:, worker].tolist()


@pytest.mark.parametrize(
    ("branches", "memory"),
    [([], {}), ([3, 2], {"recurrence": {"sequence_length": 8}})],
    ids=["continuous", "mixed"],
)
def test_unity_gets_numbers_clipped_and_the_loss_keeps_them(
    tmp_path, monkeypatch, branches, memory
):
    path = write_peer(tmp_path / "peer", Behaviour(branches=branches, continuous=2))
    mapping = {
        "environment": {"type": "Unity", "name": str(path)},
        "model": {"num_hidden_units": 8, "log_std_init": 0.5, "checkpoint_interval": 1, **memory},
        "sampler": {"n_workers": 2, "worker_steps": 16},
        "trainer": {"updates": 2, "n_mini_batches": 2},
        "seed": 5,
        "threads": 1,
        "worker_id": 100,
        "device": "cpu",
    }
    sampled = _spy(monkeypatch)
    outcome = trainer.train(build(mapping), tmp_path / "job")
    assert (outcome.status, outcome.env_steps) == ("completed", 64)
    kept = np.concatenate(sampled)
    assert (kept.dtype, kept.shape) == (np.float32, (32, 2, len(branches) + 2))
    choices, numbers = kept[..., : len(branches)], kept[..., len(branches) :]
    # With this deviation about half of the numbers are beyond the bounds.
    assert 0.4 < (np.abs(numbers) > 1.0).mean() < 0.7
    assert set(np.unique(choices)) <= {0.0, 1.0, 2.0}
    peers = sorted(records(path), key=lambda events: events[0]["port"])
    for worker, events in enumerate(peers):
        taken = [event for event in events if event["event"] == "step"]
        assert [event["action"] for event in taken] == choices[:, worker].tolist()
        clipped = np.clip(numbers[:, worker], -1.0, 1.0)
        assert [event["numbers"] for event in taken] == clipped.tolist()
    first, last = (_deviations(tmp_path / "job", update) for update in (1, 2))
    assert first != last
    assert np.abs(np.array(first) - 0.5).max() < 0.01


def _deviations(directory: Path, update: int) -> list[float]:
    path = checkpoints.checkpoint_path(directory, "default", update)
    weights = checkpoints.load(path, torch.device("cpu")).model
    (found,) = [weights[name] for name in weights if name.endswith("log_std")]
    return found.tolist()


def test_a_job_has_ports_for_its_evaluation_too(door, tmp_path, peer):
    evaluation = [
        "evaluation.evaluate=true",
        "evaluation.n_workers=1",
        "evaluation.seeds.start-seed=7",
        "evaluation.seeds.num-seeds=2",
    ]
    outcome = door(
        "ntrain", ["--config=unity.yaml", "hydra.run.dir=job", "--worker-id=100", *evaluation]
    )
    assert outcome.status == 0, outcome.err
    assert "ports 5105 to 5107, worker ids from 100 on" in (tmp_path / "job/train.log").read_text()
    assert living(peer) == []
    by_port = {events[0]["port"]: events for events in records(peer)}
    assert sorted(by_port) == [FIRST_PORT, FIRST_PORT + 1, FIRST_PORT + 2]
    assert _played(by_port[FIRST_PORT + 2])[:2] == [7, 8]


def test_the_floor_of_the_tower_is_a_statistic(tmp_path):
    path = write_peer(tmp_path / "tower", TOWER)
    mapping = {
        "environment": {"type": "ObstacleTower", "name": str(path)},
        "model": {"num_hidden_units": 8},
        "sampler": {"n_workers": 1, "worker_steps": 16},
        "trainer": {"updates": 1, "n_mini_batches": 2, "epochs": 1},
        "seed": 5,
        "worker_id": 100,
    }
    shown = {}

    class Sink:
        def begin(self, update):
            pass

        def scalars(self, update, env_steps, values):
            shown.update(values)

        def flush(self):
            pass

    trainer.train(build(mapping), tmp_path / "job", summaries=Sink())
    assert [shown[f"episode/floor_{part}"] for part in ("mean", "min", "max")] == [3.0, 3.0, 3.0]


@pytest.mark.slow
def test_a_continued_training_starts_its_episodes_again(door, tmp_path, peer):
    arguments = ["--config=unity.yaml", "hydra.run.dir=job", "--worker-id=100"]
    assert door("ntrain", arguments).status == 0
    before = {events[0]["port"]: _played(events) for events in records(peer)}
    first = {events[0]["pid"] for events in records(peer)}
    outcome = door("ntrain", [*arguments, "--num-updates=3"])
    assert outcome.status == 0, outcome.err
    log = (tmp_path / "job/train.log").read_text()
    assert "the running episodes start again" in log
    again = [events for events in records(peer) if events[0]["pid"] not in first]
    assert len(again) == 2
    for events in again:
        port = events[0]["port"]
        assert _played(events)[0] == before[port][-1]
        expected = _expected_seeds(5, port - FIRST_PORT, len(before[port]) + 3)
        assert (before[port] + _played(events)[1:]) == expected
    result = read_result(tmp_path / "job")
    assert result is not None
    assert (result.updates, result.env_steps) == (3, 96)


def test_an_evaluation_that_does_not_start_ends_the_others(tmp_path, peer, monkeypatch):
    def fail(*_):
        assert len(living(peer)) == 2
        raise ValueError("no evaluation today")

    monkeypatch.setattr(evaluations, "_environment", fail)
    mapping = {
        "environment": {"type": "Unity", "name": str(peer)},
        "sampler": {"n_workers": 1},
        "evaluation": {"evaluate": True},
        "seed": 5,
        "worker_id": 100,
    }
    with pytest.raises(ValueError, match="no evaluation today"):
        trainer.train(build(mapping), tmp_path / "job")
    assert living(peer) == []


def _assert_sweep(tmp_path: Path, peer: Path, jobs: int, peers: int, monkeypatch) -> None:
    with (tmp_path / "out/run/results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["completed"] * jobs
    assert living(peer) == []
    assert len(records(peer)) == peers
    _assert_no_port_is_shared(peer)
    assert all(events[-1]["event"] == "end" for events in records(peer))
    told = sorted((_played(events), _actions(events)) for events in records(peer))
    expected = []
    for row in rows:
        directory = tmp_path / "out/run" / row["directory"]
        log = (directory / "train.log").read_text()
        block = next(line for line in log.splitlines() if "worker ids from" in line)
        first = int(block.partition("ports ")[2].split()[0])
        assert f"ports {first} to {first + int(row['sampler.n_workers']) - 1}" in block
        expected += _trained_alone(directory, monkeypatch)
    assert told == sorted(expected)


def _trained_alone(directory: Path, monkeypatch) -> list[tuple[list[int], list[list[int]]]]:
    """Trains a job of a sweep again by itself; returns each worker's seeds and sampled actions."""
    config = build(yaml.safe_load((directory / ".hydra/config.yaml").read_text()))
    config = dataclasses.replace(config, worker_id=200)
    sampled = _spy(monkeypatch)
    again = directory / "again"
    config.environment.name = str(write_peer(again / "peer", Behaviour(branches=[3, 2])))
    trainer.train(config, again)
    actions = np.concatenate(sampled)
    return [
        (_expected_seeds(config.seed, worker, 4), actions[:, worker].tolist())
        for worker in range(config.sampler.n_workers)
    ]


@pytest.fixture
def one_update(tmp_path, peer):
    path = tmp_path / "unity.yaml"
    path.write_text(path.read_text().replace("updates: 2", "updates: 1"))


@pytest.mark.slow
@pytest.mark.usefixtures("one_update")
def test_a_sweep_of_workers_two_jobs_at_a_time(door, tmp_path, peer, monkeypatch):
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  sampler.n_workers: [2, 4]\n")
    outcome = door("ntune", [*ARGUMENTS, "--worker-id=100", "hydra.sweeper.n_jobs=2"])
    assert outcome.status == 0, outcome.err
    _assert_sweep(tmp_path, peer, jobs=2, peers=6, monkeypatch=monkeypatch)
    assert min(events[0]["port"] for events in records(peer)) == FIRST_PORT


@pytest.mark.slow
@pytest.mark.usefixtures("one_update")
@pytest.mark.parametrize("launcher", ["own", "joblib"])
def test_a_grid_with_repetitions(door, tmp_path, peer, launcher, monkeypatch):
    (tmp_path / "space.yaml").write_text(
        "hyperparameters:\n  sampler.n_workers: [2, 4]\n  gamma: [0.9, 0.99]\n"
    )
    how = ["hydra.sweeper.n_jobs=2"]
    if launcher == "joblib":
        how = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    more = ["--worker-id=100", "--num-repetitions=2", *how]
    outcome = door("ntune", [*ARGUMENTS, *more])
    assert outcome.status == 0, outcome.err
    _assert_sweep(tmp_path, peer, jobs=8, peers=24, monkeypatch=monkeypatch)


@pytest.mark.slow
def test_a_crash_fails_its_job_only(door, tmp_path, peer):
    (tmp_path / "space.yaml").write_text(
        "hyperparameters:\n  environment.reset_params.crash-at: [0, 3, 0, 0]\n"
    )
    more = ["trainer.updates=1", "sampler.n_workers=1", "hydra.sweeper.n_jobs=2"]
    outcome = door("ntune", [*ARGUMENTS, "--worker-id=100", *more])
    assert outcome.status == 1, outcome.err
    results = [read_result(tmp_path / f"out/run/{number}/0") for number in range(4)]
    assert [r.status for r in results if r] == ["completed", "failed", "completed", "completed"]
    failed = json.loads((tmp_path / "out/run/1/0/result.json").read_text())
    assert failed["error"].startswith("EnvironmentCrashError: Unity at port 51")
    assert failed["error"].endswith("ended with status 7")
    log = (tmp_path / "out/run/1/0/train.log").read_text()
    assert "in the environment's process:" in log
    assert "unity/client.py" in log  # the traceback in the environment's process
    assert living(peer) == []


def test_a_crash_in_a_single_training_counts_as_a_failure_and_not_as_bad_input(
    door, tmp_path, peer
):
    arguments = ["--config=unity.yaml", "hydra.run.dir=job", "--worker-id=100"]
    outcome = door("ntrain", [*arguments, "environment.reset_params.crash-at=3"])
    assert outcome.status == 1, outcome.err
    assert "EnvironmentCrashError: Unity at port 51" in outcome.err
    assert "ended with status 7" in outcome.err
    result = read_result(tmp_path / "job")
    assert result is not None
    assert (result.status, result.transient) == ("failed", True)
    assert living(peer) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGKILL, -9),
        (signal.SIGINT, 130),
        (signal.SIGTERM, 130),
    ],
)
def test_no_process_outlives_a_sweep(tmp_path, peer, number, status):
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9, 0.99]\n")
    more = ["--worker-id=100", "trainer.updates=100000", "hydra.sweeper.n_jobs=2"]
    process = _start(tmp_path, "tune", "main", *ARGUMENTS, *more)
    wait_for(lambda: sum(len(_actions(events)) > 20 for events in records(peer)) == 4)
    assert len(living(peer)) == 8
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == status, output
    wait_for(lambda: not living(peer))
    saved = list(tmp_path.glob("out/run/*/0/checkpoints/run-*.pt"))
    assert len(saved) == (0 if status == -9 else 2)


@pytest.mark.slow
def test_a_second_interrupt_ends_a_job_that_hangs(tmp_path, peer):
    arguments = ["--config=unity.yaml", "hydra.run.dir=job", "--worker-id=100"]
    process = _start(tmp_path, "train", "ntrain", *arguments, "environment.reset_params.hang-at=3")
    wait_for(lambda: sum(len(_actions(events)) == 3 for events in records(peer)) == 2)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    time.sleep(1.0)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, output
    wait_for(lambda: not living(peer))


@pytest.mark.parametrize("kind", ["missing", "directory", "not executable"])
def test_an_executable_that_cannot_run_is_refused(door, tmp_path, peer, kind):
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9, 0.99]\n")
    name, message = f"{tmp_path}/peer/pear", "does not exist, nor does it with .x86_64 behind it"
    if kind == "directory":
        name, message = f"{tmp_path}/peer", "is a directory; expected the executable in it"
    if kind == "not executable":
        peer.with_suffix(".x86_64").chmod(0o644)
        name, message = f"{peer}.x86_64", f"is not executable; make it so with: chmod +x {peer}"
    (tmp_path / "unity.yaml").write_text(f"environment:\n  type: Unity\n  name: {name}\n")
    for arguments in (("ntune", ARGUMENTS), ("ntrain", [ARGUMENTS[0], "--out=out"])):
        outcome = door(*arguments)
        assert outcome.status == 2
        assert f"unity.yaml:3: environment.name: {name} {message}" in outcome.err
        assert "Traceback" not in outcome.err
        assert not (tmp_path / "out").exists()


def test_a_missing_package_is_refused(door, tmp_path, peer, monkeypatch):
    monkeypatch.setattr(protocol, "is_installed", lambda: False)
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9, 0.99]\n")
    outcome = door("ntune", ARGUMENTS)
    assert outcome.status == 2
    assert 'not installed: pip install "neroRL[unity]"' in outcome.err
    assert not (tmp_path / "out").exists()


def test_too_few_ports_are_refused(door, tmp_path, peer):
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  sampler.n_workers: [2, 4]\n")
    outcome = door("ntune", [*ARGUMENTS, "--worker-id=60528"])
    assert outcome.status == 2
    assert "60528 needs ports up to 65536; ports end at 65535" in outcome.err
    assert not (tmp_path / "out").exists()


def test_peers_that_share_a_port_would_be_found(peer):
    directory = peer.parent / "records"
    for number, (begin, end) in enumerate([(1.0, 3.0), (2.0, 4.0)]):
        lines = [{"event": "start", "port": 7, "time": begin}, {"event": "end", "time": end}]
        (directory / f"{number}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(AssertionError):
        _assert_no_port_is_shared(peer)
