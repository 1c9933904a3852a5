"""Tests that each wrapper makes the change that it documents and no other."""

from __future__ import annotations

import cv2
import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from neroRL.environments.specification import LIFE_LOST, MixedSpace, image_space, vector_space
from neroRL.environments.wrappers.appending import LastAction, LastReward
from neroRL.environments.wrappers.episode_statistics import EpisodeStatistics
from neroRL.environments.wrappers.frame_skip import FrameSkip
from neroRL.environments.wrappers.imaging import Grayscale, Resize
from neroRL.environments.wrappers.positional_encoding import PositionalEncoding, sinusoid
from neroRL.environments.wrappers.reward_normalization import RewardNormalization
from neroRL.environments.wrappers.stacking import Stacking


class Counting(gymnasium.Env):
    """Shows the step as an image and a vector, gives rewards 1, 2, 3, …, and ends after 5 steps."""

    action_space = spaces.MultiDiscrete([3, 2])

    def __init__(self, parts=("visual", "vector")):
        every = {"visual": image_space(6, 4, 3), "vector": vector_space(2)}
        self.observation_space = spaces.Dict({part: every[part] for part in parts})

    def _observe(self):
        image = np.arange(72, dtype=np.uint8).reshape(6, 4, 3) + np.uint8(self.count)
        every = {"visual": image, "vector": np.array([self.count, -1], np.float32)}
        return {part: every[part] for part in self.observation_space}

    def reset(self, *, seed=None, options=None):
        self.count = 0
        return self._observe(), {}

    def step(self, action):
        self.count += 1
        return self._observe(), float(self.count), self.count == 5, False, {}


ACTION = np.array([2, 1])


def test_frame_skip_sums_rewards_and_stops_at_the_end():
    env = FrameSkip(Counting(), 2)
    env.reset()
    steps = [env.step(ACTION) for _ in range(3)]
    assert [step[1] for step in steps] == [3.0, 7.0, 5.0]
    assert [step[2] for step in steps] == [False, False, True]
    assert steps[1][0]["vector"][0] == 4


class Losing(Counting):
    """Loses a life in the first and the fourth step."""

    def step(self, action):
        *rest, info = super().step(action)
        return *rest, {**info, LIFE_LOST: self.count in (1, 4)}


def test_a_life_that_is_lost_in_a_skipped_frame_is_lost():
    env = FrameSkip(Losing(), 2)
    env.reset()
    told = [env.step(ACTION)[4] for _ in range(3)]
    assert [one[LIFE_LOST] for one in told] == [True, True, False]
    env = FrameSkip(Losing(), 3)
    env.reset()
    assert [env.step(ACTION)[4][LIFE_LOST] for _ in range(2)] == [True, True]


@pytest.mark.parametrize(
    ("space", "action"),
    [
        (spaces.Box(-2, 2, (3,), np.float64), np.array([0.1, -2.0, 1.5])),
        (spaces.MultiBinary(3), np.array([1, 0, 1])),
    ],
)
def test_last_numbers_and_bits_are_appended_as_they_are(space, action):
    plain = Counting(parts=("vector",))
    plain.action_space = space
    env = LastAction(plain)
    assert env.observation_space["vector"].shape == (5,)
    np.testing.assert_array_equal(env.reset()[0]["vector"], [0, -1, 0, 0, 0])
    seen = env.step(action)[0]["vector"]
    assert seen.dtype == np.float32
    np.testing.assert_array_equal(seen, [1, -1, *action.astype(np.float32)])
    np.testing.assert_array_equal(env.reset()[0]["vector"], [0, -1, 0, 0, 0])


def test_last_mixed_action_has_choices_one_hot_and_numbers_as_they_are():
    plain = Counting(parts=("vector",))
    numbers = spaces.Box(-2, 2, (2,), np.float64)
    plain.action_space = MixedSpace([numbers, spaces.MultiDiscrete([3, 2]), spaces.MultiBinary(1)])
    env = LastAction(plain)
    env.reset()
    seen = env.step(np.array([2.0, 0.0, 1.0, 0.5, -2.0]))[0]["vector"]
    assert seen.dtype == np.float32
    np.testing.assert_array_equal(seen, [1, -1, 0, 0, 1, 1, 0, 1, 0.5, -2])


def test_last_action_is_one_hot_for_each_branch():
    env = LastAction(Counting())
    assert env.observation_space["vector"].shape == (7,)
    np.testing.assert_array_equal(env.reset()[0]["vector"], [0, -1, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(env.step(ACTION)[0]["vector"], [1, -1, 0, 0, 1, 0, 1])
    np.testing.assert_array_equal(env.reset()[0]["vector"], [0, -1, 0, 0, 0, 0, 0])


def test_last_reward_becomes_the_vector_if_there_is_none():
    env = LastReward(Counting(parts=("visual",)))
    np.testing.assert_array_equal(env.reset()[0]["vector"], [0])
    env.step(ACTION)
    np.testing.assert_array_equal(env.step(ACTION)[0]["vector"], [2])


def test_grayscale_and_resize():
    env = Resize(Grayscale(Counting(), [3]), 8, 3)
    assert env.observation_space["visual"].shape == (3, 8, 1)
    image = Counting()
    image.reset()
    rgb = image._observe()["visual"].astype(float)
    gray = Grayscale(Counting(), [3]).reset()[0]["visual"]
    np.testing.assert_allclose(gray[..., 0], rgb @ [0.299, 0.587, 0.114], atol=1)
    resized = cv2.resize(gray, (8, 3), interpolation=cv2.INTER_AREA)
    np.testing.assert_array_equal(env.reset()[0]["visual"][..., 0], resized)


def test_resize_averages_over_areas():
    env = Resize(Counting(), 2, 3)
    image = Counting()
    image.reset()
    blocks = image._observe()["visual"].astype(float).reshape(3, 2, 2, 2, 3).mean((1, 3))
    np.testing.assert_allclose(env.reset()[0]["visual"], blocks, atol=1)


@pytest.mark.parametrize("step", [0, 1, 7, 511, 4000])
def test_sinusoid(step):
    """Compares with the original's way: one number at a time, in double precision, then rounded."""
    encoded = sinusoid(step)
    assert (encoded.dtype, encoded.shape) == (np.float32, (16,))
    for index in range(8):
        angle = step / np.power(10000, 2 * index / 16)
        assert encoded[2 * index] == np.float32(np.sin(angle))
        assert encoded[2 * index + 1] == np.float32(np.cos(angle))


@pytest.mark.parametrize("parts", [("visual", "vector"), ("visual",), ("vector",)])
def test_positional_encoding_is_appended_to_the_vector(parts):
    env, plain = PositionalEncoding(Counting(parts)), Counting(parts)
    own = 2 if "vector" in parts else 0
    assert env.observation_space["vector"].shape == (own + 16,)
    observation, expected = env.reset()[0], plain.reset()[0]
    for step in range(6):
        if step == 5:  # in the next episode
            observation, expected, step = env.reset()[0], plain.reset()[0], 0
        np.testing.assert_array_equal(observation["vector"][own:], sinusoid(step))
        np.testing.assert_array_equal(observation["vector"][:own], expected.get("vector", []))
        if "visual" in parts:
            np.testing.assert_array_equal(observation["visual"], expected["visual"])
            assert env.observation_space["visual"] == plain.observation_space["visual"]
        observation, expected = env.step(ACTION)[0], plain.step(ACTION)[0]


def test_stacking_fills_at_the_start_and_keeps_the_order():
    env = Stacking(Counting(), 3)
    assert env.observation_space["visual"].shape == (6, 4, 9)
    np.testing.assert_array_equal(env.reset()[0]["vector"], [0, -1] * 3)
    env.step(ACTION)
    observation = env.step(ACTION)[0]
    np.testing.assert_array_equal(observation["vector"][::2], [0, 1, 2])
    np.testing.assert_array_equal(observation["visual"][0, 0, ::3], [0, 1, 2])
    np.testing.assert_array_equal(env.reset()[0]["vector"], [0, -1] * 3)


def test_rewards_are_scaled_for_learning_but_not_in_the_info():
    env = RewardNormalization(EpisodeStatistics(Counting(), "Counting"), 5.0)
    env.reset()
    steps = [env.step(ACTION) for _ in range(5)]
    assert [step[1] for step in steps] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert [step[4].pop("raw_reward") for step in steps] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert steps[-1][4] == {"episode_reward": 15.0, "episode_length": 5}
    assert all(not step[4] for step in steps[:-1])
