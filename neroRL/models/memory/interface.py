"""What a memory is to the rest: steps of environments, and pieces of their episodes.

A network has one part that looks at a single observation and one that runs over time. Weights
stand still while a rollout runs and within a mini batch, so the first part is computed once for
each distinct observation. A memory decides where the line is: with none, the whole network lies
before it; a recurrent one draws it behind the input projection of its first layer.

Shapes: N environments, T steps of a rollout, L steps of the longest piece, B pieces, M steps of a
mini batch, R rows of distinct observations, F features of the encoder, O outputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from torch import Generator, Tensor, nn

Readout = Callable[[Tensor], Tensor]
"""From a memory's output, (…, output_size), to the network's outputs, (…, O)."""


class History(Protocol):
    """What was remembered in the steps of a rollout."""

    def before(self, first: np.ndarray) -> Any:
        """What pieces need of the time before them.

        Args:
            first: position of each piece's first step in the flattened (T, N), shape (B,).
        """


class Pieces(NamedTuple):
    """Pieces of episodes, each without an episode's end in its middle.

    Attributes:
        rows: which row is observed, shape (L, B); any row where a piece is shorter than L.
        steps: positions of the M real steps in the flattened (L, B); None where all are real.
        before: what the memory's own history gave for them.
        starts: whether a piece starts an episode, shape (B,).
    """

    rows: Tensor
    steps: Tensor | None
    before: Any
    starts: Tensor


class MemoryState(ABC):
    """What N environments remember; goes on with every step."""

    @abstractmethod
    def begin_rollout(self, steps: int) -> None:
        """The weights may be others; at most so many steps follow, and all are kept."""

    @abstractmethod
    def step(self, observed: Tensor) -> Tensor:
        """One step of all environments, (N, P) to outputs (N, O)."""

    @abstractmethod
    def look(self, observed: Tensor, workers: np.ndarray) -> Tensor:
        """Outputs for observations of some environments, (W, P) to (W, O); remembers nothing."""

    @abstractmethod
    def begin_episodes(self, workers: np.ndarray) -> None:
        """New episodes begin in some environments, an array of indices."""

    def forget(self, workers: np.ndarray) -> None:
        """Gives some environments the state of a first episode, whatever the config keeps."""
        self.begin_episodes(workers)

    @abstractmethod
    def end_rollout(self) -> History:
        """What was kept; initial states that are made of a rollout's are made here."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything that a rollout after this one depends on."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores it."""


class Memory(nn.Module):
    """The memory of a policy.

    Attributes:
        output_size: numbers given to the readout.
        sequence_length: steps of a training piece; 0 or less for whole episodes.
        name: under which statistics of it are recorded.
    """

    name: ClassVar[str]
    output_size: int
    sequence_length: int

    @abstractmethod
    def observe(self, features: Tensor, readout: Readout) -> Tensor:
        """All that depends on single observations, (R, F) to (R, P)."""

    @abstractmethod
    def begin(self, count: int, generator: Generator, readout: Readout) -> MemoryState:
        """The state of ``count`` environments at the start of an episode."""

    @abstractmethod
    def pieces(self, observed: Tensor, pieces: Pieces, readout: Readout) -> Tensor:
        """All steps of pieces, (R, P) to outputs (M, O) in the order of ``pieces.steps``."""
