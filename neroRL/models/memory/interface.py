"""What a memory is to the rest: steps of environments, and pieces of their episodes.

A network has one part that looks at a single observation and one that runs over time. Weights
stand still while a rollout runs and within a mini batch, so the first part is computed once for
each distinct observation. A memory decides where the line is: with none, the whole network lies
before it; a recurrent one draws it behind the input projection of its first layer.

Shapes: N environments, T steps of a rollout, L steps of the longest piece, B pieces, M steps of a
mini batch, R distinct observations, E numbers of the encoder, F features (all that the network
makes of a single observation), O outputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from torch import Generator, Tensor, nn

Readout = Callable[[Tensor], Tensor]
"""From a memory's output, (…, output_size), to the network's outputs, (…, O)."""


class Inputs(NamedTuple):
    """What a memory is built for.

    Attributes:
        size: E.
        activation: follows an embedding of the encoder's output.
        max_episode_steps: of the environment; None where it is not known.
    """

    size: int
    activation: nn.Module
    max_episode_steps: int | None = None


class History(Protocol):
    """The memory at each step of a rollout."""

    def before(self, first: np.ndarray) -> Any:
        """Returns what pieces need of the time before them.

        Args:
            first: position of each piece's first step in the flattened (T, N), shape (B,).
        """


class Pieces(NamedTuple):
    """Pieces of episodes, each without an episode's end in its middle.

    Attributes:
        indices: which of the R features each step has, shape (L, B); any where a piece is shorter
            than L.
        steps: positions of the M real steps in the flattened (L, B); None where all are real.
        before: what the memory's own history gave for them.
        starts: whether a piece starts an episode, shape (B,).
    """

    indices: Tensor
    steps: Tensor | None
    before: Any
    starts: Tensor


class MemoryState(ABC):
    """The memory of N environments, which goes on with every step."""

    @abstractmethod
    def begin_rollout(self, steps: int) -> None:
        """The weights may be others; at most so many steps follow, and all are kept."""

    @abstractmethod
    def step(self, features: Tensor) -> Tensor:
        """One step of all environments, features (N, F) to outputs (N, O)."""

    @abstractmethod
    def look(self, features: Tensor, workers: np.ndarray) -> Tensor:
        """Outputs in some environments, features (W, F) to (W, O); remembers nothing."""

    @abstractmethod
    def begin_episodes(self, workers: np.ndarray) -> None:
        """New episodes begin in some environments, an array of indices."""

    def forget(self, workers: np.ndarray) -> None:
        """Gives some environments the state of a first episode, whatever the config keeps."""
        self.begin_episodes(workers)

    @abstractmethod
    def end_rollout(self) -> History:
        """Returns what was kept; initial states that are made of a rollout's are made here."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything that a rollout after this one depends on."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores it."""


class Memory(nn.Module):
    """The memory of a policy.

    Each class is made from its own part of the config and :class:`Inputs`.

    >>> import torch
    >>> from neroRL.config.schema import RecurrenceConfig
    >>> from neroRL.models.memory.recurrent import RecurrentMemory
    >>> memory = RecurrentMemory(RecurrenceConfig(hidden_state_size=4), Inputs(3, nn.ReLU()))
    >>> readout = nn.Linear(4, 2)
    >>> state = memory.begin(5, torch.Generator(), readout)  # five environments
    >>> state.begin_rollout(steps=2)
    >>> features = memory.features(torch.randn(5, 3), readout)
    >>> [state.step(features).shape for _ in range(2)]
    [torch.Size([5, 2]), torch.Size([5, 2])]
    >>> state.begin_episodes(np.array([0, 3]))  # two of them start anew
    >>> before = state.end_rollout().before(np.array([0, 6]))  # for pieces of later updates
    >>> before.shape
    torch.Size([2, 4])

    Attributes:
        output_size: numbers given to the readout.
        sequence_length: steps of a training piece; 0 or less for whole episodes.
        name: under which statistics of it are recorded.
    """

    name: ClassVar[str]
    output_size: int
    sequence_length: int

    @abstractmethod
    def features(self, encoded: Tensor, readout: Readout) -> Tensor:
        """All that depends on single observations, (R, E) to (R, F)."""

    @abstractmethod
    def begin(self, count: int, generator: Generator, readout: Readout) -> MemoryState:
        """The state of ``count`` environments at the start of an episode."""

    @abstractmethod
    def pieces(self, features: Tensor, pieces: Pieces, readout: Readout) -> Tensor:
        """All steps of pieces, (R, F) to outputs (M, O) in the order of ``pieces.steps``."""
