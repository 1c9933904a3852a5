"""Tables that number observations; the number, an id, can be shared by equal observations."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from neroRL.environments.specification import VECTOR, VISUAL, EnvironmentSpec, Observation

FIRST_SIZE = 64


class NumberedObservations(Protocol):
    """Observations by id."""

    def at(self, ids: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the observations of some ids, shape (len(ids), …) each."""


class ObservationTable:
    """An append-only table that numbers observations in the order in which they come.

    Args:
        specification: shapes of the observations.
        distinct: whether equal observations share an id. This costs a hash for each, which does
            not pay if nearly all differ.
    """

    def __init__(self, specification: EnvironmentSpec, *, distinct: bool = True) -> None:
        self.distinct = distinct
        self._shapes: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
        if specification.visual is not None:
            self._shapes[VISUAL] = (specification.visual, np.dtype(specification.visual_dtype))
        if specification.vector is not None:
            self._shapes[VECTOR] = ((specification.vector,), np.dtype(np.float32))
        self._ids: dict[bytes | tuple[bytes, ...], int] = {}
        self._arrays: dict[str, np.ndarray] = {}
        self.length = 0
        self.clear()

    def clear(self) -> None:
        """Forgets all observations."""
        self._ids.clear()
        self.length = 0
        self._arrays = {
            key: np.empty((FIRST_SIZE, *shape), dtype)
            for key, (shape, dtype) in self._shapes.items()
        }

    def add(self, observation: Observation) -> int:
        """Returns the id of an observation, which is new unless the table has an equal one.

        Args:
            observation: arrays of the table's shapes; they are copied.
        """
        if not self.distinct:
            return self._append(observation)
        key = (
            next(iter(observation.values())).tobytes()
            if len(observation) == 1
            else tuple(array.tobytes() for array in observation.values())
        )
        new_id = self._ids.get(key)
        if new_id is None:
            new_id = self._ids[key] = self._append(observation)
        return new_id

    def extend(self, observations: dict[str, np.ndarray]) -> np.ndarray:
        """Appends observations, shape (count, …) each, and returns their ids."""
        count = len(next(iter(observations.values())))
        ids = np.arange(self.length, self.length + count)
        self._reserve(self.length + count)
        for key, array in self._arrays.items():
            array[self.length : self.length + count] = observations[key]
        self.length += count
        return ids

    def at(self, ids: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the observations of some ids, shape (len(ids), …) each."""
        return {key: array[: self.length][ids] for key, array in self._arrays.items()}

    def _append(self, observation: Observation) -> int:
        new_id = self.length
        self._reserve(new_id + 1)
        for key, array in self._arrays.items():
            array[new_id] = observation[key]
        self.length += 1
        return new_id

    def _reserve(self, length: int) -> None:
        for key, array in self._arrays.items():
            if length > len(array):
                grown = np.empty((2 * length, *array.shape[1:]), array.dtype)
                grown[: self.length] = array[: self.length]
                self._arrays[key] = grown
