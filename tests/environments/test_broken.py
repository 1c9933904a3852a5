"""Environments that break their contract fail the training with an error that names the place."""

from __future__ import annotations

import json

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from neroRL.config.checks import build
from neroRL.environments.factory import make_vector
from neroRL.environments.vector.interface import EpisodeSeeds
from neroRL.environments.vector.parallel import ParallelEnvironment
from neroRL.environments.wrappers.episode_statistics import EpisodeStatistics
from neroRL.errors import BrokenEnvironmentError
from neroRL.training.trainer import train

MODULE = """
import gymnasium, numpy as np
from gymnasium import spaces

class Breaking(gymnasium.Env):
    '''Gives something odd in the fifth step of the episodes with an odd seed.'''

    observation_space = spaces.Box(-1e4, 1e4, (3,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, gives="nothing"):
        self._gives = gives

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._seed, self._step = seed, 0
        return np.zeros(3, np.float32), {}

    def step(self, action):
        self._step += 1
        observation, reward = np.full(3, 1.0, np.float32), 0.5
        if self._step == 5 and self._seed % 2:
            if self._gives == "reward":
                reward = float("nan")
            if self._gives == "large reward":
                reward = 1e300
            if self._gives == "observation":
                observation[1] = np.inf
            if self._gives == "shape":
                observation = observation[:1]
            if self._gives == "large observation":
                observation[...] = 1e30
        return observation, reward, False, self._step == 9, {}

gymnasium.register("Breaking-v0", Breaking)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module whose environment breaks."""
    (tmp_path / "breaking_environment.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")


def _config(gives: str) -> dict:
    return {
        "environment": {
            "type": "Gymnasium",
            "name": "breaking_environment:Breaking-v0",
            "reset_params": {"gives": gives, "start-seed": 1, "num-seeds": 1},
        },
        "model": {"num_vec_encoder_units": 8, "num_hidden_units": 8},
        "sampler": {"n_workers": 2, "worker_steps": 8},
        "trainer": {"updates": 2, "n_mini_batches": 2},
        "seed": 1,
        "threads": 1,
        "device": "cpu",
    }


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize(
    ("gives", "pieces"),
    [
        ("reward", ["environment 0 gave a reward of nan", "step 5", "seed 1"]),
        ("large reward", ["environment 0 gave a reward of inf", "step 5"]),
        ("observation", ["environment 0 gave an observation with inf", "step 5", "seed 1"]),
        ("shape", ["the observation has shape (1,); its space has (3,)"]),
    ],
)
def test_values_that_are_not_finite_or_outside_the_space_end_the_training(gives, pieces, tmp_path):
    with pytest.raises(BrokenEnvironmentError) as raised:
        train(build(_config(gives)), tmp_path / "job")
    for piece in ["breaking_environment:Breaking-v0", *pieces]:
        assert piece in str(raised.value)


@pytest.mark.usefixtures("module")
def test_large_numbers_are_finite():
    """Their squares overflow 32-bit floats, which must not make them count as infinite."""
    env = make_vector(build(_config("large observation")).environment, 2, seed=0)
    env.restart()
    with np.errstate(all="raise"):
        for _ in range(5):
            env.advance(np.zeros((2, 1), np.int64))
    assert (env.table.at(env.ids)["vector"] == np.float32(1e30)).all()


@pytest.mark.usefixtures("module")
def test_the_job_counts_as_failed_and_not_as_diverged(door, tmp_path):
    config = tmp_path / "broken.yaml"
    config.write_text(json.dumps(_config("reward")))
    space = tmp_path / "space.yaml"
    space.write_text("hyperparameters:\n  environment.reset_params.gives: [reward, nothing]\n")
    done = door("ntune", [f"--config={config}", f"--tune={space}", "--run-id=run", "--out=out"])
    assert done.status == 1, done.err
    results = [
        json.loads((tmp_path / f"out/run/{number}/0/result.json").read_text()) for number in (0, 1)
    ]
    assert [result["status"] for result in results] == ["failed", "completed"]
    assert "breaking_environment:Breaking-v0" in results[0]["error"]
    assert "a reward of nan in step 5" in results[0]["error"]


class _Apart(gymnasium.Env):
    """Returns a reward that is NaN in its second step."""

    observation_space = spaces.Dict({"vector": spaces.Box(-1, 1, (1,), np.float32)})
    action_space = spaces.MultiDiscrete([2])
    count = 0

    def reset(self, *, seed=None, options=None):
        return {"vector": np.zeros(1, np.float32)}, {}

    def step(self, action):
        self.count += 1
        reward = np.nan if self.count == 2 else 0.0
        return {"vector": np.zeros(1, np.float32)}, reward, False, False, {}


@pytest.mark.slow
def test_environments_in_processes_are_checked_too():
    seeds = [EpisodeSeeds(np.random.default_rng(worker), 7, 1) for worker in range(2)]
    env = ParallelEnvironment([_Apart, _Apart], seeds, "scene")
    try:
        env.restart()
        actions = np.zeros((2, 1), np.int64)
        env.advance(actions)
        with pytest.raises(BrokenEnvironmentError, match=r"scene: environment 0 .* nan in step 2"):
            env.advance(actions)
    finally:
        env.close()


class _Naming(_Apart):
    """Reports a statistic under a name that every episode already has."""

    def step(self, action):
        observation, _, _, _, _ = super().step(action)
        return observation, 3.0, True, False, {"statistics": {"floor": 2.0, "reward": 100.0}}


def test_an_environments_statistics_cannot_replace_the_reward():
    env = EpisodeStatistics(_Naming(), "scene")
    env.reset(seed=7)
    with pytest.raises(BrokenEnvironmentError, match="scene: statistics cannot be called reward"):
        env.step(np.zeros(1, np.int64))
