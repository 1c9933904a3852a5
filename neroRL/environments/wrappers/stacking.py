"""A wrapper that stacks the most recent observations."""

from __future__ import annotations

from collections import deque
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from neroRL.environments.specification import Observation, SingleEnvironment


class Stacking(gymnasium.Wrapper[Observation, np.ndarray, Observation, np.ndarray]):
    """Joins the most recent observations along their last axis, oldest first.

    At the start of an episode the first observation fills the stack.

    Args:
        env: the environment.
        stacks: number of observations.

    Attributes:
        obs_stacks: number of observations.
    """

    obs_stacks: int

    def __init__(self, env: SingleEnvironment, stacks: int) -> None:
        super().__init__(env)
        assert isinstance(env.observation_space, spaces.Dict)
        self.observation_space = spaces.Dict(
            {key: _stacked_space(box, stacks) for key, box in env.observation_space.items()}
        )
        self._recent: deque[Observation] = deque(maxlen=stacks)
        self.obs_stacks = stacks

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._recent.extend([_copied(observation)] * self.obs_stacks)
        return self._stacked(), info

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Takes an action."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._recent.append(_copied(observation))
        return self._stacked(), float(reward), terminated, truncated, info

    def _stacked(self) -> Observation:
        return {
            key: np.concatenate([observation[key] for observation in self._recent], axis=-1)
            for key in self._recent[0]
        }


def _copied(observation: Observation) -> Observation:
    """Returns a copy, since an environment may overwrite its observations."""
    return {key: array.copy() for key, array in observation.items()}


def _stacked_space(space: spaces.Space[Any], stacks: int) -> spaces.Box:
    assert isinstance(space, spaces.Box)
    low = np.concatenate([space.low] * stacks, axis=-1)
    high = np.concatenate([space.high] * stacks, axis=-1)
    return spaces.Box(low, high, dtype=space.dtype.type)
