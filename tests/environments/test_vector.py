"""Tests the vector interface: Gymnasium's conventions, numbered observations, restored states."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from neroRL.config.schema import EnvironmentConfig
from neroRL.environments import factory, registry, trial
from neroRL.environments.factory import make_single, make_vector
from neroRL.environments.specification import LIFE_LOST, EnvironmentSpec, vector_space
from neroRL.environments.vector.interface import EpisodeSeeds
from neroRL.environments.vector.observation_table import ObservationTable
from neroRL.environments.vector.sequential import SequentialEnvironment

ENVIRONMENTS = {
    "cartpole": EnvironmentConfig(type="CartPole", name="CartPole-v1"),
    "one-hot": EnvironmentConfig(
        type="MinigridVec",
        name="MiniGrid-MemoryS7-v0",
        last_action_to_obs=True,
        obs_stacks=2,
        reset_params={"num-seeds": 4, "max-episode-steps": 20},
    ),
    "image": EnvironmentConfig(
        type="Minigrid",
        name="MiniGrid-Empty-Random-5x5-v0",
        grayscale=True,
        resize_vis_obs=[42, 40],
        positional_encoding=True,
        last_reward_to_obs=True,
        reward_normalization=0.5,
        frame_skip=2,
        reset_params={"num-seeds": 4, "max-episode-steps": 20},
    ),
}


def _actions(env, generator) -> np.ndarray:
    counts = env.specification.actions
    return np.stack([generator.integers(count, size=env.num_envs) for count in counts], axis=1)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_equals_single_environments_stepped_one_by_one(name):
    config = ENVIRONMENTS[name]
    env = make_vector(config, 3, seed=5)
    singles = [make_single(config, worker) for worker in range(3)]
    observations, _ = env.reset()
    expected = [
        single.reset(seed=seed)[0]
        for single, seed in zip(singles, env.state_dict()["episode_seeds"], strict=True)
    ]
    generator = np.random.default_rng(0)
    ended_once = False
    for _ in range(80):
        for worker, single in enumerate(expected):
            for key, array in single.items():
                np.testing.assert_array_equal(observations[key][worker], array)
        assert env.observation_space.contains(observations)
        actions = _actions(env, generator)
        observations, rewards, terminated, truncated, infos = env.step(actions)
        assert rewards.dtype == np.float32
        for worker, single in enumerate(singles):
            expected[worker], reward, done, cut, info = single.step(actions[worker])
            assert rewards[worker] == np.float32(reward)
            assert (terminated[worker], truncated[worker]) == (done, cut)
            if done or cut:
                ended_once = True
                for key, array in expected[worker].items():
                    np.testing.assert_array_equal(infos["final_obs"][worker][key], array)
                (episode,) = [e for e in infos["episodes"] if e.worker == worker]
                assert episode.reward == info["episode_reward"]
                assert episode.length == info["episode_length"]
                seed = env.state_dict()["episode_seeds"][worker]
                expected[worker] = single.reset(seed=seed)[0]
        ended = terminated | truncated
        assert bool(infos) == ended.any()
        if infos:
            np.testing.assert_array_equal(infos["_final_obs"], ended)
    assert ended_once


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_restored_state_continues_the_same(name):
    generator = np.random.default_rng(1)
    first = make_vector(ENVIRONMENTS[name], 2, seed=9)
    first.reset()
    for _ in range(37):
        first.step(_actions(first, generator))
    second = make_vector(ENVIRONMENTS[name], 2, seed=123)
    second.load_state_dict(first.state_dict())
    for _ in range(60):
        actions = _actions(first, generator)
        ours, theirs = first.step(actions), second.step(actions)
        for key in ours[0]:
            np.testing.assert_array_equal(ours[0][key], theirs[0][key])
        for mine, other in zip(ours[1:4], theirs[1:4], strict=True):
            np.testing.assert_array_equal(mine, other)
    assert first.state_dict()["episode_seeds"] == second.state_dict()["episode_seeds"]


def test_every_worker_plays_the_given_seeds():
    config = EnvironmentConfig(type="CartPole", name="CartPole-v1")
    env = make_vector(config, 2, seed=0, episode_seeds=2 * [[4, 9]])
    env.reset()
    played: list[list[int]] = [[4], [4]]
    assert env.state_dict()["episode_seeds"] == [4, 4]
    while min(map(len, played)) < 4:
        for episode in env.step(np.ones((2, 1), np.int64))[4].get("episodes", ()):
            played[episode.worker].append(env.state_dict()["episode_seeds"][episode.worker])
    assert all(seeds[:4] == [4, 9, 4, 9] for seeds in played)


class _Lives(gymnasium.Env):
    """Loses a life in every second step; a time limit cuts every fourth."""

    observation_space = spaces.Dict({"vector": vector_space(1)})
    action_space = spaces.MultiDiscrete([2])

    def reset(self, *, seed=None, options=None):
        self._steps = 0
        return {"vector": np.zeros(1, np.float32)}, {}

    def step(self, action):
        self._steps += 1
        info = {LIFE_LOST: self._steps % 2 == 0}
        info |= {"episode_reward": 0.0, "episode_length": self._steps}
        return {"vector": np.zeros(1, np.float32)}, 0.0, False, self._steps == 4, info


def test_a_lost_life_terminates_also_where_the_time_limit_cuts():
    seeds = [EpisodeSeeds(np.random.default_rng(0), 0, 50)]
    env = SequentialEnvironment([_Lives()], seeds)
    env.restart()
    moved = [env.advance(np.zeros((1, 1), np.int64)) for _ in range(4)]
    assert [bool(one.terminations[0]) for one in moved] == [False, True, False, True]
    assert [bool(one.truncations[0]) for one in moved] == [False, False, False, True]
    assert [len(one.episodes) for one in moved] == [0, 0, 0, 1]


def test_a_lost_life_ends_nothing_in_a_given_episode():
    env = SequentialEnvironment([_Lives()], [EpisodeSeeds(np.random.default_rng(0), 0, 50, [7])])
    env.restart()
    moved = [env.advance(np.zeros((1, 1), np.int64)) for _ in range(4)]
    assert not any(one.terminations[0] for one in moved)
    assert [bool(one.truncations[0]) for one in moved] == [False, False, False, True]


def test_equal_observations_share_an_id():
    table = ObservationTable(EnvironmentSpec((2, 2, 3), "uint8", 1, (2,)))
    image = np.zeros((2, 2, 3), np.uint8)
    first = table.add({"visual": image, "vector": np.array([1], np.float32)})
    second = table.add({"visual": image, "vector": np.array([2], np.float32)})
    third = table.add({"visual": image.copy(), "vector": np.array([1], np.float32)})
    assert (first, second, third) == (0, 1, 0)
    np.testing.assert_array_equal(table.at(np.array([1, 0]))["vector"], [[2], [1]])
    image += 1  # the table returns copies
    assert table.at(np.array([0]))["visual"].sum() == 0
    for number in range(200):
        assert table.add({"visual": image, "vector": np.array([number], np.float32)}) == 2 + number


def test_sharing_ids_stops_by_itself_if_observations_differ():
    for name, shared in (("cartpole", False), ("one-hot", True)):
        env = make_vector(ENVIRONMENTS[name], 4, seed=0)
        env.reset()
        generator = np.random.default_rng(0)
        for _ in range(2):
            env.begin_rollout()
            assert env.table.length <= 4
            for _ in range(64):
                env.advance(_actions(env, generator))
        env.begin_rollout()
        assert env.table.distinct is shared


class _Licensed(gymnasium.Env):
    """Can be made as often as there are licences, which it gives back when it is closed."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)
    licences = 2

    def __init__(self):
        if _Licensed.licences == 0:
            raise OSError("no licence left")
        _Licensed.licences -= 1

    def close(self):
        _Licensed.licences += 1


gymnasium.register("VectorLicensed-v0", _Licensed)
LICENSED = EnvironmentConfig(type="Gymnasium", name="VectorLicensed-v0")


def _refuse(*_):
    raise ValueError("not this one")


@pytest.mark.parametrize("place", ["EpisodeStatistics", "SequentialEnvironment"])
def test_environments_are_closed_where_what_is_put_around_them_fails(place, monkeypatch):
    monkeypatch.setattr(factory, place, _refuse)
    with pytest.raises(ValueError, match="not this one"):
        make_vector(LICENSED, 2, seed=0)
    assert _Licensed.licences == 2


def test_environments_that_were_made_are_closed_where_a_later_one_fails():
    with pytest.raises(OSError, match="no licence left"):
        make_vector(LICENSED, 3, seed=0)
    assert _Licensed.licences == 2
    make_vector(LICENSED, 2, seed=0).close()
    assert _Licensed.licences == 2


def test_an_environment_is_closed_where_its_wrappers_fail_in_a_trial(monkeypatch):
    monkeypatch.setattr(trial, "wrapped", _refuse)
    (problem,) = trial.try_out(LICENSED).problems
    assert problem.message.startswith("VectorLicensed-v0 cannot be made: ValueError: not this one")
    assert _Licensed.licences == 2


def test_check_finds_several_problems_at_once():
    config = EnvironmentConfig(
        type="Minigrid",
        name="MiniGrid-Empty-5x5",
        reset_params={"view-size": 4, "num-seeds": "many", "start": 1},
    )
    paths = [problem.path for problem in registry.check(config)]
    assert paths == [
        "environment.name",
        "environment.reset_params.num-seeds",
        "environment.reset_params.start",
        "environment.reset_params.view-size",
    ]
