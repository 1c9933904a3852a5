"""A wrapper that repeats each action."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from neroRL.environments.specification import LIFE_LOST, Observation, SingleEnvironment


class FrameSkip(gymnasium.Wrapper[Observation, np.ndarray, Observation, np.ndarray]):
    """Repeats each action until the episode ends; sums rewards, keeps the last observation.

    A life that is lost in one of the steps is lost in the whole.

    Args:
        env: the environment.
        frame_skip: number of steps for which each action is repeated.
    """

    def __init__(self, env: SingleEnvironment, frame_skip: int) -> None:
        super().__init__(env)
        self._frame_skip = frame_skip

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Takes an action ``frame_skip`` times."""
        total, lost = 0.0, False
        for _ in range(self._frame_skip):
            observation, reward, terminated, truncated, info = self.env.step(action)
            total += float(reward)
            lost = lost or bool(info.get(LIFE_LOST, False))
            if terminated or truncated:
                break
        if lost:
            info = {**info, LIFE_LOST: True}
        return observation, total, terminated, truncated, info
