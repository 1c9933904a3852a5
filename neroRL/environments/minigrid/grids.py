"""The grids of N MiniGrid environments: states of a transition table, or real environments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from neroRL.environments.minigrid.transition_table import (
    SUCCESS,
    TERMINATED,
    UNKNOWN,
    TransitionTable,
    Views,
)


class Grids(Protocol):
    """N grids that take actions; the caller knows when an episode's time is up."""

    def begin(self, worker: int, seed: int) -> int:
        """Begins an episode in one grid; returns the grid's own time limit in steps."""

    def prepare(self, actions: np.ndarray) -> None:
        """Prepares for actions, shape (N,), of the next :meth:`move`.

        Raises:
            UntabledError: they cannot be looked up.
        """

    def move(self, actions: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Takes an action in every grid.

        Args:
            actions: shape (N,).
            steps: of the episodes, this one included, shape (N,).

        Returns:
            Rewards and terminations, shape (N,).
        """

    def play(self, worker: int, action: int, step: int) -> float:
        """Takes an action in one grid at the given step of its episode; returns the reward.

        Raises:
            UntabledError: it cannot be looked up.
        """

    def views(self, workers: np.ndarray) -> np.ndarray:
        """Returns the numbers of the views of some grids."""

    def begin_rollout(self) -> None:
        """Allows to forget views that no grid sees at the moment."""

    def close(self) -> None:
        """Frees what the grids hold."""


class LookedUpGrids:
    """Grids whose transitions are looked up.

    Args:
        transitions: the table.
        count: N.
    """

    def __init__(self, transitions: TransitionTable, count: int) -> None:
        self._transitions = transitions
        self._states = np.zeros(count, np.int64)
        self._max_steps = np.ones(count, np.int64)

    def begin(self, worker: int, seed: int) -> int:
        """Puts a grid into the first state of an episode; see :class:`Grids`."""
        self._states[worker], limit = self._transitions.initial_state(seed)
        self._max_steps[worker] = limit
        return limit

    def prepare(self, actions: np.ndarray) -> None:
        """Computes the transitions that are not in the table yet; see :class:`Grids`."""
        if self._transitions.next_states[self._states, actions].min() == UNKNOWN:
            self._transitions.fill(self._states, actions)

    def move(self, actions: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Does prepared actions; see :class:`Grids`."""
        outcomes = self._transitions.outcomes[self._states, actions]
        self._states = self._transitions.next_states[self._states, actions].astype(np.int64)
        success = _reward(steps, self._max_steps)
        return np.where(outcomes & SUCCESS, success, 0.0), (outcomes & TERMINATED) > 0

    def play(self, worker: int, action: int, step: int) -> float:
        """Does an action in one grid; see :class:`Grids`."""
        state, taken = self._states[worker : worker + 1], np.array([action])
        self._transitions.fill(state, taken)
        succeeded = self._transitions.outcomes[state, taken][0] & SUCCESS
        self._states[worker] = self._transitions.next_states[state, taken][0]
        return float(_reward(np.array(step), self._max_steps[worker])) if succeeded else 0.0

    def views(self, workers: np.ndarray) -> np.ndarray:
        """Returns the numbers of the views of some grids."""
        numbers: np.ndarray = self._transitions.view_ids[self._states[workers]]
        return numbers

    def begin_rollout(self) -> None:
        """Keeps all views: they are the table's."""

    def close(self) -> None:
        """Leaves the table to other jobs."""


class RealGrids:
    """Real MiniGrid environments, stepped one by one.

    Args:
        environments: without wrappers.
        views: takes the views that are seen.
    """

    def __init__(self, environments: Sequence[Any], views: Views) -> None:
        self._environments = environments
        self._table = views
        self._seen = [np.empty(0)] * len(environments)

    def begin(self, worker: int, seed: int) -> int:
        """Resets an environment; see :class:`Grids`."""
        environment = self._environments[worker]
        self._seen[worker] = environment.reset(seed=seed)[0]["image"].copy()
        return int(environment.max_steps)

    def prepare(self, actions: np.ndarray) -> None:
        """Does nothing: real environments take any action."""

    def move(self, actions: np.ndarray, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # noqa: ARG002
        """Steps every environment; see :class:`Grids`."""
        moved = [self._step(worker, action) for worker, action in enumerate(actions.tolist())]
        rewards, terminations = zip(*moved, strict=True)
        return np.array(rewards), np.array(terminations)

    def play(self, worker: int, action: int, step: int) -> float:  # noqa: ARG002
        """Steps one environment; see :class:`Grids`."""
        return self._step(worker, action)[0]

    def views(self, workers: np.ndarray) -> np.ndarray:
        """Returns the numbers of the views of some environments."""
        return np.array([self._table.add(self._seen[worker]) for worker in workers.tolist()])

    def begin_rollout(self) -> None:
        """Forgets all views; current ones are added again when they are asked for."""
        self._table.clear()

    def close(self) -> None:
        """Closes the environments."""
        for environment in self._environments:
            environment.close()

    def _step(self, worker: int, action: int) -> tuple[float, bool]:
        encoded, reward, terminated, *_ = self._environments[worker].step(action)
        self._seen[worker] = encoded["image"].copy()
        return float(reward), bool(terminated)


def _reward(steps: np.ndarray, max_steps: np.ndarray) -> np.ndarray:
    """Returns MiniGrid's reward of success after some steps of an episode."""
    return np.asarray(1 - 0.9 * (steps / max_steps))
