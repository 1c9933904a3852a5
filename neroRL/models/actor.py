"""Acts in several environments: computes each distinct observation once, remembers."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Generator, Tensor

from neroRL.models.actor_critic import ActorCritic
from neroRL.models.heads import split
from neroRL.models.transfer import on_device

FIRST_ROWS = 64


class Rows(Protocol):
    """A table of observations."""

    def rows(self, ids: np.ndarray) -> dict[str, np.ndarray]:
        """The observations of some rows."""


class ObservedRows:
    """What the network made of the observations of a rollout, by their ids in a table.

    Rows are numbered by first appearance, so that a rollout's numbers do not depend on which ids
    the table gave.

    Args:
        model: its weights must stand still as long as this is used.
        table: the observations.
        device: of the model.
    """

    def __init__(self, model: ActorCritic, table: Rows, device: torch.device) -> None:
        self._model = model
        self._table = table
        self._device = device
        self._row_of_id = np.full(FIRST_ROWS, -1, np.int64)
        self._ids: list[np.ndarray] = []
        self._observed: Tensor | None = None
        self.length = 0

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """The rows of ids; computes what is not there yet."""
        highest = int(ids.max())
        if highest >= len(self._row_of_id):
            grown = np.full(2 * (highest + 1), -1, np.int64)
            grown[: len(self._row_of_id)] = self._row_of_id
            self._row_of_id = grown
        rows: np.ndarray = self._row_of_id[ids]
        if rows.min() < 0:
            self._compute(self._first_of_each(ids[rows < 0]))
            rows = self._row_of_id[ids]
        return rows

    def observed(self, rows: np.ndarray) -> Tensor:
        """What the network made of rows, shape (len(rows), P)."""
        assert self._observed is not None
        return self._observed[on_device(rows, self._device)]

    def observations(self) -> dict[str, np.ndarray]:
        """The observations of all rows."""
        return self._table.rows(np.concatenate(self._ids))

    def _first_of_each(self, ids: np.ndarray) -> np.ndarray:
        """Ids without repetitions, in the order in which they appear."""
        positions = np.arange(len(ids))
        self._row_of_id[ids[::-1]] = positions[::-1]  # of equal ids the first one's is written last
        first: np.ndarray = ids[self._row_of_id[ids] == positions]
        return first

    def _compute(self, new: np.ndarray) -> None:
        arrays = self._table.rows(new)
        observation = {key: on_device(array, self._device) for key, array in arrays.items()}
        computed = self._model.observe(observation)
        end = self.length + len(new)
        if self._observed is None:
            self._observed = computed.new_empty(max(FIRST_ROWS, end), computed.shape[1])
        elif end > len(self._observed):
            grown = computed.new_empty(2 * end, computed.shape[1])
            grown[: self.length] = self._observed[: self.length]
            self._observed = grown
        self._observed[self.length : end] = computed
        self._row_of_id[new] = np.arange(self.length, end)
        self._ids.append(new)
        self.length = end


class Actor:
    """Samples actions of N environments and carries what they remember.

    Args:
        model: the network.
        num_envs: N.
        generator: on the device of the model; everything random comes from it.

    Attributes:
        state: what the environments remember.
        starts: whether the next step starts an episode, shape (N,).
    """

    def __init__(self, model: ActorCritic, num_envs: int, generator: Generator) -> None:
        self._generator = generator
        self._distribution = model.distribution
        self._dtype = next(model.parameters()).dtype
        self.state = model.begin(num_envs, generator)
        self.starts = np.ones(num_envs, np.bool_)

    def noise(self, steps: int) -> Tensor:
        """What sampling needs for some steps, shape (steps, N, …)."""
        return self._distribution.noise(steps, len(self.starts), self._generator, self._dtype)

    def act(self, observed: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """One step of the policy.

        Args:
            observed: of the current observations, shape (N, P).
            noise: of this step, shape (N, …).

        Returns:
            Actions (N, …) and outputs (N, O).
        """
        outputs = self.state.step(observed)
        return self._distribution.sample(split(outputs)[0], noise), outputs

    def values(self, observed: Tensor, workers: np.ndarray) -> Tensor:
        """Values of observations that come next in some environments, shape (len(workers),)."""
        return split(self.state.look(observed, workers))[1]

    def begin_episodes(self, ended: np.ndarray) -> None:
        """New episodes begin where one ended; ``ended`` has shape (N,)."""
        self.starts = ended
        if ended.any():
            self.state.begin_episodes(np.flatnonzero(ended))
