"""Tells the agent how far the episode is."""

from __future__ import annotations

import functools
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from neroRL.environments.specification import VISUAL, Observation, SingleEnvironment
from neroRL.environments.wrappers.appending import Appending

VECTOR_LENGTH = 32
WAVELENGTH = 10000.0


@functools.lru_cache(maxsize=1024)
def sinusoid(step: int, length: int) -> np.ndarray:
    """Encodes a step of an episode as sines and cosines (Vaswani et al. 2017, section 3.5).

    Args:
        step: from 0.
        length: how many numbers, even or odd.

    Returns:
        float32 of shape (length,): sin(step / 10000^(2i/length)) at 2i, the cosine at 2i + 1.
    """
    exponents = 2 * (np.arange(length) // 2) / length
    angles = step / WAVELENGTH**exponents
    encoded = np.where(np.arange(length) % 2 == 0, np.sin(angles), np.cos(angles))
    return encoded.astype(np.float32)


def add_positional_encoding(env: SingleEnvironment) -> SingleEnvironment:
    """Wraps an environment: images get the encoding added, else it is appended to the vector."""
    assert isinstance(env.observation_space, spaces.Dict)
    if VISUAL in env.observation_space.spaces:
        return ImagePositionalEncoding(env)
    return VectorPositionalEncoding(env)


class ImagePositionalEncoding(gymnasium.Wrapper[Observation, np.ndarray, Observation, np.ndarray]):
    """Adds the encoded step, one number a pixel, to the image scaled to [0, 1].

    Args:
        env: an environment with an image.
    """

    _step: int
    _height: int
    _width: int

    def __init__(self, env: SingleEnvironment) -> None:
        super().__init__(env)
        assert isinstance(env.observation_space, spaces.Dict)
        shape = env.observation_space[VISUAL].shape
        assert shape is not None
        self._height, self._width = shape[0], shape[1]
        self.observation_space = spaces.Dict(
            {**env.observation_space.spaces, VISUAL: spaces.Box(-1.0, 2.0, shape, np.float32)}
        )
        self._step = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._step = 0
        return self._with_encoding(observation), info

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Does an action."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._step += 1
        return self._with_encoding(observation), float(reward), terminated, truncated, info

    def _with_encoding(self, observation: Observation) -> Observation:
        image = observation[VISUAL].astype(np.float32) / np.float32(255.0)
        encoding = sinusoid(self._step, self._height * self._width)
        return {**observation, VISUAL: image + encoding.reshape(self._height, self._width, 1)}


class VectorPositionalEncoding(Appending):
    """Appends the encoded step, 32 numbers, to the vector.

    Args:
        env: the environment.
    """

    _step: int

    def __init__(self, env: SingleEnvironment) -> None:
        super().__init__(env, VECTOR_LENGTH)
        self._step = 0

    def appended(self) -> np.ndarray:
        """The encoded step."""
        return sinusoid(self._step, VECTOR_LENGTH)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._step = 0
        return self.with_appended(observation), info

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Does an action."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._step += 1
        return self.with_appended(observation), float(reward), terminated, truncated, info
