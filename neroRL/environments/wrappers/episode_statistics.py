"""A wrapper that keeps rewards, and sums each episode's, before other wrappers scale them."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from neroRL.environments.specification import (
    RAW_REWARD,
    SUCCESS,
    Observation,
    SingleEnvironment,
)
from neroRL.errors import BrokenEnvironmentError

EPISODE_NUMBERS = frozenset({"reward", "length", SUCCESS})


def _share(name: str, told: Any) -> float:
    """Returns what an environment told of its success, as a share.

    Raises:
        BrokenEnvironmentError: it is none.
    """
    number = np.asarray(told)
    if number.size == 1 and number.dtype.kind in "biuf" and 0.0 <= number.item() <= 1.0:
        return float(number.item())
    expected = "expected true or false, or a share from 0 to 1"
    raise BrokenEnvironmentError(f"{name}: the info's success is {told!r}; {expected}")


class EpisodeStatistics(gymnasium.Wrapper[Observation, np.ndarray, Observation, np.ndarray]):
    """Adds ``raw_reward`` to every info, ``episode_reward`` and ``episode_length`` to the last.

    Args:
        env: the environment.
        name: its name, for messages.
    """

    _reward = 0.0
    _length = 0

    def __init__(self, env: SingleEnvironment, name: str) -> None:
        super().__init__(env)
        self._name = name

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode."""
        self._reward, self._length = 0.0, 0
        return self.env.reset(seed=seed, options=options)

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Takes an action.

        Raises:
            BrokenEnvironmentError: the environment tells a success that is none, or a statistic
                that is called like a number of every episode.
        """
        observation, reward, terminated, truncated, info = self.env.step(action)
        reward = float(reward)
        self._reward += reward
        self._length += 1
        info = {**info, RAW_REWARD: reward}
        if SUCCESS in info:
            info = {**info, SUCCESS: _share(self._name, info[SUCCESS])}
        if terminated or truncated:
            taken = sorted(EPISODE_NUMBERS & info.get("statistics", {}).keys())
            if taken:
                message = f"{self._name}: statistics cannot be called {', '.join(taken)}"
                raise BrokenEnvironmentError(f"{message}: every episode has a number of that name")
            ended = {"episode_reward": self._reward, "episode_length": self._length}
            info = {**info, **ended}
        return observation, reward, terminated, truncated, info
