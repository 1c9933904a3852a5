"""The interface of vector environments: Gymnasium's, with numbered observations."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from neroRL.environments.specification import (
    SingleEnvironment,
    specification_of,
)
from neroRL.environments.vector.observation_table import NumberedObservations

# Largest share of distinct observations at which computing each only once still pays.
MOST_DISTINCT = 0.75
# As the first seed: environments choose their seeds themselves. They are reset with this seed.
UNLIMITED = -1


class EpisodeEnd(NamedTuple):
    """An episode that ended.

    Attributes:
        worker: number of the environment.
        reward: sum of the rewards as the environment gave them.
        length: number of steps.
        success: from 0.0 to 1.0 if the environment reports it, else None.
        others: further numbers that the environment reports, by name.
    """

    worker: int
    reward: float
    length: int
    success: float | None
    others: Mapping[str, float] = {}


class Transition(NamedTuple):
    """The outcome of one step of all environments.

    Attributes:
        rewards: float32, shape (N,).
        terminations: bool, shape (N,). A lost life terminates, too, where a policy learns, but the
            episode goes on.
        truncations: bool, shape (N,).
        final_ids: ids of the ended episodes' last observations, shape (N,); -1 for the other
            environments. None if no episode ended.
        episodes: the episodes that ended.
    """

    rewards: np.ndarray
    terminations: np.ndarray
    truncations: np.ndarray
    final_ids: np.ndarray | None
    episodes: Sequence[EpisodeEnd]


class EpisodeSeeds:
    """The seeds with which one environment's episodes are reset.

    Args:
        generator: draws the seeds from [start, start + count).
        start: first seed; with ``UNLIMITED`` the environment chooses its seeds.
        count: number of seeds.
        explicit: seeds to use one after the other instead.
    """

    def __init__(
        self,
        generator: np.random.Generator,
        start: int,
        count: int,
        explicit: Sequence[int] | None = None,
    ) -> None:
        self._generator = generator
        self._start, self._count = start, count
        self._explicit = explicit
        self._played = 0

    @property
    def are_given(self) -> bool:
        """Whether the episodes are given ones, as in evaluations, and not drawn to learn from."""
        return self._explicit is not None

    def restart(self) -> None:
        """Starts again from the first explicit seed; drawn seeds continue."""
        self._played = 0

    def next(self) -> int:
        """Returns the seed of the next episode."""
        if self._explicit is None:
            if self._start == UNLIMITED:
                return UNLIMITED
            return self._start + int(self._generator.integers(self._count))
        seed = self._explicit[self._played % len(self._explicit)]
        self._played += 1
        return seed

    def state_dict(self) -> dict[str, Any]:
        """Returns the state, as plain Python objects."""
        return {"generator": self._generator.bit_generator.state, "played": self._played}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a state."""
        self._generator.bit_generator.state = state["generator"]
        self._played = state["played"]


class VectorEnvironment(VectorEnv[dict[str, np.ndarray], np.ndarray, np.ndarray]):
    """N environments, each of which is reset as soon as its episode ends.

    Training reads :attr:`ids` and :attr:`table` and calls :meth:`advance`. :meth:`reset` and
    :meth:`step` do the same through Gymnasium's interface.

    Attributes:
        specification: shapes of observations and actions.
        table: the observations.
        ids: the table's ids of the current observations, shape (N,).
        processes: among which the environments are divided; 0 if they are not.
    """

    table: NumberedObservations
    processes = 0

    def __init__(self, environment: SingleEnvironment, num_envs: int) -> None:
        self.specification = specification_of(environment)
        self.num_envs = num_envs
        self.single_observation_space = environment.observation_space
        self.single_action_space = environment.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.ids = np.zeros(num_envs, np.int64)

    @abstractmethod
    def restart(self) -> None:
        """Starts a new episode in every environment, with the first of explicit seeds."""

    @abstractmethod
    def advance(self, actions: np.ndarray) -> Transition:
        """Takes one action in every environment.

        Args:
            actions: shape (N, branches), of choices or bits, or float64 of shape (N, numbers of an
                action), within the bounds of the action space.
        """

    @abstractmethod
    def begin_rollout(self) -> None:
        """Starts a rollout; may drop observations that it does not need from the table."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Returns everything that later steps depend on, as plain Python objects."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> np.ndarray:
        """Restores a state.

        Returns:
            Whether each environment started its episode again instead, bool of shape (N,).
        """

    def reset(
        self,
        *,
        seed: int | list[int | None] | None = None,  # noqa: ARG002 - workers have generators
        options: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Starts new episodes; their seeds come from the workers' own generators."""
        self.restart()
        return self.table.at(self.ids), {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Takes one action in every environment; see Gymnasium's ``AutoresetMode.SAME_STEP``."""
        moved = self.advance(actions)
        infos: dict[str, Any] = {}
        if moved.final_ids is not None:
            ended = moved.final_ids >= 0
            final = np.full(self.num_envs, None, dtype=object)
            for worker in np.flatnonzero(ended):
                last = self.table.at(moved.final_ids[worker : worker + 1])
                final[worker] = {key: array[0] for key, array in last.items()}
            infos = {"final_obs": final, "_final_obs": ended, "episodes": moved.episodes}
        observations = self.table.at(self.ids)
        return observations, moved.rewards, moved.terminations, moved.truncations, infos
