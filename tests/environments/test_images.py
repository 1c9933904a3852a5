"""Images of every layout reach the network as images, with and without wrappers."""

from __future__ import annotations

from collections import OrderedDict

import cv2
import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from neroRL.config.checks import build
from neroRL.config.schema import EnvironmentConfig
from neroRL.environments.factory import make_single
from neroRL.environments.registered import RegisteredEnvironment
from neroRL.environments.specification import specification_of
from neroRL.training import checkpoint as checkpoints
from neroRL.training.trainer import train


class Camera(gymnasium.Env):
    """Draws random images of a space into one buffer, which it overwrites at each step."""

    action_space = spaces.Discrete(2)

    def __init__(self, shape, dtype="uint8", high=255):
        self.observation_space = spaces.Box(0, high, shape, np.dtype(dtype).type)
        self._buffer = np.zeros(shape, dtype)
        self._high = high

    def _observe(self):
        drawn = self.np_random.random(self._buffer.shape) * self._high
        self._buffer[...] = drawn.astype(self._buffer.dtype)
        return self._buffer

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._observe(), {}

    def step(self, action):
        return self._observe(), 0.0, False, False, {}


gymnasium.register("Camera-v0", Camera)

LAYOUTS = {
    "colours last": ((40, 50, 3), lambda image: image),
    "colours first": ((3, 40, 50), lambda image: image.transpose(1, 2, 0)),
    "gray": ((40, 50), lambda image: image[:, :, None]),
    "gray first": ((1, 40, 50), lambda image: image.transpose(1, 2, 0)),
    "gray last": ((40, 50, 1), lambda image: image),
    "four frames first": ((4, 40, 50), lambda image: image.transpose(1, 2, 0)),
    "twelve channels first": ((12, 40, 50), lambda image: image.transpose(1, 2, 0)),
    "more channels than rows": ((5, 5, 20), lambda image: image),
}
KINDS = {
    "uint8": (np.uint8, 255, 1),
    "float32": (np.float32, 1.0, 1),
    "float64": (np.float64, 1.0, 1),
    "float to 255": (np.float32, 255.0, 255),
}


def _config(shape, kind, **rest) -> EnvironmentConfig:
    dtype, high, _ = KINDS[kind]
    arguments = {"shape": shape, "dtype": np.dtype(dtype).name, "high": high}
    return EnvironmentConfig(type="Gymnasium", name="Camera-v0", reset_params=arguments, **rest)


def _expected(seed: int, steps: int, shape, kind, arranged) -> list[np.ndarray]:
    """Returns the images of an episode with their channels moved by hand."""
    dtype, high, divisor = KINDS[kind]
    camera = Camera(shape, dtype, high)
    images = [camera.reset(seed=seed)[0].copy()]
    images += [camera.step(0)[0].copy() for _ in range(steps)]
    wanted = np.uint8 if dtype == np.uint8 else np.float32
    return [arranged((image / np.float32(divisor)).astype(wanted)) for image in images]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_image_has_its_channels_last(layout, kind):
    shape, arranged = LAYOUTS[layout]
    if len(shape) == 2 and kind != "uint8":
        pytest.skip("two dimensions of floats are a vector")
    expected = _expected(3, 4, shape, kind, arranged)
    height, width, channels = expected[0].shape
    env = make_single(_config(shape, kind, resize_vis_obs=[width, height]), 0)
    specification = specification_of(env)
    assert specification.visual == (height, width, channels)
    assert specification.visual_dtype == ("uint8" if kind == "uint8" else "float32")
    assert specification.vector is None
    seen = [env.reset(seed=3)[0]["visual"]]
    np.testing.assert_array_equal(seen[0], expected[0])
    for image in expected[1:]:
        seen.append(env.step(np.array([0]))[0]["visual"])
        assert seen[-1].dtype == image.dtype
        np.testing.assert_array_equal(seen[-1], image)
        assert env.observation_space["visual"].contains(seen[-1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layout", ["colours last", "colours first", "four frames first"])
def test_images_are_converted_resized_and_stacked(layout, kind):
    shape, arranged = LAYOUTS[layout]
    config = _config(shape, kind, grayscale=True, resize_vis_obs=[25, 20], obs_stacks=3)
    env = make_single(config, 0)
    small = []
    for image in _expected(5, 6, shape, kind, arranged):
        if image.shape[2] == 3:
            image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        scaled = cv2.resize(image, (25, 20), interpolation=cv2.INTER_AREA)
        small.append(scaled.reshape(20, 25, -1))
    stacked = [small[0]] * 2 + small
    seen = env.reset(seed=5)[0]["visual"]
    for step in range(7):
        assert seen.dtype == env.observation_space["visual"].dtype
        np.testing.assert_array_equal(seen, np.concatenate(stacked[step : step + 3], axis=2))
        seen = env.step(np.array([1]))[0]["visual"]


def test_twelve_channels_are_resized_like_one():
    shape, arranged = LAYOUTS["twelve channels first"]
    env = make_single(_config(shape, "uint8", resize_vis_obs=[10, 9]), 0)
    image = _expected(1, 0, shape, "uint8", arranged)[0]
    seen = env.reset(seed=1)[0]["visual"]
    assert seen.shape == (9, 10, 12)
    for channel in range(12):
        alone = cv2.resize(image[:, :, channel], (10, 9), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(seen[:, :, channel], alone)


@pytest.mark.parametrize(
    ("shape", "dtype", "high"),
    [
        ((8, 8), np.uint8, 1),  # a board
        ((8, 8, 3), np.uint8, 1),
        ((6, 6, 3), np.float32, np.inf),
        ((6, 7), np.float32, 1.0),
        ((128,), np.uint8, 255),
        ((2, 3, 4, 5), np.uint8, 255),
    ],
)
def test_every_other_box_is_a_vector(shape, dtype, high):
    env = RegisteredEnvironment(Camera(shape, dtype, high), "Camera-v0")
    specification = specification_of(env)
    assert (specification.visual, specification.vector) == (None, int(np.prod(shape)))


class _Parts(gymnasium.Env):
    """Has a Dict space whose parts stand in another order than in the observations."""

    action_space = spaces.Discrete(2)
    observation_space = spaces.Dict(
        OrderedDict(
            z=spaces.Box(-9, 9, (2,), np.float32),
            camera=spaces.Box(0, 255, (3, 8, 9), np.uint8),
            a=spaces.Box(-9, 9, (2,), np.float32),
        )
    )

    def __init__(self):
        self._turn = 0

    def _observe(self):
        self._turn += 1
        parts = {
            "a": np.array([3, 4], np.float32),
            "camera": np.full((3, 8, 9), self._turn, np.uint8),
            "z": np.array([1, 2], np.float32),
        }
        return dict(reversed(parts.items())) if self._turn % 2 else parts

    def reset(self, *, seed=None, options=None):
        return self._observe(), {}

    def step(self, action):
        return self._observe(), 0.0, False, False, {}


def test_parts_are_joined_in_the_order_of_their_space():
    env = RegisteredEnvironment(_Parts(), "Parts-v0")
    for observation in (env.reset()[0], env.step(np.array([0]))[0]):
        np.testing.assert_array_equal(observation["vector"], [1, 2, 3, 4])
        assert observation["visual"].shape == (8, 9, 3)


class Cameras(gymnasium.Env):
    """Has three images of 9 x 8 and a vector between them."""

    action_space = spaces.Discrete(2)

    def __init__(self, as_floats=False):
        front = spaces.Box(0, 255, (3, 8, 9), np.uint8)
        if as_floats:
            front = spaces.Box(0.0, 1.0, (3, 8, 9), np.float64)
        self.observation_space = spaces.Dict(
            OrderedDict(
                top=spaces.Box(0, 255, (8, 9), np.uint8),
                speed=spaces.Box(-9, 9, (2,), np.float32),
                front=front,
                eyes=spaces.Tuple((spaces.Box(0, 255, (8, 9, 3), np.uint8),)),
            )
        )

    def reset(self, *, seed=None, options=None):
        self.given = self.observation_space.sample()
        return self.given, {}

    def step(self, action):
        return self.reset()[0], 0.0, False, False, {}


gymnasium.register("Cameras-v0", Cameras)


@pytest.mark.parametrize("as_floats", [False, True])
def test_images_of_one_size_are_stacked_in_the_order_of_their_keys(as_floats):
    parameters = {"as_floats": as_floats}
    config = EnvironmentConfig(
        type="Gymnasium", name="Cameras-v0", reset_params=parameters, resize_vis_obs=[9, 8]
    )
    env = make_single(config, 0)
    specification = specification_of(env)
    assert (specification.visual, specification.vector) == ((8, 9, 7), 2)
    assert specification.visual_dtype == ("float32" if as_floats else "uint8")
    env.reset(seed=1)
    seen = env.step(np.array([0]))[0]
    given = env.unwrapped.given
    bytes_to = np.float32(255) if as_floats else np.uint8(1)
    front = given["front"].transpose(1, 2, 0)
    parts = {
        "top": given["top"][:, :, None] / bytes_to,
        "front": front.astype(np.float32) if as_floats else front,
        "eyes": given["eyes"][0] / bytes_to,
    }
    expected = np.concatenate(
        [parts[key] for key in env.unwrapped.observation_space if key != "speed"], axis=2
    )
    np.testing.assert_array_equal(seen["visual"], expected)
    np.testing.assert_array_equal(seen["vector"], given["speed"])
    assert env.observation_space.contains(seen)


def test_each_of_several_images_becomes_gray_and_smaller():
    config = EnvironmentConfig(
        type="Gymnasium", name="Cameras-v0", grayscale=True, resize_vis_obs=[4, 5]
    )
    env = make_single(config, 0)
    seen = env.reset(seed=1)[0]["visual"]
    given = env.unwrapped.given
    gray = {
        "top": given["top"],
        "front": cv2.cvtColor(given["front"].transpose(1, 2, 0).copy(), cv2.COLOR_RGB2GRAY),
        "eyes": cv2.cvtColor(given["eyes"][0], cv2.COLOR_RGB2GRAY),
    }
    order = [key for key in env.unwrapped.observation_space if key != "speed"]
    expected = np.stack([gray[key] for key in order], axis=2)
    expected = cv2.resize(expected, (4, 5), interpolation=cv2.INTER_AREA)
    assert specification_of(env).visual == (5, 4, 3)
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize(
    ("layout", "kind", "channels"),
    [("colours first", "uint8", 3), ("gray", "uint8", 1), ("colours last", "float32", 3)],
)
def test_a_trained_network_has_convolutions_for_them(layout, kind, channels, tmp_path):
    shape, _ = LAYOUTS[layout]
    _assert_trains(_config(shape, kind, resize_vis_obs=[36, 36]), channels, tmp_path)


@pytest.mark.parametrize("as_floats", [False, True])
def test_a_trained_network_has_convolutions_for_several_images(as_floats, tmp_path):
    config = EnvironmentConfig(
        type="Gymnasium",
        name="Cameras-v0",
        resize_vis_obs=[36, 36],
        obs_stacks=2,
        reset_params={"as_floats": as_floats},
    )
    _assert_trains(config, 14, tmp_path)


def _assert_trains(environment, channels, tmp_path):
    config = build(
        {
            "environment": vars(environment),
            "model": {"num_hidden_units": 8},
            "sampler": {"n_workers": 2, "worker_steps": 8},
            "trainer": {"updates": 1, "epochs": 1, "n_mini_batches": 2},
            "seed": 1,
            "threads": 1,
            "device": "cpu",
        }
    )
    assert train(config, tmp_path).status == "completed"
    path = checkpoints.checkpoint_path(tmp_path, "default", 1)
    weights = checkpoints.load(path, torch.device("cpu")).model
    kernels = [tensor for tensor in weights.values() if tensor.ndim == 4]
    assert kernels[0].shape == (32, channels, 8, 8)
