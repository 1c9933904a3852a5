"""Wrappers that append numbers to the vector observation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from neroRL.environments.specification import (
    VECTOR,
    MixedSpace,
    Observation,
    SingleEnvironment,
    vector_space,
)


class Appending(gymnasium.Wrapper[Observation, np.ndarray, Observation, np.ndarray]):
    """Appends numbers to the vector observation, or adds one if the environment has none.

    Args:
        env: the environment.
        length: number of appended numbers.
    """

    def __init__(self, env: SingleEnvironment, length: int) -> None:
        super().__init__(env)
        assert isinstance(env.observation_space, spaces.Dict)
        own = env.observation_space.get(VECTOR)
        own_length = own.shape[0] if own is not None and own.shape else 0
        self.observation_space = spaces.Dict(
            {**env.observation_space.spaces, VECTOR: vector_space(own_length + length)}
        )

    @abstractmethod
    def appended(self) -> np.ndarray:
        """Returns the numbers to append to the current observation, float32."""

    def with_appended(self, observation: Observation) -> Observation:
        """Returns the observation with the numbers appended."""
        numbers = self.appended()
        if VECTOR in observation:
            numbers = np.concatenate((observation[VECTOR], numbers))
        return {**observation, VECTOR: numbers}


class LastAction(Appending):
    """Appends the last action; zeros at the start of an episode.

    Choices are appended one-hot for each branch, bits and real numbers as they are, as the
    environment got them.

    Args:
        env: the environment.
    """

    def __init__(self, env: SingleEnvironment) -> None:
        self._length, self._numbers = _numbers_of(env.action_space)
        super().__init__(env, self._length)
        self._last = np.zeros(self._length, np.float32)

    def appended(self) -> np.ndarray:
        """Returns the last action."""
        return self._last

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._last = np.zeros(self._length, np.float32)
        return self.with_appended(observation), info

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Takes an action and remembers it."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._last = self._numbers(action)
        return self.with_appended(observation), float(reward), terminated, truncated, info


def _numbers_of(space: spaces.Space[Any]) -> tuple[int, Callable[[np.ndarray], np.ndarray]]:
    """Returns how many numbers tell an action, and what makes them of it, float32."""
    if isinstance(space, MixedSpace):
        lengths, makers = zip(*map(_numbers_of, space.parts), strict=True)

        def of_parts(action: np.ndarray) -> np.ndarray:
            pairs = zip(makers, space.split(action), strict=True)
            return np.concatenate([make(piece) for make, piece in pairs])

        return sum(lengths), of_parts
    if not isinstance(space, spaces.MultiDiscrete):
        assert space.shape is not None
        return space.shape[0], lambda action: action.astype(np.float32)
    length = int(space.nvec.sum())
    first_of_branch = np.concatenate(([0], np.cumsum(space.nvec)[:-1]))

    def one_hot(action: np.ndarray) -> np.ndarray:
        numbers = np.zeros(length, np.float32)
        numbers[first_of_branch + action] = 1.0
        return numbers

    return length, one_hot


class LastReward(Appending):
    """Appends the last reward; 0 at the start of an episode.

    Args:
        env: the environment.
    """

    def __init__(self, env: SingleEnvironment) -> None:
        super().__init__(env, 1)
        self._last = 0.0

    def appended(self) -> np.ndarray:
        """Returns the last reward."""
        return np.array([self._last], np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._last = 0.0
        return self.with_appended(observation), info

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Takes an action and remembers its reward."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._last = float(reward)
        return self.with_appended(observation), float(reward), terminated, truncated, info
