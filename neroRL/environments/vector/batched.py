"""The base class of vector environments that step as arrays."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neroRL.environments.specification import SingleEnvironment
from neroRL.environments.vector.interface import (
    EpisodeEnd,
    EpisodeSeeds,
    Transition,
    VectorEnvironment,
)


class BatchedEnvironment(VectorEnvironment):
    """Steps N environments as arrays of length N.

    This class keeps seeds, time limits and statistics, and saves and restores states; a subclass
    knows the dynamics. A state consists of the seeds and the actions since, as in
    :class:`~neroRL.environments.vector.sequential.SequentialEnvironment`.

    Args:
        environment: an environment with the same spaces.
        seeds: the seeds of each environment's episodes.
        most_steps: time limit of an episode.
        reward_scales: numbers by which rewards are divided, one after the other.
    """

    def __init__(
        self,
        environment: SingleEnvironment,
        seeds: Sequence[EpisodeSeeds],
        most_steps: int,
        reward_scales: Sequence[float],
    ) -> None:
        super().__init__(environment, len(seeds))
        self._seeds = list(seeds)
        self._most_steps = np.full(self.num_envs, most_steps)
        self._reward_scales = reward_scales
        self._steps = np.zeros(self.num_envs, np.int64)
        self._rewards = np.zeros(self.num_envs)
        self._episode_seeds = [0] * self.num_envs
        # One array of all environments' actions for each step, since the oldest running episode.
        self._history: list[np.ndarray] = []

    @abstractmethod
    def _begin(self, worker: int, seed: int) -> None:
        """Puts one environment into the initial state of an episode."""

    @abstractmethod
    def _move(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Takes one action in every environment; ``_steps`` already counts it.

        Args:
            actions: integers, shape (N,).

        Returns:
            Rewards and terminations, shape (N,) each.
        """

    @abstractmethod
    def _current_ids(self, workers: np.ndarray) -> np.ndarray:
        """Returns the ids of some environments' current observations."""

    @abstractmethod
    def _replay(self, worker: int, actions: Sequence[int]) -> None:
        """Takes a sequence of actions in one environment, whose episode has just begun."""

    def _success(self, reward: float) -> float | None:  # noqa: ARG002 - for subclasses
        """Returns whether an episode whose last step gave this reward was a success, if known."""
        return None

    def restart(self) -> None:
        """Starts a new episode in every environment; see the base class."""
        for worker in range(self.num_envs):
            self._seeds[worker].restart()
            self._begin_episode(worker, self._seeds[worker].next())
        self.ids = self._current_ids(np.arange(self.num_envs))

    def advance(self, actions: np.ndarray) -> Transition:
        """Takes one action in every environment; see the base class."""
        action = actions[:, 0]
        self._steps += 1
        rewards, terminations = self._move(action)
        self._history.append(action.copy())
        self._rewards += rewards
        truncations = self._steps >= self._most_steps
        scaled = rewards
        for scale in self._reward_scales:
            scaled = scaled / scale
        scaled = scaled.astype(np.float32)
        self.ids = self._current_ids(np.arange(self.num_envs))
        ended = terminations | truncations
        if not ended.any():
            return Transition(scaled, terminations, truncations, None, ())
        final_ids = np.where(ended, self.ids, -1)
        workers = np.flatnonzero(ended)
        episodes = [
            self._end_episode(worker, float(rewards[worker])) for worker in workers.tolist()
        ]
        self.ids[workers] = self._current_ids(workers)
        return Transition(scaled, terminations, truncations, final_ids, episodes)

    def begin_rollout(self) -> None:
        """Forgets actions of episodes that have ended."""
        kept = int(self._steps.max())
        self._history = self._history[len(self._history) - kept :]

    def state_dict(self) -> dict[str, Any]:
        """Returns the seeds and actions that replay the running episodes."""
        played = [
            [[int(actions[worker])] for actions in self._history[len(self._history) - steps :]]
            for worker, steps in enumerate(self._steps.tolist())
        ]
        return {
            "seeds": [seeds.state_dict() for seeds in self._seeds],
            "episode_seeds": list(self._episode_seeds),
            "episode_actions": played,
            "distinct": True,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> np.ndarray:
        """Replays the running episodes up to where they were; see the base class."""
        played = [[action for (action,) in actions] for actions in state["episode_actions"]]
        longest = max(len(actions) for actions in played)
        self._history = [np.zeros(self.num_envs, np.int64) for _ in range(longest)]
        for worker, actions in enumerate(played):
            self._seeds[worker].load_state_dict(state["seeds"][worker])
            self._begin_episode(worker, state["episode_seeds"][worker])
            self._replay(worker, actions)
            for step, action in enumerate(actions):
                self._history[longest - len(actions) + step][worker] = action
        self.ids = self._current_ids(np.arange(self.num_envs))
        return np.zeros(self.num_envs, np.bool_)

    def _begin_episode(self, worker: int, seed: int) -> None:
        self._episode_seeds[worker] = seed
        self._steps[worker] = 0
        self._rewards[worker] = 0.0
        self._begin(worker, seed)

    def _end_episode(self, worker: int, reward: float) -> EpisodeEnd:
        total, length = float(self._rewards[worker]), int(self._steps[worker])
        self._begin_episode(worker, self._seeds[worker].next())
        return EpisodeEnd(worker, total, length, self._success(reward))
