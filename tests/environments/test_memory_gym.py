"""Compares Memory Gym with the real package; no display, several environments in one process."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from neroRL.composition.checking import check
from neroRL.config.schema import EnvironmentConfig
from neroRL.environments import memory_gym, registry
from neroRL.environments.factory import make_single, make_vector, max_episode_steps
from neroRL.environments.memory_gym import MemoryGym, MemoryGymEnvironment
from neroRL.training.trainer import train

NAMES = {
    "MortarMayhem-v0": ((3, 3), None),
    "MortarMayhem-Grid-v0": ((4,), None),
    "MortarMayhemB-v0": ((3, 3), 180),
    "MortarMayhemB-Grid": ((4,), 180),
    "MysteryPath-v0": ((3, 3), None),
    "MysteryPath-Grid-v0": ((4,), None),
    "SearingSpotlights-v0": ((3, 3), None),
    "Endless-MortarMayhem-v0": ((3, 3), None),
}


@pytest.mark.parametrize("name", NAMES)
def test_equals_the_real_package(name):
    config = EnvironmentConfig(type="MemoryGym", name=name, reset_params={"num-seeds": 3})
    assert registry.check(config) == []
    env = make_vector(config, 2, seed=0)
    actions, vector = NAMES[name]
    assert env.specification.actions == actions
    assert env.specification.visual == (84, 84, 3)
    assert env.specification.vector == vector
    observations, _ = env.reset()
    full_name = name if name.endswith("-v0") else f"{name}-v0"
    generator = np.random.default_rng(0)
    taken = generator.integers(actions, size=(60, 2, len(actions)))
    seeds = env.state_dict()["episode_seeds"]
    frames = [observations["visual"]]
    ended = np.zeros(2, bool)
    alive = []
    for step in taken:
        observations, _, terminated, truncated, _ = env.step(step)
        ended |= terminated | truncated
        alive.append(~ended)
        frames.append(observations["visual"])
    for worker, seed in enumerate(seeds):
        real = gymnasium.make(full_name, disable_env_checker=True)
        observation, _ = real.reset(seed=seed, options={})
        for step, frame in enumerate(frames):
            image = observation["visual_observation"] if vector else observation
            np.testing.assert_array_equal(frame[worker], image)
            if step == len(taken) or not alive[step][worker]:
                break
            action = taken[step, worker]
            observation, *_ = real.step(action if len(actions) > 1 else int(action[0]))


def test_its_time_limit_is_a_termination():
    """So ``bootstrap_truncated`` has no effect, as the documentation says."""
    params = {"max_steps": 5}
    config = EnvironmentConfig(type="MemoryGym", name="MysteryPath-Grid-v0", reset_params=params)
    env = make_vector(config, 1, seed=0)
    env.reset()
    ends = [env.step(np.zeros((1, 1), np.int64))[2:4] for _ in range(5)]
    assert [bool(terminated[0]) for terminated, _ in ends] == [False] * 4 + [True]
    assert not any(truncated[0] for _, truncated in ends)


TOLD = {
    "MortarMayhem-Grid-v0": {"commands_completed"},
    "MortarMayhemB-v0": {"commands_completed"},
    "MysteryPath-Grid-v0": {"num_fails"},
    "SearingSpotlights-v0": {"agent_health", "coins_collected"},
    "Endless-MortarMayhem-v0": {"commands_completed", "max_command_sequence"},
    "Endless-MysteryPath-v0": {"max_x", "num_fails", "tiles_visited"},
    "Endless-SearingSpotlights-v0": {"agent_health", "coins_collected"},
}


@pytest.mark.parametrize("name", TOLD)
def test_an_episode_reports_the_statistics_of_the_real_package(name):
    config = EnvironmentConfig(type="MemoryGym", name=name, reset_params={"num-seeds": 5})
    env = make_vector(config, 1, seed=0)
    env.reset()
    real = gymnasium.make(name, disable_env_checker=True)
    real.reset(seed=env.state_dict()["episode_seeds"][0], options={})
    generator = np.random.default_rng(1)
    counts = env.specification.actions
    episode = None
    while episode is None:
        action = generator.integers(counts, size=(1, len(counts)))
        (episode,) = env.step(action)[4].get("episodes", [None])
        *_, info = real.step(action[0] if len(counts) > 1 else int(action[0, 0]))
    assert set(episode.others) == TOLD[name]
    assert episode.others == {key: info[key] for key in TOLD[name]}
    assert episode.success == info.get("success")
    assert (episode.reward, episode.length) == (pytest.approx(info["reward"]), info["length"])


@pytest.mark.parametrize("name", ["SearingSpotlights-v0", "MortarMayhem-Grid-v0"])
def test_an_environment_goes_on_when_another_one_is_closed(name):
    config = EnvironmentConfig(type="MemoryGym", name=name)
    first, second = make_single(config, 0), make_single(config, 0)
    first.reset(seed=3)
    second.close()
    second.close()
    action = np.zeros(first.action_space.shape, int)
    frames = [first.step(action)[0]["visual"], first.reset(seed=4)[0]["visual"]]
    first.close()
    again = make_single(config, 0)
    again.reset(seed=3)
    np.testing.assert_array_equal(frames[0], again.step(action)[0]["visual"])
    np.testing.assert_array_equal(frames[1], again.reset(seed=4)[0]["visual"])
    again.close()


def test_the_last_environment_ends_pygame():
    import pygame

    MemoryGymEnvironment._open.clear()
    config = EnvironmentConfig(type="MemoryGym", name="MysteryPath-Grid-v0")
    made = [make_single(config, 0) for _ in range(2)]
    for env, still in zip(made, (True, False), strict=True):
        env.close()
        assert pygame.get_init() is still


def test_the_longest_episode_is_known_without_an_environment(monkeypatch):
    def fails(*_):
        raise AssertionError

    monkeypatch.setattr(MemoryGym, "make", fails)
    params = {"command_count": [7]}  # of a config that no other test has made
    config = EnvironmentConfig(type="MemoryGym", name="MortarMayhem-Grid-v0", reset_params=params)
    assert max_episode_steps(config) == 7 * (3 + 1 + 6 + 2) - 1


@pytest.mark.slow
def test_every_id_trains(tmp_path):
    names = memory_gym._registered_names()
    assert len(names) >= 10
    for name in names:
        mapping = {
            "environment": {"type": "MemoryGym", "name": name, "resize_vis_obs": [36, 36]},
            "model": {"num_vec_encoder_units": 8, "num_hidden_units": 8},
            "sampler": {"n_workers": 2, "worker_steps": 8},
            "trainer": {"updates": 2, "epochs": 1, "n_mini_batches": 2},
            "seed": 1,
        }
        outcome = train(check(mapping), tmp_path / name)
        assert (outcome.status, outcome.env_steps) == ("completed", 32)


def test_options_are_checked_and_used():
    config = EnvironmentConfig(
        type="MemoryGym", name="MortarMayhem-Grid", reset_params={"command_cuont": [3]}
    )
    (problem,) = registry.check(config)
    assert problem.path == "environment.reset_params.command_cuont"
    assert "did you mean command_count" in problem.message
    config.reset_params = {"arena_size": 17}
    (problem,) = registry.check(config)
    assert problem.path == "environment.reset_params"
    config.reset_params = {"command_count": [1], "num-seeds": 1}
    short = make_vector(config, 1, seed=0)
    config.reset_params = {"command_count": [10], "num-seeds": 1}
    long = make_vector(config, 1, seed=0)
    assert short.environments[0].unwrapped is not long.environments[0].unwrapped
    for env, count in ((short, 1), (long, 10)):
        env.reset()
        assert len(env.environments[0].unwrapped._commands) == count


def test_a_single_number_means_a_list_of_one():
    """The package's first versions took such numbers."""
    config = EnvironmentConfig(type="MemoryGym", name="MortarMayhem-Grid")
    config.reset_params = {"command_count": 4, "explosion_delay": 3}
    assert registry.check(config) == []
    env = make_vector(config, 1, seed=0)
    env.reset()
    real = env.environments[0].unwrapped
    assert len(real._commands) == 4
    assert real.reset_params["explosion_delay"] == [3]


def test_unknown_id_suggests_the_nearest():
    (problem,) = registry.check(EnvironmentConfig(type="MemoryGym", name="MortarMayhen-v0"))
    assert "did you mean MortarMayhem-v0" in problem.message


def test_a_missing_package_names_the_command(monkeypatch):
    monkeypatch.setattr(memory_gym.importlib.util, "find_spec", lambda name: None)
    (problem,) = registry.check(EnvironmentConfig(type="MemoryGym", name="MortarMayhem-v0"))
    assert "pip install --no-deps memory-gym==1.0.2" in problem.message
