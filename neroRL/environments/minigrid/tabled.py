"""Steps many MiniGrid environments at once, from a lookup table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np

from neroRL.environments.minigrid.grids import Grids, LookedUpGrids, RealGrids
from neroRL.environments.minigrid.transition_table import (
    TransitionTable,
    UntabledError,
    ViewTable,
)
from neroRL.environments.specification import SingleEnvironment
from neroRL.environments.vector.batched import BatchedEnvironment
from neroRL.environments.vector.interface import EpisodeSeeds, Transition


class TabledEnvironment(BatchedEnvironment):
    """N MiniGrid environments of one transition table, equal to real ones stepped one by one.

    If the environment turns out not to fit a table, real ones take over in the same states;
    observations keep their numbers.

    Args:
        environment: for the spaces.
        transitions: shared by all environments of its id in this process.
        observations_of: from views to observations.
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
        observations_of: Callable[[np.ndarray], dict[str, np.ndarray]],
        seeds: Sequence[EpisodeSeeds],
        most_steps: int,
        reward_scales: Sequence[float],
        make_real: Callable[[], gymnasium.Env[Any, Any]],
    ) -> None:
        super().__init__(environment, seeds, most_steps, reward_scales)
        self.table = ViewTable(transitions.views, observations_of)
        self._grids: Grids = LookedUpGrids(transitions, self.num_envs)
        self._time_limit = most_steps
        self._make_real = make_real

    def advance(self, actions: np.ndarray) -> Transition:
        """Takes one action in every environment; see the base class."""
        try:
            self._grids.prepare(actions[:, 0])
        except UntabledError:
            self._take_over(self.state_dict())
        return super().advance(actions)

    def begin_rollout(self) -> None:
        """Forgets views and observations that are no longer needed."""
        super().begin_rollout()
        self._grids.begin_rollout()
        self.ids = self._current_ids(np.arange(self.num_envs))

    def load_state_dict(self, state: Mapping[str, Any]) -> np.ndarray:
        """Plays the running episodes again, up to where they were; see the base class."""
        try:
            return super().load_state_dict(state)
        except UntabledError:
            return self._take_over(state)

    def close_extras(self, **kwargs: Any) -> None:  # noqa: ARG002 - Gymnasium's signature
        """Closes the real environments, if there are any."""
        self._grids.close()

    def _begin(self, worker: int, seed: int) -> None:
        limit = self._grids.begin(worker, seed)
        self._most_steps[worker] = min(self._time_limit, limit)

    def _move(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._grids.move(actions, self._steps)

    def _current_ids(self, workers: np.ndarray) -> np.ndarray:
        return self._grids.views(workers)

    def _success(self, reward: float) -> float | None:
        return float(reward > 0.0)

    def _replay(self, worker: int, actions: Sequence[int]) -> None:
        for action in actions:
            self._steps[worker] += 1
            self._rewards[worker] += self._grids.play(worker, action, int(self._steps[worker]))

    def _take_over(self, state: Mapping[str, Any]) -> np.ndarray:
        """Puts real environments into the states of the tabled ones."""
        # Other jobs of this process still use the views of the table.
        self.table.views = self.table.views.copy()
        self._grids = RealGrids(
            [self._make_real().unwrapped for _ in range(self.num_envs)], self.table.views
        )
        return super().load_state_dict(state)
