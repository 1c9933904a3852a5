"""The base class of vector environments that step one by one, in this process or in others."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from neroRL.environments.specification import (
    LIFE_LOST,
    SUCCESS,
    Observation,
    SingleEnvironment,
)
from neroRL.environments.vector.interface import (
    MOST_DISTINCT,
    EpisodeEnd,
    EpisodeSeeds,
    Transition,
    VectorEnvironment,
)
from neroRL.environments.vector.observation_table import ObservationTable
from neroRL.errors import BrokenEnvironmentError

# Numbers that every episode has.

Step = tuple[Observation, Any, bool, bool, Mapping[str, Any]]


class OneByOneEnvironment(VectorEnvironment):
    """Steps single environments and adds their observations to the table one by one.

    Args:
        environment: an environment with the same spaces.
        seeds: the seeds of each environment's episodes.
        name: the environment's name, for messages.
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
        """Resets some environments, each with its seed.

        Yields:
            Their first observations. The next environment may overwrite the arrays.
        """

    @abstractmethod
    def _step_all(self, actions: np.ndarray) -> Iterator[Step]:
        """Takes an action in every environment.

        Yields:
            Each environment's result. The next environment may overwrite the arrays.
        """

    def restart(self) -> None:
        """Starts a new episode in every environment; see the base class."""
        self.table.distinct, self._added = True, 0
        for seeds in self._seeds:
            seeds.restart()
        self._start_episodes(range(self.num_envs))

    def advance(self, actions: np.ndarray) -> Transition:
        """Takes one action in every environment; see the base class.

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
            over = terminated or truncated
            lost = bool(info.get(LIFE_LOST, False)) and not self._seeds[worker].are_given
            if over or lost:
                terminations[worker], truncations[worker] = terminated or lost, truncated
                final_ids = np.full(self.num_envs, -1) if final_ids is None else final_ids
                final_ids[worker] = new_id
            if over:
                episodes.append(self._episode_end(worker, info))
                ended.append(worker)
        self._returns += rewards
        if not np.isfinite(rewards).all():
            worker = int(np.flatnonzero(~np.isfinite(rewards))[0])
            beyond = " or beyond float32" if np.isinf(rewards[worker]) else ""
            raise self._not_finite(worker, f"a reward of {rewards[worker]}{beyond}")
        self._start_episodes(ended)
        self._added += self.num_envs
        return Transition(rewards, terminations, truncations, final_ids, episodes)

    def begin_rollout(self) -> None:
        """Removes all but the current observations from the table."""
        self.table.distinct = self._sharing_pays()
        self._added = 0
        current = self.table.at(self.ids)
        self.table.clear()
        for worker in range(self.num_envs):
            self.ids[worker] = self.table.add(
                {key: array[worker] for key, array in current.items()}
            )

    def state_dict(self) -> dict[str, Any]:
        """Returns the seeds of the running episodes, and the state that gives later ones."""
        return {
            "seeds": [seeds.state_dict() for seeds in self._seeds],
            "episode_seeds": list(self._episode_seeds),
            "distinct": self._sharing_pays(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> np.ndarray:
        """Starts the running episodes again with their seeds; see the base class."""
        for seeds, kept in zip(self._seeds, state["seeds"], strict=True):
            seeds.load_state_dict(kept)
        self.table.distinct, self._added = state["distinct"], 0
        self._begin(range(self.num_envs), state["episode_seeds"])
        return np.ones(self.num_envs, np.bool_)

    def _sharing_pays(self) -> bool:
        """Returns whether equal observations should share ids in later rollouts."""
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
        """Makes an observation the environment's current one, and returns its id."""
        for array in observation.values():
            if array.dtype != np.uint8 and not _is_finite(array):
                wrong = array[~np.isfinite(array)]
                raise self._not_finite(worker, f"an observation with {wrong[0]} in it")
        new_id = self.ids[worker] = self.table.add(observation)
        return int(new_id)

    def _episode_end(self, worker: int, info: Mapping[str, Any]) -> EpisodeEnd:
        return EpisodeEnd(
            worker,
            info["episode_reward"],
            info["episode_length"],
            info.get(SUCCESS),
            info.get("statistics", {}),
        )

    def _not_finite(self, worker: int, given: str) -> BrokenEnvironmentError:
        seed, step = self._episode_seeds[worker], self._steps[worker]
        when = f"step {step} of its episode with the seed {seed}"
        return BrokenEnvironmentError(f"{self.name}: environment {worker} gave {given} in {when}")


def _is_finite(array: np.ndarray) -> bool:
    # The quickest check of a small array. If it overflows, the slower one decides.
    return math.isfinite(np.vdot(array, array)) or bool(np.isfinite(array).all())
