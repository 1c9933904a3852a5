"""MiniGrid, seen as images or as one-hot vectors."""

from __future__ import annotations

import functools
from abc import abstractmethod
from typing import Any, ClassVar

import gymnasium
import minigrid  # noqa: F401 - registers its ids
import numpy as np
from gymnasium import spaces
from minigrid.core.constants import OBJECT_TO_IDX

from neroRL.config.schema import EnvironmentConfig
from neroRL.environments.environment_type import EnvironmentType, Parameter, unknown_name
from neroRL.environments.specification import (
    VECTOR,
    VISUAL,
    Observation,
    SingleEnvironment,
    image_space,
    observation_space,
    vector_space,
)
from neroRL.errors import Problem

TILE_SIZE = 28
MEMORY_ACTIONS = 4  # left, right, forward, pickup (which does nothing there)
CLASSES = ("agent", "empty", "wall", "key", "ball", "lava")
MOST_FRAME_BYTES = 64 * 2**20


class _MinigridType(EnvironmentType):
    parameters: ClassVar = {
        "view-size": Parameter(3, low=3),
        "max-episode-steps": Parameter(96, low=1),
    }

    def check_name(self, config: EnvironmentConfig) -> list[Problem]:
        """Refuses ids that are not registered."""
        known = [name for name in gymnasium.registry if name.startswith(("MiniGrid-", "BabyAI-"))]
        if config.name in known:
            return []
        return [unknown_name(config.name, known, "registered MiniGrid id")]

    def check_parameters(self, config: EnvironmentConfig) -> list[Problem]:
        """Refuses views without a middle, too."""
        found = super().check_parameters(config)
        view_size = config.reset_params.get("view-size", 3)
        if isinstance(view_size, int) and view_size % 2 == 0:
            message = f"{view_size} is even; expected an odd number, e.g. 3, 5 or 7"
            found.append(Problem("environment.reset_params.view-size", message))
        return found

    def _make_minigrid(self, config: EnvironmentConfig) -> gymnasium.Env[Any, Any]:
        params = self.reset_params(config)
        return gymnasium.make(
            config.name,
            disable_env_checker=True,
            agent_view_size=params["view-size"],
            max_episode_steps=params["max-episode-steps"],
        )


class Minigrid(_MinigridType):
    """The agent's view as an image."""

    def make(self, config: EnvironmentConfig, worker_id: int) -> SingleEnvironment:  # noqa: ARG002
        """Makes one environment; see the base class."""
        view_size = self.reset_params(config)["view-size"]
        return MinigridImage(
            self._make_minigrid(config), config.name, tile_size(view_size, config.resize_vis_obs)
        )


class MinigridVec(_MinigridType):
    """The agent's view as a one-hot vector."""

    def make(self, config: EnvironmentConfig, worker_id: int) -> SingleEnvironment:  # noqa: ARG002
        """Makes one environment; see the base class."""
        return MinigridOneHot(self._make_minigrid(config), config.name)


def tile_size(view_size: int, resize_vis_obs: list[int]) -> int:
    """Pixels a cell is rendered with: as many as fill the wanted image exactly, if any do."""
    width, height = resize_vis_obs
    if view_size != 3 and width == height and width % view_size == 0:
        return width // view_size
    return TILE_SIZE


class MinigridView(gymnasium.Wrapper[Observation, np.ndarray, Any, Any]):
    """A MiniGrid environment whose observation is a function of the agent's encoded view.

    Args:
        env: the environment.
        name: its id.
    """

    env: gymnasium.Env[Any, Any]

    def __init__(self, env: gymnasium.Env[Any, Any], name: str) -> None:
        super().__init__(env)
        actions = env.action_space
        assert isinstance(actions, spaces.Discrete)
        count = MEMORY_ACTIONS if "Memory" in name else int(actions.n)
        self.action_space = spaces.MultiDiscrete([count])

    @abstractmethod
    def observed(self, view: np.ndarray) -> Observation:
        """The observation of a view, shape (view size, view size, 3): type, colour, state."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode."""
        encoded, _ = self.env.reset(seed=seed, options=options)
        return self.observed(encoded["image"]), {}

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Does one of MiniGrid's actions."""
        encoded, reward, terminated, truncated, _ = self.env.step(int(action[0]))
        info = {"success": float(reward) > 0.0} if terminated or truncated else {}
        return self.observed(encoded["image"]), float(reward), terminated, truncated, info


class MinigridImage(MinigridView):
    """The view rendered in colour, shape (view size · tile size, view size · tile size, 3).

    The picture is a function of the view's encoding, so each distinct one is rendered once in a
    process.

    Args:
        env: the environment.
        name: its id.
        tile_size: pixels a cell is rendered with.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], name: str, tile_size: int) -> None:
        super().__init__(env, name)
        self._view_size = int(env.unwrapped.agent_view_size)  # type: ignore[attr-defined]
        self._tile_size = tile_size
        self._frames = _frames(self._view_size, tile_size)
        side = self._view_size * tile_size
        self._most_frames = MOST_FRAME_BYTES // (side * side * 3)
        self.observation_space = observation_space({VISUAL: image_space(side, side, 3)})

    def observed(self, view: np.ndarray) -> Observation:
        """The picture of a view; must not be written to."""
        key = view.tobytes()
        frame = self._frames.get(key)
        if frame is None:
            if len(self._frames) >= self._most_frames:
                self._frames.clear()
            unwrapped: Any = self.env.unwrapped
            frame = unwrapped.get_pov_render(tile_size=self._tile_size)
            frame.flags.writeable = False
            self._frames[key] = frame
        return {VISUAL: frame}


@functools.cache
def _frames(view_size: int, tile_size: int) -> dict[bytes, np.ndarray]:  # noqa: ARG001
    """Rendered views by encoding, shared by all environments of a process."""
    return {}


class MinigridOneHot(MinigridView):
    """The view as a flat one-hot vector: 6 classes a cell, any other object all zeros.

    Args:
        env: the environment.
        name: its id.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], name: str) -> None:
        super().__init__(env, name)
        self._one_hot = np.zeros((max(OBJECT_TO_IDX.values()) + 1, len(CLASSES)), np.float32)
        for index, name_of_class in enumerate(CLASSES):
            self._one_hot[OBJECT_TO_IDX[name_of_class], index] = 1.0
        cells = int(env.unwrapped.agent_view_size) ** 2  # type: ignore[attr-defined]
        self.observation_space = observation_space({VECTOR: vector_space(cells * len(CLASSES))})

    def observed(self, view: np.ndarray) -> Observation:
        """The one-hot vector of a view."""
        return {VECTOR: self._one_hot[view[:, :, 0]].reshape(-1)}
