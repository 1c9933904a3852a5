"""Compares Atari with Gymnasium's own wrappers, and plays on after lost lives."""

from __future__ import annotations

import importlib.util

import gymnasium
import numpy as np
import pytest
from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation

from neroRL.config.schema import EnvironmentConfig
from neroRL.environments import registry
from neroRL.environments.factory import make_single, make_vector

needs_ale = pytest.mark.skipif(
    importlib.util.find_spec("ale_py") is None, reason="ale-py is not installed"
)
USUAL = {"type": "Atari", "frame_skip": 4, "grayscale": True, "obs_stacks": 4}
BREAKOUT = EnvironmentConfig(name="ALE/Breakout-v5", **USUAL)
FIRE, LIVES = 1, 5


@needs_ale
@pytest.mark.parametrize("name", ["ALE/Pong-v5", "ALE/MsPacman-v5"])
def test_equals_gymnasiums_wrappers(name):
    ours = make_single(EnvironmentConfig(name=name, **USUAL), 0)
    game = gymnasium.make(name, frameskip=1, disable_env_checker=True)
    real = FrameStackObservation(AtariPreprocessing(game), 4, padding_type="reset")
    generator = np.random.default_rng(0)
    for seed in (3, 8):
        mine, theirs = ours.reset(seed=seed)[0], real.reset(seed=seed)[0]
        rewards = 0.0
        for _ in range(300):
            np.testing.assert_array_equal(mine["visual"], np.moveaxis(theirs, 0, -1))
            action = generator.integers(real.action_space.n)
            mine, *rest, info = ours.step(np.array([action]))
            theirs, *expected, _ = real.step(action)
            assert rest == expected
            assert info["raw_reward"] == expected[0]
            rewards += abs(rest[0])
        assert rewards > 0
    assert ours.observation_space["visual"].shape == (84, 84, 4)


@needs_ale
def test_colours_and_other_sizes_come_from_the_same_keys():
    config = EnvironmentConfig(type="Atari", name="ALE/Pong-v5", resize_vis_obs=[60, 40])
    ours = make_single(config, 0)
    game = gymnasium.make("ALE/Pong-v5", frameskip=1, disable_env_checker=True)
    real = AtariPreprocessing(game, frame_skip=1, screen_size=(60, 40), grayscale_obs=False)
    np.testing.assert_array_equal(ours.reset(seed=1)[0]["visual"], real.reset(seed=1)[0])
    np.testing.assert_array_equal(ours.step(np.array([2]))[0]["visual"], real.step(2)[0])
    assert ours.observation_space["visual"].shape == (40, 60, 3)


def _play(config, **seeds):
    """Plays until a game is over; returns its end, and the steps that terminated and ended."""
    env = make_vector(config, 1, seed=0, **seeds)
    env.restart()
    terminated = []
    for step in range(2000):
        moved = env.advance(np.array([[FIRE]]))
        if moved.terminations[0]:
            terminated.append(step)
            assert moved.final_ids is not None
            # The game goes on with what was seen last.
            assert (moved.final_ids[0] == env.ids[0]) != bool(moved.episodes)
        if moved.episodes:
            return moved.episodes[0], terminated
    raise AssertionError("the game goes on")


@needs_ale
def test_a_lost_life_ends_the_episode_for_the_learner_alone():
    end, terminated = _play(BREAKOUT)
    assert len(terminated) == LIVES
    assert (end.length, end.reward) == (terminated[-1] + 1, round(end.reward))


@needs_ale
def test_whole_games_are_evaluated():
    end, terminated = _play(BREAKOUT, episode_seeds=[[4]])
    assert terminated == [end.length - 1]
    off = EnvironmentConfig(name="ALE/Breakout-v5", **USUAL)
    off.reset_params = {"terminal-on-life-loss": False}
    end, terminated = _play(off)
    assert terminated == [end.length - 1]
    assert end == _play(BREAKOUT)[0]  # reward and length do not tell the two apart


@pytest.mark.slow
@needs_ale
def test_a_game_is_restored_after_a_lost_life():
    env, other = (make_vector(BREAKOUT, 2, seed=seed) for seed in (0, 1))
    env.restart()
    lost = 0
    while lost < 3:
        lost += int(env.advance(np.array([[FIRE], [0]])).terminations.sum())
    assert not other.load_state_dict(env.state_dict()).any()
    generator = np.random.default_rng(0)
    ended = 0
    for _ in range(600):
        actions = generator.integers(4, size=(2, 1))
        ours, theirs = env.advance(actions), other.advance(actions)
        np.testing.assert_array_equal(
            env.table.at(env.ids)["visual"], other.table.at(other.ids)["visual"]
        )
        np.testing.assert_array_equal(ours.terminations, theirs.terminations)
        assert ours.episodes == theirs.episodes
        ended += len(ours.episodes)
    assert ended


@needs_ale
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ALE/Pung-v5", "did you mean ALE/Pong-v5"),
        ("CartPole-v1", "expected the environment type CartPole"),
    ],
)
def test_unknown_games_are_refused(name, message):
    (problem,) = registry.check(EnvironmentConfig(type="Atari", name=name))
    assert (problem.path, message in problem.message) == ("environment.name", True)


def test_the_missing_package_is_named(monkeypatch):
    monkeypatch.setattr("neroRL.environments.atari.importlib.util.find_spec", lambda _: None)
    (problem,) = registry.check(EnvironmentConfig(type="Atari", name="ALE/Pong-v5"))
    assert problem.path == "environment.type"
    assert problem.message.endswith('pip install "neroRL[atari]"')
