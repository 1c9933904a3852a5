"""No memory: the network is a function of the observation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from torch import Generator, Tensor

from neroRL.models.memory.interface import Inputs, Memory, MemoryState, Pieces, Readout


class NoMemory(Memory):
    """No memory: the whole network is computed once for each distinct observation.

    Args:
        inputs: passed on as they are.
    """

    name: ClassVar[str] = "memory"

    def __init__(self, inputs: Inputs) -> None:
        super().__init__()
        self.output_size = inputs.size
        self.sequence_length = 1

    def features(self, encoded: Tensor, readout: Readout) -> Tensor:
        """Returns the outputs of single observations."""
        return readout(encoded)

    def begin(self, count: int, generator: Generator, readout: Readout) -> Nothing:  # noqa: ARG002
        """Returns an empty state."""
        return Nothing()

    def pieces(self, features: Tensor, pieces: Pieces, readout: Readout) -> Tensor:  # noqa: ARG002
        """Returns the outputs of each step; pieces have one step."""
        return pieces.of_steps(features)[0]


class Nothing(MemoryState):
    """The memory of environments without one, and its history."""

    def begin_rollout(self, steps: int) -> None:
        """Does nothing."""

    def step(self, features: Tensor) -> Tensor:
        """Returns the features: they are the outputs already."""
        return features

    def look(self, features: Tensor, workers: np.ndarray) -> Tensor:  # noqa: ARG002
        """Returns the features: they are the outputs already."""
        return features

    def begin_episodes(self, workers: np.ndarray) -> None:
        """Does nothing."""

    def end_rollout(self) -> Nothing:
        """Returns an empty history."""
        return self

    def before(self, first: np.ndarray) -> None:
        """Returns None: nothing came before."""

    def state_dict(self) -> dict[str, Any]:
        """Returns an empty dict."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Does nothing."""
