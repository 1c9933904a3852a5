"""A wrapper that repeats each action."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from neroRL.environments.specification import Observation, SingleEnvironment


class FrameSkip(gymnasium.Wrapper[Observation, np.ndarray, Observation, np.ndarray]):
    """Repeats each action until the episode ends; sums the rewards, keeps the last observation.

    Args:
        env: the environment.
        frame_skip: number of steps for which each action is repeated.
    """

    def __init__(self, env: SingleEnvironment, frame_skip: int) -> None:
        super().__init__(env)
        self._frame_skip = frame_skip

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Takes an action ``frame_skip`` times."""
        total = 0.0
        for _ in range(self._frame_skip):
            observation, reward, terminated, truncated, info = self.env.step(action)
            total += float(reward)
            if terminated or truncated:
                break
        return observation, total, terminated, truncated, info
