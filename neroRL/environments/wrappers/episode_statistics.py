"""A wrapper that sums each episode's rewards before other wrappers scale them."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from neroRL.environments.specification import Observation


class EpisodeStatistics(gymnasium.Wrapper[Observation, np.ndarray, Observation, np.ndarray]):
    """Adds ``episode_reward`` and ``episode_length`` to the info of an episode's last step."""

    _reward = 0.0
    _length = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode."""
        self._reward, self._length = 0.0, 0
        return self.env.reset(seed=seed, options=options)

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Takes an action."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._reward += float(reward)
        self._length += 1
        if terminated or truncated:
            ended = {"episode_reward": self._reward, "episode_length": self._length}
            info = {**info, **ended}
        return observation, float(reward), terminated, truncated, info
