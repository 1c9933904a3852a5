"""Features of the observations of a rollout: each distinct observation is computed once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from neroRL.environments.specification import VECTOR
from neroRL.environments.vector.observation_table import NumberedObservations
from neroRL.models.actor_critic import ActorCritic
from neroRL.models.transfer import on_device

FIRST_ROWS = 64


class Features:
    """A rollout's own table of observations and their features.

    Rows are numbered by first appearance, so they do not depend on the ids of the environment's
    table.

    Args:
        model: its weights must not change while this is used.
        table: the environment's.
        device: of the model.
        alone: whether each observation is computed by itself, so that its features do not depend on
            what is seen beside it. The last bits of a matrix product depend on its number of rows.

    Attributes:
        length: number of rows.
    """

    def __init__(
        self,
        model: ActorCritic,
        table: NumberedObservations,
        device: torch.device,
        *,
        alone: bool = False,
    ) -> None:
        self._model, self._dense = model, model.dense_network()
        if not alone:
            (self._dense or model).begin_rollout()
        self._table = table
        self._device = device
        self._alone = alone
        self._row_of_id = np.full(FIRST_ROWS, -1, np.int64)
        self._ids: list[np.ndarray] = []
        self._computed: Tensor | None = None
        self._newest: np.ndarray | None = None
        self.length = 0

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """Returns the rows of ids, and computes the features of new ones."""
        highest = int(ids.max())
        if highest >= len(self._row_of_id):
            grown = np.full(2 * (highest + 1), -1, np.int64)
            grown[: len(self._row_of_id)] = self._row_of_id
            self._row_of_id = grown
        rows: np.ndarray = self._row_of_id[ids]
        if rows.min() < 0:
            new = self._first_of_each(ids[rows < 0])
            for together in np.split(new, len(new)) if self._alone else [new]:
                self._add(together)
            rows = self._row_of_id[ids]
            self._newest = rows if len(new) == len(ids) else None
        return rows

    def at(self, rows: np.ndarray) -> Tensor:
        """Returns the features of rows, shape (len(rows), F); they must not be changed.

        It is quickest for the very array that :meth:`rows` has returned last.
        """
        assert self._computed is not None
        if rows is self._newest:  # all are new, so they are the last ones in this order
            return self._computed[self.length - len(rows) : self.length]
        return self._computed[on_device(rows, self._device)]

    def observations(self) -> dict[str, np.ndarray]:
        """Returns the observations of all rows."""
        return self._table.at(np.concatenate(self._ids))

    def _first_of_each(self, ids: np.ndarray) -> np.ndarray:
        """Returns the distinct ids, in the order of their first appearance."""
        if (ids[1:] > ids[:-1]).all():
            return ids
        positions = np.arange(len(ids))
        self._row_of_id[ids[::-1]] = positions[::-1]  # the first of equal ids is written last
        first: np.ndarray = ids[self._row_of_id[ids] == positions]
        return first

    def _add(self, new: np.ndarray) -> None:
        arrays = self._table.at(new)
        observations = {key: on_device(array, self._device) for key, array in arrays.items()}
        if self._dense is None:
            computed = self._model.features(observations)
        else:
            computed = self._dense.outputs(observations[VECTOR])
        end = self.length + len(new)
        if self._computed is None:
            self._computed = computed.new_empty(max(FIRST_ROWS, end), computed.shape[1])
        elif end > len(self._computed):
            grown = computed.new_empty(2 * end, computed.shape[1])
            grown[: self.length] = self._computed[: self.length]
            self._computed = grown
        self._computed[self.length : end] = computed
        self._row_of_id[new] = np.arange(self.length, end)
        self._ids.append(new)
        self.length = end
