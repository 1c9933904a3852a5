"""Tests that environments divided among processes train as those in one process, bit for bit."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from neroRL.config.checks import build
from neroRL.config.schema import EnvironmentConfig
from neroRL.environments import dividing
from neroRL.environments.dividing import faster_processes
from neroRL.environments.factory import make_single, make_vector
from neroRL.environments.vector.divided import DividedEnvironment
from neroRL.environments.vector.interface import EpisodeSeeds
from neroRL.environments.vector.sequential import SequentialEnvironment
from neroRL.errors import EnvironmentCrashError
from neroRL.records.results import fingerprint
from neroRL.training import checkpoint as checkpoints
from neroRL.training.placement import processes_of
from neroRL.training.trainer import train
from tests.environments.test_parallel import Moody, _assert_all_end

CPU = torch.device("cpu")
ACROBOT = {"type": "Gymnasium", "name": "Acrobot-v1", "frame_skip": 9, "last_action_to_obs": True}
PENDULUM = {
    "type": "Gymnasium",
    "name": "Pendulum-v1",
    "frame_skip": 7,
    "normalize_vector_obs": True,
    "normalize_returns": True,
}
SLOW = """
import time
import gymnasium
import numpy as np
from gymnasium import spaces


class Slow(gymnasium.Env):
    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, seconds=0.01):
        self.seconds = seconds

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        time.sleep(self.seconds)
        return self.np_random.random(2, np.float32), 0.0, False, False, {}


gymnasium.register("Slow-v0", Slow)
"""


def _seeds(count):
    return [EpisodeSeeds(np.random.default_rng(worker), 0, 50) for worker in range(count)]


def _config(environment, processes, updates, **rest):
    return build(
        {
            "environment": {**environment, "processes": processes},
            "model": {"num_hidden_layers": 1, "num_hidden_units": 8, "num_vec_encoder_units": 8},
            "sampler": {"n_workers": 5, "worker_steps": 40},
            "trainer": {"updates": updates, "n_mini_batches": 2, "epochs": 1},
            "seed": 3,
            "threads": 1,
            "device": "cpu",
            **rest,
        }
    )


def _trained(directory, config, checkpoint=None):
    result = train(config, directory, checkpoint=checkpoint)
    path, content = checkpoints.load_latest(directory, CPU)
    return result, content, path


@pytest.mark.parametrize("environment", [ACROBOT, PENDULUM])
def test_trains_as_in_one_process(environment, tmp_path):
    alone, here, _ = _trained(tmp_path / "0", _config(environment, 0, 4))
    divided, there, _ = _trained(tmp_path / "2", _config(environment, 2, 4))
    assert (alone.processes, divided.processes) == (0, 2)
    assert alone.reward_mean == divided.reward_mean is not None
    for name, weights in here.model.items():
        assert torch.equal(weights, there.model[name]), name
    assert repr(here.environment) == repr(there.environment)
    assert repr(here.normalization) == repr(there.normalization)


def test_continues_in_other_processes(tmp_path):
    _, whole, _ = _trained(tmp_path / "whole", _config(PENDULUM, 0, 4))
    *_, half = _trained(tmp_path / "half", _config(PENDULUM, 3, 2))
    for processes in (0, 2):
        directory = tmp_path / str(processes)
        _, done, _ = _trained(directory, _config(PENDULUM, processes, 4), half)
        for name, weights in whole.model.items():
            assert torch.equal(weights, done.model[name]), name


def test_shares_are_even_and_none_is_empty():
    config = EnvironmentConfig(**ACROBOT)
    for processes, shares in ((2, [0, 3]), (9, [0, 1, 2, 3, 4])):
        env = DividedEnvironment(
            [partial(make_single, config, n) for n in range(5)], _seeds(5), "Acrobot", processes
        )
        try:
            assert env._first == shares
        finally:
            env.close()


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("raise", ZeroDivisionError, "not today"),
        ("kill", EnvironmentCrashError, "was killed by SIGKILL"),
        ("start", ValueError, "it is too early"),
    ],
)
def test_errors_of_a_process_arrive_as_causes_and_no_process_is_left(how, error, message, tmp_path):
    makers = [
        partial(Moody, "well" if worker != 2 else how, tmp_path / str(worker))
        for worker in range(4)
    ]

    def play():
        env = DividedEnvironment(makers, _seeds(4), "Moody", 2)
        try:
            env.restart()
            for _ in range(3):
                env.advance(np.zeros((4, 1), np.int64))
        finally:
            env.close()

    with pytest.raises(error, match=message) as caught:
        play()
    if error is not EnvironmentCrashError:
        assert "in the environment's process" in str(caught.value.__cause__)
    _assert_all_end(tmp_path)


@pytest.mark.slow
def test_no_process_outlives_a_killed_training(tmp_path):
    code = f"""
import numpy as np, time
from functools import partial
from pathlib import Path
from neroRL.environments.vector.divided import DividedEnvironment
from tests.environments.test_divided import Moody, _seeds
makers = [partial(Moody, "well", Path({str(tmp_path)!r}) / str(n)) for n in range(3)]
env = DividedEnvironment(makers, _seeds(3), "Moody", 2)
print("started", flush=True)
time.sleep(100)
"""
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"started\n"
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    _assert_all_end(tmp_path)


@pytest.fixture
def slow(tmp_path, monkeypatch):
    (tmp_path / "slow.py").write_text(SLOW)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return {"type": "Gymnasium", "name": "slow:Slow-v0"}


def test_slow_environments_choose_processes_and_quick_ones_none(slow, monkeypatch):
    assert faster_processes(EnvironmentConfig(**slow), 4, 2) == 2
    assert faster_processes(EnvironmentConfig(**slow), 4, 1) == 0
    batched = EnvironmentConfig(type="CartPole", name="CartPole-v1")
    assert faster_processes(batched, 4, 2) == 0
    # On a busy machine, a step may take long in any environment.
    monkeypatch.setattr("neroRL.environments.dividing._seconds", lambda _: 4e-4)
    assert faster_processes(EnvironmentConfig(**slow), 4, 2) == 0


@pytest.mark.parametrize(("refusing", "where"), [(2, "in 2 processes"), (0, "here")])
def test_what_cannot_be_stepped_in_processes_stays_here(refusing, where, monkeypatch, caplog):
    def refused(*_, processes=0, **__):
        if processes == refusing:
            raise ValueError("not there")
        return make_vector(*_, **__)

    caplog.set_level(logging.INFO, "neroRL.environments")
    monkeypatch.setattr(dividing, "make_vector", refused)
    monkeypatch.setattr(dividing, "LEAST_SECONDS", 0.0)
    assert faster_processes(EnvironmentConfig(**ACROBOT), 4, 2) == 0
    told = f"Acrobot-v1 is stepped here: trying it {where} failed: ValueError: not there"
    assert told in caplog.text


def test_the_number_is_kept_bounded_and_no_part_of_the_job(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "neroRL.training.placement.faster_processes",
        lambda environment, n_workers, most: asked.append((n_workers, most)) or most,
    )
    config = _config(ACROBOT, "auto", 1)
    assert processes_of(config, 1, None) == processes_of(config, 1, 2) == 0
    assert asked == []  # in a sweep each core has a job: nothing is measured
    assert (processes_of(config, 3, 2), processes_of(config, 2, 4)) == (2, 2)
    assert asked == []
    assert processes_of(config, 16, None) == 5
    assert asked == [(5, 5)]
    assert processes_of(_config(ACROBOT, 9, 1), 1, None) == 5
    marks = {fingerprint({"environment": {**ACROBOT, "processes": n}}) for n in ("auto", 0, 2)}
    assert marks == {fingerprint({"environment": ACROBOT})}


def test_environments_that_step_as_arrays_are_not_divided(tmp_path):
    environment = {"type": "CartPole", "name": "CartPole-v1"}
    result = train(_config(environment, 2, 1), tmp_path)
    assert result.processes == 0


def test_an_error_while_others_answer_does_not_delay_the_end():
    config = EnvironmentConfig(
        type="Gymnasium", name="Acrobot-v1", obs_stacks=1000
    )  # 24 kB an observation, more than a pipe holds for 40 environments
    env = DividedEnvironment(
        [partial(make_single, config, n) for n in range(40)], _seeds(40), "Acrobot", 2
    )
    env.restart()
    for process in env._processes:
        process.send("step_all", np.zeros((20, 1), np.int64))
    began = time.monotonic()
    env.close()
    assert time.monotonic() - began < 5.0


def test_results_equal_a_sequential_environment_step_by_step():
    config = EnvironmentConfig(**ACROBOT)
    makers = [partial(make_single, config, n) for n in range(3)]
    divided = DividedEnvironment(makers, _seeds(3), "Acrobot", 2)
    single = SequentialEnvironment([make() for make in makers], _seeds(3), "Acrobot")
    try:
        (ours, _), (theirs, _) = divided.reset(), single.reset()
        generator = np.random.default_rng(0)
        episodes = 0
        for _ in range(150):
            np.testing.assert_array_equal(ours["vector"], theirs["vector"])
            actions = generator.integers(3, size=(3, 1))
            ours, *rest, info = divided.step(actions)
            theirs, *other, other_info = single.step(actions)
            for mine, wanted in zip(rest, other, strict=True):
                np.testing.assert_array_equal(mine, wanted)
            assert list(info.get("episodes", ())) == list(other_info.get("episodes", ()))
            episodes += len(info.get("episodes", ()))
        assert episodes >= 6
        assert divided.state_dict() == single.state_dict()
    finally:
        divided.close()
