"""Compares each environment type with the real package, step by step."""

from __future__ import annotations

import subprocess
import sys

import gymnasium
import minigrid.wrappers
import numpy as np
import pytest
from gymnasium import spaces

from neroRL.config.schema import EnvironmentConfig
from neroRL.environments import registry
from neroRL.environments.factory import make_single, make_vector
from neroRL.environments.specification import specification_of
from neroRL.environments.trial import try_out


def _config(type_: str, name: str, **rest) -> EnvironmentConfig:
    config = EnvironmentConfig(type=type_, name=name, **rest)
    config.reset_params = registry.reset_params(config)
    return config


@pytest.mark.parametrize("kind", ["CartPole", "Gymnasium"])
def test_an_older_version_of_an_id_is_no_warning(kind):
    """In a process of its own: pytest has filters of its own."""
    code = (
        "from neroRL.config.schema import EnvironmentConfig\n"
        "from neroRL.environments import registry\n"
        f"config = EnvironmentConfig(type={kind!r}, name='CartPole-v0')\n"
        "config.reset_params = registry.reset_params(config)\n"
        f"print(registry.environment_type({kind!r}).make(config, 0).spec.id)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("CartPole-v0\n", "")


@pytest.mark.parametrize("view_size", [3, 5, 7])
@pytest.mark.parametrize(
    "name",
    ["MiniGrid-DoorKey-6x6-v0", "MiniGrid-MemoryS7-v0", "MiniGrid-LavaCrossingS9N1-v0",
     "MiniGrid-Dynamic-Obstacles-5x5-v0", "MiniGrid-UnlockPickup-v0", "BabyAI-GoToRedBall-v0"],
)  # fmt: skip
def test_minigrid_images_equal_the_rendered_ones(name, view_size):
    tile = 28 if view_size == 3 else 84 // view_size if 84 % view_size == 0 else 28
    ours = registry.environment_type("Minigrid").make(
        _config("Minigrid", name, reset_params={"view-size": view_size}), 0
    )
    real = minigrid.wrappers.RGBImgPartialObsWrapper(
        gymnasium.make(name, agent_view_size=view_size, max_episode_steps=96), tile_size=tile
    )
    actions = int(ours.action_space.nvec[0])
    assert actions == (4 if "Memory" in name else real.action_space.n)
    generator = np.random.default_rng(view_size)
    for seed in range(4):
        mine, _ = ours.reset(seed=seed)
        theirs, _ = real.reset(seed=seed)
        for _ in range(60):
            np.testing.assert_array_equal(mine["visual"], theirs["image"])
            action = int(generator.integers(actions))
            mine, reward, terminated, truncated, info = ours.step(np.array([action]))
            theirs, *expected, _ = real.step(action)
            assert [reward, terminated, truncated] == expected
            if terminated or truncated:
                assert info["success"] == (reward > 0)
                break
    view = 84 if tile * view_size == 84 else tile * view_size
    assert ours.observation_space["visual"].shape == (view, view, 3)


@pytest.mark.parametrize("name", ["MiniGrid-DoorKey-6x6-v0", "MiniGrid-MemoryS7-v0"])
def test_minigrid_vectors_are_one_hot_cells(name):
    config = _config("MinigridVec", name, reset_params={"view-size": 5})
    ours = registry.environment_type("MinigridVec").make(config, 0)
    real = gymnasium.make(name, agent_view_size=5, max_episode_steps=96)
    classes = {"agent": 0, "empty": 1, "wall": 2, "key": 3, "ball": 4, "lava": 5}
    names = {index: key for key, index in minigrid.core.constants.OBJECT_TO_IDX.items()}
    for seed in range(5):
        mine, _ = ours.reset(seed=seed)
        theirs, _ = real.reset(seed=seed)
        for action in np.random.default_rng(seed).integers(4, size=30):
            expected = np.zeros((25, 6), np.float32)
            for cell, kind in enumerate(theirs["image"][:, :, 0].reshape(-1)):
                if names[kind] in classes:
                    expected[cell, classes[names[kind]]] = 1.0
            np.testing.assert_array_equal(mine["vector"], expected.reshape(-1))
            mine, _, done, cut, _ = ours.step(np.array([action]))
            theirs, *_ = real.step(int(action))
            if done or cut:
                break


def test_minigrid_episodes_are_cut():
    config = _config("MinigridVec", "MiniGrid-Empty-8x8-v0", reset_params={"max-episode-steps": 5})
    env = registry.environment_type("MinigridVec").make(config, 0)
    env.reset(seed=0)
    ends = [env.step(np.array([0]))[2:4] for _ in range(5)]
    assert ends == [(False, False)] * 4 + [(False, True)]


@pytest.mark.parametrize("masked", [False, True])
def test_cartpole(masked):
    config = _config("CartPole", "CartPole-v1", reset_params={"mask-velocity": masked})
    ours = registry.environment_type("CartPole").make(config, 0)
    real = gymnasium.make("CartPole-v1")
    for seed in range(5):
        mine, _ = ours.reset(seed=seed)
        theirs, _ = real.reset(seed=seed)
        done = False
        while not done:
            expected = theirs * np.array([1, 0, 1, 0], np.float32) if masked else theirs
            np.testing.assert_array_equal(mine["vector"], expected)
            mine, reward, done, _, _ = ours.step(np.array([seed % 2]))
            theirs, expected_reward, *_ = real.step(seed % 2)
            assert reward == expected_reward


@pytest.mark.parametrize(
    ("wrapped", "learned"),
    [
        ({}, 0.01),
        ({"frame_skip": 3}, 0.03),
        ({"reward_normalization": 4.0}, 0.0025),
        ({"reward_normalization": 1}, 0.01),
    ],
)
def test_cartpole_rewards_are_hundredths_for_the_learner_and_raw_in_statistics(wrapped, learned):
    env = make_single(_config("CartPole", "CartPole-v0", last_reward_to_obs=True, **wrapped), 0)
    first, _ = env.reset(seed=3)
    assert first["vector"][-1] == 0.0
    done, steps, rewards, raw, info = False, 0, [], [], {}
    while not done:
        observation, reward, done, _, info = env.step(np.array([0]))
        steps += 1
        rewards.append(reward)
        raw.append(info.pop("raw_reward"))
        seen = observation["vector"][-1]
    assert rewards[:-1] == pytest.approx([learned] * (steps - 1))
    # The last reward is appended before the config's own normalisation.
    normalization = wrapped.get("reward_normalization", 1)
    assert seen == np.float32(rewards[-1] * normalization)
    real = gymnasium.make("CartPole-v0")
    real.reset(seed=3)
    pushes = 1
    while not real.step(0)[2]:
        pushes += 1
    assert raw[:-1] == [wrapped.get("frame_skip", 1)] * (steps - 1)
    assert sum(raw) == pushes
    assert info == {"episode_reward": float(pushes), "episode_length": steps}


class _Sorted(gymnasium.Env):
    """Has an image, two vectors, and multi-discrete actions that do not start at 0."""

    observation_space = spaces.Dict(
        {
            "camera": spaces.Box(0, 255, (8, 6, 3), np.uint8),
            "a": spaces.Box(-9, 9, (2, 2), np.float64),
            "b": spaces.Box(-9, 9, (3,), np.float32),
        }
    )
    action_space = spaces.MultiDiscrete([3, 2], start=[1, 5])

    def __init__(self, bonus: float = 0.0):
        self._bonus = bonus

    def _observe(self):
        return {
            "camera": np.full((8, 6, 3), 9, np.uint8),
            "a": np.arange(4.0).reshape(2, 2),
            "b": np.array([7, 8, 9], np.float32),
        }

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._observe(), {}

    def step(self, action):
        return self._observe(), float(action.sum()) + self._bonus, False, False, {}


class _TwoCameras(_Sorted):
    observation_space = spaces.Dict(
        {
            "right": spaces.Box(0, 255, (8, 6, 3), np.uint8),
            "left": spaces.Box(0, 255, (9, 6), np.uint8),
        }
    )


@pytest.fixture
def registered():
    gymnasium.register("Sorted-v0", _Sorted)
    gymnasium.register("TwoCameras-v0", _TwoCameras)
    yield
    del gymnasium.registry["Sorted-v0"], gymnasium.registry["TwoCameras-v0"]


@pytest.mark.usefixtures("registered")
def test_dict_observations_are_sorted_into_image_and_vector():
    config = _config("Gymnasium", "Sorted-v0", resize_vis_obs=[6, 8], reset_params={"bonus": 0.5})
    env = make_single(config, 0)
    spec = specification_of(env)
    assert (spec.visual, spec.vector, spec.actions) == ((8, 6, 3), 7, (3, 2))
    observation, _ = env.reset(seed=0)
    np.testing.assert_array_equal(observation["vector"], [0, 1, 2, 3, 7, 8, 9])
    assert env.step(np.array([2, 1]))[1] == 2 + 1 + 1 + 5 + 0.5
    assert registry.check(config) == try_out(config).problems == []


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("TwoCameras-v0", "different sizes (left 6 x 9, right 6 x 8); images of one size"),
        ("CartPole-v7", "did you mean CartPole-v1"),
    ],
)
def test_unsuitable_ids_are_named(name, message):
    config = EnvironmentConfig(type="Gymnasium", name=name)
    (problem,) = registry.check(config) or try_out(config).problems
    assert problem.path == "environment.name"
    assert message in problem.message


def test_arguments_that_the_id_does_not_take_are_named():
    config = EnvironmentConfig(type="Gymnasium", name="CartPole-v1", reset_params={"sutton": 1})
    assert registry.check(config) == []
    (problem,) = try_out(config).problems
    assert problem.path == "environment.reset_params"
    assert "sutton" in problem.message


@pytest.mark.parametrize("type_", sorted(registry.TYPES))
def test_every_type_has_a_shipped_config(type_):
    from neroRL.composition.source import shipped_conf
    from neroRL.config.documents import read_document

    types = {
        read_document(path).data["type"] for path in (shipped_conf() / "environment").glob("*.yaml")
    }
    assert type_ in types


def test_vector_workers_draw_their_own_seeds():
    config = _config("CartPole", "CartPole-v1", reset_params={"start-seed": 7, "num-seeds": 3})
    first = make_vector(config, 3, seed=0)
    again = make_vector(config, 3, seed=0)
    other = make_vector(config, 3, seed=1)
    runs = []
    for env in (first, again, other):
        env.reset()
        drawn = []
        for _ in range(300):
            env.step(np.zeros((3, 1), np.int64))
            drawn.append(env.state_dict()["episode_seeds"])
        runs.append(drawn)
    assert runs[0] == runs[1] != runs[2]
    assert {seed for row in runs[0] for seed in row} == {7, 8, 9}
    columns = list(zip(*runs[0], strict=True))
    assert len(set(columns)) == 3  # each worker has its own
