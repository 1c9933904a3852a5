"""A wrapper that divides rewards by the largest possible reward."""

from __future__ import annotations

import gymnasium
import numpy as np

from neroRL.environments.specification import Observation, SingleEnvironment


class RewardNormalization(gymnasium.RewardWrapper[Observation, np.ndarray]):
    """Divides rewards by the largest reward.

    Args:
        env: the environment.
        maximum: the largest reward; positive.
    """

    def __init__(self, env: SingleEnvironment, maximum: float) -> None:
        super().__init__(env)
        self._maximum = maximum

    def reward(self, reward: float) -> float:  # type: ignore[override]
        """Returns the reward divided by the maximum."""
        return reward / self._maximum
