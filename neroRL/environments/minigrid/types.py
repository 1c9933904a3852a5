"""MiniGrid, seen as images or as one-hot vectors."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import gymnasium
import minigrid  # noqa: F401 - registers its ids
import numpy as np
from gymnasium import spaces
from minigrid.core.actions import Actions

from neroRL.config.schema import EnvironmentConfig
from neroRL.environments.environment_type import (
    MINIGRID_IDS,
    EnvironmentType,
    Parameter,
    depends_on_history,
    unknown_name,
)
from neroRL.environments.minigrid.tabled import TabledEnvironment
from neroRL.environments.minigrid.transition_table import TransitionTable, can_be_tabled
from neroRL.environments.minigrid.views import CLASSES, one_hot, renderer
from neroRL.environments.specification import (
    VECTOR,
    VISUAL,
    Observation,
    SingleEnvironment,
    image_space,
    observation_space,
    vector_space,
)
from neroRL.environments.vector.interface import EpisodeSeeds, VectorEnvironment
from neroRL.errors import Problem

TILE_SIZE = 28
PICTURED_TILE = 32
MEMORY_ACTIONS = 4  # left, right, forward, pickup (which does nothing there)


class _MinigridType(EnvironmentType):
    parameters: ClassVar = {
        "view-size": Parameter(3, low=3, high=99),
        "max-episode-steps": Parameter(96, low=1, high=2**31 - 1),
    }

    def check_name(self, config: EnvironmentConfig) -> list[Problem]:
        """Refuses ids that are not registered."""
        if config.name.startswith(MINIGRID_IDS) and config.name in gymnasium.registry:
            return []
        known = [name for name in gymnasium.registry if name.startswith(MINIGRID_IDS)]
        return [unknown_name(config.name, known, "registered MiniGrid id")]

    def check_parameters(self, config: EnvironmentConfig) -> list[Problem]:
        """Also refuses views without a middle."""
        found = super().check_parameters(config)
        view_size = config.reset_params.get("view-size", 3)
        if isinstance(view_size, int) and view_size % 2 == 0:
            message = f"{view_size} is even; expected an odd number, e.g. 3, 5 or 7"
            found.append(Problem("environment.reset_params.view-size", message))
        return found

    def make_batch(
        self,
        config: EnvironmentConfig,
        single: SingleEnvironment,
        seeds: Sequence[EpisodeSeeds],
    ) -> VectorEnvironment | None:
        """Makes a lookup table if observations are functions of the view; see the base class."""
        if depends_on_history(config) or not can_be_tabled(single):
            return None
        assert isinstance(single.action_space, spaces.MultiDiscrete)
        actions = int(single.action_space.nvec[0])
        params = self.reset_params(config)
        return TabledEnvironment(
            single,
            _transitions(config.name, params["view-size"], actions),
            self._observations_of(config),
            seeds,
            params["max-episode-steps"],
            [config.reward_normalization or 1.0],
            functools.partial(_make_plain, config.name, params["view-size"]),
        )

    def pictures(
        self,
        environment: SingleEnvironment,
        observation: Observation,  # noqa: ARG002
    ) -> dict[str, np.ndarray]:
        """Returns the whole map, with the view highlighted, beside the view; see the base class."""
        grid: Any = environment.unwrapped
        whole, seen = grid.get_frame(tile_size=PICTURED_TILE), grid.get_pov_render(PICTURED_TILE)
        return {"map": whole, "what the agent sees": seen}

    def action_names(
        self,
        counts: Sequence[int],
        first: Sequence[int],  # noqa: ARG002
    ) -> list[list[str]]:
        """Returns MiniGrid's names of its actions; see the base class."""
        return [[action.name for action in Actions][: counts[0]]]

    @abstractmethod
    def _observations_of(self, config: EnvironmentConfig) -> Callable[[np.ndarray], Observation]:
        """Makes the function from views to observations."""

    def _make_minigrid(self, config: EnvironmentConfig) -> gymnasium.Env[Any, Any]:
        params = self.reset_params(config)
        return gymnasium.make(
            config.name,
            disable_env_checker=True,
            agent_view_size=params["view-size"],
            max_episode_steps=params["max-episode-steps"],
        )


@functools.lru_cache(maxsize=4)
def _transitions(name: str, view_size: int, actions: int) -> TransitionTable:
    """Returns the table that all environments of an id share in a process."""
    return TransitionTable(_make_plain(name, view_size), actions)


def _make_plain(name: str, view_size: int) -> gymnasium.Env[Any, Any]:
    return gymnasium.make(name, disable_env_checker=True, agent_view_size=view_size)


class Minigrid(_MinigridType):
    """The agent's view as an image."""

    def make(self, config: EnvironmentConfig, worker_id: int) -> SingleEnvironment:  # noqa: ARG002
        """Makes one environment; see the base class."""
        view_size = self.reset_params(config)["view-size"]
        return MinigridImage(
            self._make_minigrid(config), config.name, tile_size(view_size, config.resize_vis_obs)
        )

    def _observations_of(self, config: EnvironmentConfig) -> Callable[[np.ndarray], Observation]:
        view_size = self.reset_params(config)["view-size"]
        width, height = config.resize_vis_obs
        tile = tile_size(view_size, config.resize_vis_obs)
        frames = renderer(view_size, tile, config.grayscale, (width, height))
        return lambda views: {VISUAL: np.stack([frames.frame(view) for view in views])}


class MinigridVec(_MinigridType):
    """The agent's view as a one-hot vector."""

    def make(self, config: EnvironmentConfig, worker_id: int) -> SingleEnvironment:  # noqa: ARG002
        """Makes one environment; see the base class."""
        return MinigridOneHot(self._make_minigrid(config), config.name)

    def _observations_of(self, config: EnvironmentConfig) -> Callable[[np.ndarray], Observation]:  # noqa: ARG002
        return lambda views: {VECTOR: one_hot(views)}


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
    def observation_of(self, view: np.ndarray) -> Observation:
        """Returns the observation of a view, shape (view size, view size, 3)."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode."""
        encoded, _ = self.env.reset(seed=seed, options=options)
        return self.observation_of(encoded["image"]), {}

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Takes one of MiniGrid's actions."""
        encoded, reward, terminated, truncated, _ = self.env.step(int(action[0]))
        info = {"success": float(reward) > 0.0} if terminated or truncated else {}
        return self.observation_of(encoded["image"]), float(reward), terminated, truncated, info


class MinigridImage(MinigridView):
    """The view rendered in colour, shape (view size · tile size, view size · tile size, 3).

    Args:
        env: the environment.
        name: its id.
        tile_size: pixels a cell is rendered with.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], name: str, tile_size: int) -> None:
        super().__init__(env, name)
        self._renderer = renderer(view_size_of(env), tile_size)
        side = self._renderer.side
        self.observation_space = observation_space({VISUAL: image_space(side, side, 3)})

    def observation_of(self, view: np.ndarray) -> Observation:
        """Returns the picture of a view; must not be written to."""
        return {VISUAL: self._renderer.frame(view)}


class MinigridOneHot(MinigridView):
    """The view as a flat one-hot vector: 6 classes a cell, any other object all zeros.

    Args:
        env: the environment.
        name: its id.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], name: str) -> None:
        super().__init__(env, name)
        length = view_size_of(env) ** 2 * len(CLASSES)
        self.observation_space = observation_space({VECTOR: vector_space(length)})

    def observation_of(self, view: np.ndarray) -> Observation:
        """Returns the one-hot vector of a view."""
        return {VECTOR: one_hot(view)}


def view_size_of(env: gymnasium.Env[Any, Any]) -> int:
    """Cells of the agent's view on a side."""
    unwrapped: Any = env.unwrapped
    return int(unwrapped.agent_view_size)
