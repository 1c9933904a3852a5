"""Steps many MiniGrid environments at once by looking their transitions up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np

from neroRL.environments.minigrid.transition_table import (
    SUCCESS,
    TERMINATED,
    UNKNOWN,
    TransitionTable,
    UntabledError,
    ViewTable,
)
from neroRL.environments.specification import SingleEnvironment
from neroRL.environments.vector.batched import BatchedEnvironment
from neroRL.environments.vector.interface import EpisodeSeeds, Transition


class TabledEnvironment(BatchedEnvironment):
    """N MiniGrid environments of one transition table, equal to real ones stepped one by one.

    When the environment turns out to be no table, real ones are put into the same states and
    take over; observations keep their numbers.

    Args:
        environment: for the spaces.
        transitions: shared by all environments of its id in this process.
        observe: from views to observations.
        seeds: the episodes' seeds, for each environment.
        most_steps: time limit of an episode.
        reward_scales: rewards are divided by each in turn.
        make_real: makes a real environment, should they be needed.
    """

    table: ViewTable

    def __init__(
        self,
        environment: SingleEnvironment,
        transitions: TransitionTable,
        observe: Callable[[np.ndarray], dict[str, np.ndarray]],
        seeds: Sequence[EpisodeSeeds],
        most_steps: int,
        reward_scales: Sequence[float],
        make_real: Callable[[], gymnasium.Env[Any, Any]],
    ) -> None:
        super().__init__(environment, seeds, most_steps, reward_scales)
        self.table = ViewTable(transitions.views, observe)
        self._transitions = transitions
        self._time_limit = most_steps
        self._states = np.zeros(self.num_envs, np.int64)
        self._max_steps = np.ones(self.num_envs, np.int64)
        self._make_real = make_real
        self._real: list[Any] = []
        self._views: list[np.ndarray] = []

    @property
    def is_tabled(self) -> bool:
        """Whether transitions are looked up; False once real environments have taken over."""
        return not self._real

    def advance(self, actions: np.ndarray) -> Transition:
        """Does one action in every environment; see the base class."""
        states, action = self._states, actions[:, 0]
        if self.is_tabled and self._transitions.next_states[states, action].min() == UNKNOWN:
            try:
                self._transitions.fill(states, action)
            except UntabledError:
                self._take_over(self.state_dict())
        return super().advance(actions)

    def begin_rollout(self) -> None:
        """Forgets what is not needed any more."""
        super().begin_rollout()
        if not self.is_tabled:
            self.table.views.clear()
            self.ids = self._observed(np.arange(self.num_envs))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Plays the running episodes again, up to where they were."""
        try:
            super().load_state_dict(state)
        except UntabledError:
            self._take_over(state)

    def close_extras(self, **kwargs: Any) -> None:  # noqa: ARG002 - Gymnasium's signature
        """Closes the real environments, if there are any."""
        for environment in self._real:
            environment.close()

    def _begin(self, worker: int, seed: int) -> None:
        if self.is_tabled:
            self._states[worker], limit = self._transitions.initial_state(seed)
        else:
            self._views[worker] = self._real[worker].reset(seed=seed)[0]["image"]
            limit = self._real[worker].max_steps
        self._max_steps[worker] = limit
        self._most_steps[worker] = min(self._time_limit, limit)

    def _move(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if not self.is_tabled:
            return self._move_real(actions)
        outcomes = self._transitions.outcomes[self._states, actions]
        self._states = self._transitions.next_states[self._states, actions].astype(np.int64)
        # MiniGrid's reward of success, 1 - 0.9 · step_count / max_steps.
        success = 1 - 0.9 * (self._steps / self._max_steps)
        return np.where(outcomes & SUCCESS, success, 0.0), (outcomes & TERMINATED) > 0

    def _move_real(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rewards, terminations = np.zeros(self.num_envs), np.zeros(self.num_envs, np.bool_)
        for worker, action in enumerate(actions.tolist()):
            encoded, rewards[worker], terminations[worker], *_ = self._real[worker].step(action)
            self._views[worker] = encoded["image"]
        return rewards, terminations

    def _observed(self, workers: np.ndarray) -> np.ndarray:
        if not self.is_tabled:
            views = [self._views[worker] for worker in workers.tolist()]
            return np.array([self.table.views.add(view) for view in views])
        ids: np.ndarray = self._transitions.view_ids[self._states[workers]]
        return ids

    def _success(self, reward: float) -> float | None:
        return float(reward > 0.0)

    def _replay(self, worker: int, actions: Sequence[int]) -> None:
        for action in actions:
            self._steps[worker] += 1
            if self.is_tabled:
                state, taken = self._states[worker : worker + 1], np.array([action])
                self._transitions.fill(state, taken)
                if self._transitions.outcomes[state, taken][0] & SUCCESS:
                    self._rewards[worker] += 1 - 0.9 * (
                        self._steps[worker] / self._max_steps[worker]
                    )
                self._states[worker] = self._transitions.next_states[state, taken][0]
            else:
                encoded, reward, *_ = self._real[worker].step(action)
                self._views[worker] = encoded["image"]
                self._rewards[worker] += reward

    def _take_over(self, state: Mapping[str, Any]) -> None:
        """Puts real environments into the states of the tabled ones."""
        self._real = [self._make_real().unwrapped for _ in range(self.num_envs)]
        self._views = [np.empty(0)] * self.num_envs
        self.table.views = self.table.views.copy()
        super().load_state_dict(state)
