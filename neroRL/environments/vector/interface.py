"""Several environments behind Gymnasium's vector interface, observations numbered."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from neroRL.environments.specification import (
    Observation,
    SingleEnvironment,
    specification_of,
)
from neroRL.environments.vector.observation_table import NumberedObservations, ObservationTable
from neroRL.errors import BrokenEnvironmentError

# Largest share of distinct observations at which computing each only once still pays.
MOST_DISTINCT = 0.75
# The first seed of environments that are to choose seeds themselves, and the seed they are told.
UNLIMITED = -1


class EpisodeEnd(NamedTuple):
    """An episode that ended.

    Attributes:
        worker: which environment.
        reward: sum of the rewards, as the environment gave them.
        length: number of steps.
        success: 1.0 or 0.0 where the environment tells, else None.
        others: further numbers the environment tells, by name.
    """

    worker: int
    reward: float
    length: int
    success: float | None
    others: Mapping[str, float] = {}


class Transition(NamedTuple):
    """What one step of all environments gave.

    Attributes:
        rewards: float32, shape (N,).
        terminations: bool, shape (N,).
        truncations: bool, shape (N,).
        final_ids: shape (N,); id of an ended episode's last observation, -1 elsewhere. None
            when no episode ended.
        episodes: the episodes that ended.
    """

    rewards: np.ndarray
    terminations: np.ndarray
    truncations: np.ndarray
    final_ids: np.ndarray | None
    episodes: Sequence[EpisodeEnd]


Step = tuple[Observation, Any, bool, bool, Mapping[str, Any]]


class EpisodeSeeds:
    """The seeds a worker's episodes are reset with.

    Args:
        generator: draws them from [start, start + count).
        start: first seed; ``UNLIMITED`` leaves them to the environment.
        count: number of seeds.
        explicit: played in turn instead, where given.
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

    def restart(self) -> None:
        """Explicit seeds are played from the first again; drawn ones go on."""
        self._played = 0

    def next(self) -> int:
        """The seed of the next episode."""
        if self._explicit is None:
            if self._start == UNLIMITED:
                return UNLIMITED
            return self._start + int(self._generator.integers(self._count))
        seed = self._explicit[self._played % len(self._explicit)]
        self._played += 1
        return seed

    def state_dict(self) -> dict[str, Any]:
        """The state, as plain Python."""
        return {"generator": self._generator.bit_generator.state, "played": self._played}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a state."""
        self._generator.bit_generator.state = state["generator"]
        self._played = state["played"]


class VectorEnvironment(VectorEnv[dict[str, np.ndarray], np.ndarray, np.ndarray]):
    """N environments that are reset as soon as their episode ends.

    Training reads :attr:`ids` and :attr:`table` and calls :meth:`advance`; :meth:`reset` and
    :meth:`step` are Gymnasium's view of the same.

    Attributes:
        specification: shapes of observations and actions.
        table: the observations.
        ids: of the current observations in the table, shape (N,).
    """

    table: NumberedObservations

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
        """Does one action in every environment.

        Args:
            actions: integers, shape (N, branches).
        """

    @abstractmethod
    def begin_rollout(self) -> None:
        """Called before each rollout: observations that it does not need may go from the table."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything the future depends on, as plain Python."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> np.ndarray:
        """Restores a state.

        Returns:
            Whether an environment started its episode again instead, bool of shape (N,).
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
        """Does one action in every environment; see Gymnasium's ``AutoresetMode.SAME_STEP``."""
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


class OneByOneEnvironment(VectorEnvironment):
    """Single environments, whose observations go to the table one by one.

    Args:
        environment: for the spaces.
        seeds: the episodes' seeds, for each environment.
        name: of the environment, for messages.
    """

    table: ObservationTable

    def __init__(
        self, environment: SingleEnvironment, seeds: Sequence[EpisodeSeeds], name: str
    ) -> None:
        super().__init__(environment, len(seeds))
        self.table = ObservationTable(self.specification)
        self.name = name
        self._seeds = list(seeds)
        self._episode_seeds = [0] * self.num_envs
        # Steps and rewards of the running episodes.
        self._steps = np.zeros(self.num_envs, np.int64)
        self._returns = np.zeros(self.num_envs)
        self._added = 0

    @abstractmethod
    def _reset_some(self, workers: Sequence[int], seeds: Sequence[int]) -> Iterator[Observation]:
        """Resets some environments with a seed each.

        Yields:
            The first observations, which the next environment may write its own over.
        """

    @abstractmethod
    def _step_all(self, actions: np.ndarray) -> Iterator[Step]:
        """Does an action in every environment.

        Yields:
            What each gave, which the next environment may write its own over.
        """

    def restart(self) -> None:
        """Starts a new episode in every environment; see the base class."""
        self.table.distinct, self._added = True, 0
        for seeds in self._seeds:
            seeds.restart()
        self._start_episodes(range(self.num_envs))

    def advance(self, actions: np.ndarray) -> Transition:
        """Does one action in every environment; see the base class.

        Raises:
            BrokenEnvironmentError: a reward or an observation is not finite.
        """
        rewards = np.empty(self.num_envs, np.float32)
        terminations = np.zeros(self.num_envs, np.bool_)
        truncations = np.zeros(self.num_envs, np.bool_)
        final_ids: np.ndarray | None = None
        episodes, ended = [], []
        self._steps += 1
        for worker, step in enumerate(self._step_all(actions)):
            observation, rewards[worker], terminated, truncated, info = step
            new_id = self._add(worker, observation)
            if terminated or truncated:
                terminations[worker], truncations[worker] = terminated, truncated
                final_ids = np.full(self.num_envs, -1) if final_ids is None else final_ids
                final_ids[worker] = new_id
                episodes.append(_episode_end(worker, info))
                ended.append(worker)
        self._returns += rewards
        if not np.isfinite(rewards).all():
            worker = int(np.flatnonzero(~np.isfinite(rewards))[0])
            raise self._not_finite(worker, f"a reward of {rewards[worker]}")
        self._start_episodes(ended)
        self._added += self.num_envs
        return Transition(rewards, terminations, truncations, final_ids, episodes)

    def begin_rollout(self) -> None:
        """Empties the table but for the current observations."""
        self.table.distinct = self._sharing_pays()
        self._added = 0
        current = self.table.at(self.ids)
        self.table.clear()
        for worker in range(self.num_envs):
            self.ids[worker] = self.table.add(
                {key: array[worker] for key, array in current.items()}
            )

    def state_dict(self) -> dict[str, Any]:
        """Seeds of the running episodes and of those to come."""
        return {
            "seeds": [seeds.state_dict() for seeds in self._seeds],
            "episode_seeds": list(self._episode_seeds),
            "distinct": self._sharing_pays(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> np.ndarray:
        """Starts the running episodes again, with the seeds they had; see the base class."""
        for seeds, kept in zip(self._seeds, state["seeds"], strict=True):
            seeds.load_state_dict(kept)
        self.table.distinct, self._added = state["distinct"], 0
        self._begin(range(self.num_envs), state["episode_seeds"])
        return np.ones(self.num_envs, np.bool_)

    def _sharing_pays(self) -> bool:
        """Whether equal observations share ids in rollouts to come."""
        many_differ = self.table.length > MOST_DISTINCT * self._added
        return self.table.distinct and not (self._added and many_differ)

    def _start_episodes(self, workers: Sequence[int]) -> None:
        if workers:
            self._begin(workers, [self._seeds[worker].next() for worker in workers])

    def _begin(self, workers: Sequence[int], seeds: Sequence[int]) -> None:
        """Begins an episode with a seed in some environments."""
        for worker, seed, first in zip(
            workers, seeds, self._reset_some(workers, seeds), strict=True
        ):
            self._episode_seeds[worker] = seed
            self._steps[worker], self._returns[worker] = 0, 0.0
            self._add(worker, first)

    def _add(self, worker: int, observation: Observation) -> int:
        """Makes an observation the current one of an environment; returns its id."""
        for array in observation.values():
            if array.dtype != np.uint8 and not _is_finite(array):
                wrong = array[~np.isfinite(array)]
                raise self._not_finite(worker, f"an observation with {wrong[0]} in it")
        new_id = self.ids[worker] = self.table.add(observation)
        return int(new_id)

    def _not_finite(self, worker: int, given: str) -> BrokenEnvironmentError:
        seed, step = self._episode_seeds[worker], self._steps[worker]
        when = f"step {step} of its episode with the seed {seed}"
        return BrokenEnvironmentError(f"{self.name}: environment {worker} gave {given} in {when}")


def _is_finite(array: np.ndarray) -> bool:
    # The quickest look at all numbers of a small array; where it overflows, the slower one tells.
    return math.isfinite(np.vdot(array, array)) or bool(np.isfinite(array).all())


def _episode_end(worker: int, info: Mapping[str, Any]) -> EpisodeEnd:
    success = info.get("success")
    return EpisodeEnd(
        worker,
        info["episode_reward"],
        info["episode_length"],
        None if success is None else float(success),
        info.get("statistics", {}),
    )
