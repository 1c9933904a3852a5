"""A wrapper that adds the position in the episode to the vector observation."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from neroRL.environments.specification import Observation, SingleEnvironment
from neroRL.environments.wrappers.appending import Appending

LENGTH = 16
WAVELENGTH = 10000.0


@functools.lru_cache(maxsize=1024)
def sinusoid(step: int) -> np.ndarray:
    """Encodes a step of an episode as sines and cosines (Vaswani et al. 2017, section 3.5).

    Args:
        step: position in the episode; the first is 0.

    Returns:
        float32 of shape (16,): sin(step / 10000^(2i/16)) at 2i, the cosine at 2i + 1. Do not
        change it; it is cached.
    """
    angles = step / WAVELENGTH ** (np.arange(0, LENGTH, 2) / LENGTH)
    return np.stack((np.sin(angles), np.cos(angles)), axis=1).reshape(-1).astype(np.float32)


class PositionalEncoding(Appending):
    """Appends the encoded step to the vector observation, or adds one if there is none.

    Args:
        env: the environment.
    """

    _step: int

    def __init__(self, env: SingleEnvironment) -> None:
        super().__init__(env, LENGTH)
        self._step = 0

    def appended(self) -> np.ndarray:
        """Returns the encoded step."""
        return sinusoid(self._step)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._step = 0
        return self.with_appended(observation), info

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Takes an action."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._step += 1
        return self.with_appended(observation), float(reward), terminated, truncated, info
