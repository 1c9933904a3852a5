"""Wrappers that append numbers to the vector observation."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from neroRL.environments.specification import (
    VECTOR,
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
        space = env.action_space
        self._first_of_branch: np.ndarray | None = None
        if isinstance(space, spaces.MultiDiscrete):
            counts = space.nvec
            self._length = int(counts.sum())
            self._first_of_branch = np.concatenate(([0], np.cumsum(counts)[:-1]))
        else:
            assert space.shape is not None
            self._length = space.shape[0]
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
        if self._first_of_branch is None:
            self._last = action.astype(np.float32)
        else:
            self._last = np.zeros(self._length, np.float32)
            self._last[self._first_of_branch + action] = 1.0
        return self.with_appended(observation), float(reward), terminated, truncated, info


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
