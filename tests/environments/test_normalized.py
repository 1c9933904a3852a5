"""Compares normalised observations and rewards with the equations of VecNormalize.

These are the equations of Stable-Baselines3's ``VecNormalize`` and ``RunningMeanStd``.
"""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from neroRL.config.checks import build
from neroRL.config.schema import EnvironmentConfig
from neroRL.environments.factory import make_vector
from neroRL.environments.vector.moments import Normalization, RunningMoments
from neroRL.environments.vector.normalized import normalized
from neroRL.training import checkpoint as checkpoints
from neroRL.training.trainer import train

GAMMA = 0.9
CPU = torch.device("cpu")
CARTPOLE = {"type": "CartPole", "name": "CartPole-v1"}
PENDULUM = {"type": "Gymnasium", "name": "Pendulum-v1"}
GRID = {
    "type": "MinigridVec",
    "name": "MiniGrid-Empty-Random-5x5-v0",
    "reset_params": {"max-episode-steps": 7},
}
BOTH = {"normalize_vector_obs": True, "normalize_returns": True}


class _Moments:
    """Keeps all values and weighs the initial moments as 0.0001 of a value."""

    def __init__(self):
        self._values = []

    def add(self, batch):
        self._values += list(np.array(batch, np.float64))

    @property
    def mean(self):
        return sum(self._values) / (len(self._values) + 1e-4)

    @property
    def variance(self):
        about_mean = sum((value - self.mean) ** 2 for value in self._values)
        initial = 1e-4 * (1.0 + self.mean**2)
        return (about_mean + initial) / (len(self._values) + 1e-4)


def _normalised(array, moments):
    away = (array.astype(np.float64) - moments.mean) / np.sqrt(moments.variance + 1e-8)
    return np.clip(away, -10, 10).astype(np.float32)


def _make(config, seed=5, learns=True, normalization=None):
    environment = EnvironmentConfig(**config)
    normalization = normalization or Normalization(environment, GAMMA)
    made = normalized(make_vector(environment, 3, seed), normalization, learns=learns)
    return made, normalization


def _actions(env, generator):
    env.action_space.seed(int(generator.integers(2**31)))
    return env.action_space.sample()


@pytest.mark.parametrize("environment", [CARTPOLE, PENDULUM, GRID], ids=lambda one: one["name"])
@pytest.mark.parametrize("signs", [False, True])
def test_equals_the_equations_of_vecnormalize(environment, signs):
    env, _ = _make({**environment, **BOTH, "clip_rewards": signs})
    raw = make_vector(EnvironmentConfig(**environment), 3, 5)
    observed, returned = _Moments(), _Moments()
    returns = np.zeros(3)
    seen, _ = env.reset()
    expected, _ = raw.reset()
    observed.add(expected["vector"])
    generator, ends = np.random.default_rng(0), 0
    for step in range(60):
        if step % 16 == 0:
            env.begin_rollout()
            raw.begin_rollout()
            again = env.table.at(env.ids)["vector"]
            np.testing.assert_array_equal(again, seen["vector"])
        np.testing.assert_allclose(
            seen["vector"], _normalised(expected["vector"], observed), rtol=1e-6, atol=1e-6
        )
        assert env.observation_space.contains(seen)
        actions = _actions(raw, generator)
        seen, rewards, terminated, truncated, infos = env.step(actions)
        expected, real, *ended, of_raw = raw.step(actions)
        assert (np.array(ended) == [terminated, truncated]).all()
        observed.add(expected["vector"])
        real = np.sign(real) if signs else real
        returns = returns * GAMMA + real
        returned.add(returns)
        scaled = np.clip(real / np.sqrt(returned.variance + 1e-8), -10, 10)
        np.testing.assert_allclose(rewards, scaled, rtol=1e-6)
        assert rewards.dtype == np.float32
        over = terminated | truncated
        returns[over] = 0.0
        assert bool(infos) == bool(of_raw) == over.any()
        if infos:
            ends += 1
            assert infos["episodes"] == of_raw["episodes"]  # rewards are raw
            for worker in np.flatnonzero(over):
                np.testing.assert_allclose(
                    infos["final_obs"][worker]["vector"],
                    _normalised(of_raw["final_obs"][worker]["vector"], observed),
                    rtol=1e-6,
                    atol=1e-6,
                )
    assert ends or environment is PENDULUM


def test_running_moments_equal_those_of_all_values():
    generator = np.random.default_rng(1)
    moments, naive = RunningMoments(), _Moments()
    for _ in range(50):
        batch = 100.0 + generator.normal(size=(4, 3)) * [1e-2, 1.0, 1e3]
        moments.add(batch)
        naive.add(batch)
    np.testing.assert_allclose(moments.mean, naive.mean, rtol=1e-12)
    np.testing.assert_allclose(moments.variance, naive.variance, rtol=1e-9)


def test_statistics_are_frozen_in_evaluation():
    config = {**CARTPOLE, **BOTH}
    trained, normalization = _make(config)
    trained.reset()
    generator = np.random.default_rng(0)
    for _ in range(30):
        trained.step(_actions(trained, generator))
    before = normalization.state_dict()
    evaluated, _ = _make(config, seed=7, learns=False, normalization=normalization)
    raw = make_vector(EnvironmentConfig(**CARTPOLE), 3, 7)
    seen, expected = evaluated.reset()[0], raw.reset()[0]
    for _ in range(30):
        moments = normalization.vectors
        away = (expected["vector"] - moments.mean) / np.sqrt(moments.variance + 1e-8)
        np.testing.assert_allclose(seen["vector"], away.clip(-10, 10), rtol=1e-5, atol=1e-6)
        actions = _actions(raw, generator)
        seen, expected = evaluated.step(actions)[0], raw.step(actions)[0]
    assert normalization.state_dict() == before


class _Constant(gymnasium.Env):
    """Observes a number that changes once, by far."""

    observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        self._steps = 0
        return np.array([3.0, 1.0], np.float32), {}

    def step(self, action):
        self._steps += 1
        jump = 1e6 * (self._steps == 100)
        return np.array([3.0, 1.0 + jump], np.float32), jump, False, False, {}


def test_observations_and_rewards_are_clipped():
    gymnasium.register("Constant-v0", _Constant)
    try:
        env, _ = _make({"type": "Gymnasium", "name": "Constant-v0", **BOTH})
        seen, _ = env.reset()
        for _ in range(99):
            seen, rewards, *_ = env.step(np.zeros((3, 1), np.int64))
            assert np.abs(seen["vector"]).max() < 0.1
            assert not rewards.any()
        seen, rewards, *_ = env.step(np.zeros((3, 1), np.int64))
        assert (seen["vector"][:, 1] == 10.0).all()
        assert (rewards == 10.0).all()
    finally:
        del gymnasium.registry["Constant-v0"]


def test_without_normalised_vectors_equal_observations_share_an_id():
    env, _ = _make({**GRID, "clip_rewards": True, "normalize_returns": True})
    raw = make_vector(EnvironmentConfig(**GRID), 3, 5)
    env.reset()
    raw.reset()
    generator = np.random.default_rng(2)
    for _ in range(30):
        actions = _actions(raw, generator)
        env.advance(actions)
        raw.advance(actions)
        np.testing.assert_array_equal(env.ids, raw.ids)
    assert _make(GRID)[0].__class__ is raw.__class__  # nothing is asked for


def _mapping(environment, **keys):
    return {
        "environment": {**environment, **keys},
        "model": {
            "num_vec_encoder_units": 8,
            "num_hidden_units": 8,
            "checkpoint_interval": 1,
            "recurrence": {"hidden_state_size": 8, "sequence_length": 8},
        },
        "evaluation": {"evaluate": True, "n_workers": 2, "seeds": [7, 8], "interval": 2},
        "sampler": {"n_workers": 3, "worker_steps": 30},
        "trainer": {"updates": 4, "n_mini_batches": 2, "gamma": GAMMA},
        "seed": 3,
        "threads": 1,
        "device": "cpu",
    }


def _content(directory, update):
    return checkpoints.load(checkpoints.checkpoint_path(directory, "default", update), CPU)


@pytest.mark.parametrize(
    "environment",
    [CARTPOLE, pytest.param(PENDULUM, marks=pytest.mark.slow), GRID],
    ids=lambda one: one["name"],
)
def test_resuming_equals_not_having_stopped(tmp_path, environment):
    """With an evaluation before the checkpoint, and one behind it."""
    config = build(_mapping(environment, **BOTH))
    first = train(config, tmp_path / "whole")
    start = checkpoints.checkpoint_path(tmp_path / "whole", "default", 3)
    second = train(config, tmp_path / "on", checkpoint=start)
    whole, continued = (_content(tmp_path / name, 4) for name in ("whole", "on"))
    for name, weights in whole.model.items():
        assert torch.equal(weights, continued.model[name]), name
    for key in ("normalization", "environment", "episodes", "evaluated"):
        assert getattr(whole, key) == getattr(continued, key)
    assert first.objective == second.objective
    count = whole.normalization["returns"]["count"]
    assert count == pytest.approx(3 * 30 * 4 + 1e-4, abs=1e-9)


def test_evaluations_do_not_change_the_training(tmp_path):
    mapping = _mapping(CARTPOLE, **BOTH)
    train(build(mapping), tmp_path / "with")
    mapping["evaluation"]["evaluate"] = False
    train(build(mapping), tmp_path / "without")
    ours, theirs = (_content(tmp_path / name, 4) for name in ("with", "without"))
    assert ours.normalization == theirs.normalization
    assert all(torch.equal(ours.model[name], theirs.model[name]) for name in ours.model)


def test_weights_are_loaded_with_their_statistics(tmp_path):
    mapping = _mapping(CARTPOLE, **BOTH)
    train(build(mapping), tmp_path / "first")
    path = checkpoints.checkpoint_path(tmp_path / "first", "default", 4)
    mapping["model"] |= {"load_model": True, "model_path": str(path)}
    mapping["trainer"]["updates"] = 1
    train(build(mapping), tmp_path / "second")
    before, after = (_content(tmp_path / name, u) for name, u in (("first", 4), ("second", 1)))
    counts = [content.normalization["vectors"]["count"] for content in (before, after)]
    assert counts[1] - counts[0] == 3 * (30 + 1)  # with the first observations


def test_weights_of_normalised_vectors_warn_where_vectors_stay_as_they_are(tmp_path, caplog):
    """They would see other numbers than they were trained with."""
    mapping = _mapping(CARTPOLE, **BOTH)
    train(build(mapping), tmp_path / "first")
    path = checkpoints.checkpoint_path(tmp_path / "first", "default", 4)
    mapping["model"] |= {"load_model": True, "model_path": str(path)}
    caplog.clear()
    train(build(mapping), tmp_path / "same")
    assert "normalised" not in caplog.text
    mapping["environment"]["normalize_vector_obs"] = False
    train(build(mapping), tmp_path / "other")
    assert f"{path} was trained with normalised vectors, which this config does not" in caplog.text


def test_weights_of_plain_vectors_warn_where_vectors_are_normalised(tmp_path, caplog):
    mapping = _mapping(CARTPOLE)
    train(build(mapping), tmp_path / "first")
    path = checkpoints.checkpoint_path(tmp_path / "first", "default", 4)
    mapping["model"] |= {"load_model": True, "model_path": str(path)}
    train(build(mapping), tmp_path / "same")
    assert "normalised" not in caplog.text
    mapping["environment"] |= BOTH
    train(build(mapping), tmp_path / "other")
    for name in ("vectors", "returns"):
        told = f"was trained without normalised {name}, which this config asks for"
        assert f"{path} {told}" in caplog.text


def test_a_checkpoint_from_before_these_keys_continues(tmp_path):
    config = build(_mapping(CARTPOLE))
    train(config, tmp_path)
    path = checkpoints.checkpoint_path(tmp_path, "default", 2)
    content = torch.load(path, weights_only=True)
    assert content.pop("normalization") == {}
    for key in ("normalize_vector_obs", "normalize_returns", "clip_rewards"):
        del content["config"]["environment"][key]
    del content["config"]["model"]["log_std_init"]
    old = checkpoints.checkpoint_path(tmp_path / "old", "default", 2)
    old.parent.mkdir(parents=True)
    torch.save(content, old)
    train(config, tmp_path / "on", checkpoint=old)
    ours, theirs = (_content(directory, 4).model for directory in (tmp_path, tmp_path / "on"))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
