"""The interface of a memory to rollout, evaluation and update.

A network has one part that looks at single observations and one that runs over time. Weights do not
change during a rollout or within a mini batch, so the first part is computed once for each distinct
observation. The memory decides where the first part ends: without a memory it is the whole network;
with a recurrent one it ends with the input projection of the first layer.

Shapes: N environments, T steps of a rollout, L steps of the longest piece, B pieces, M steps of a
mini batch, R distinct observations, E numbers of the encoder, F features (the
output of the part that looks at single observations), O outputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from torch import Generator, Tensor, nn
from torch.nn import functional

Readout = Callable[[Tensor], Tensor]
"""From a memory's output, (…, output_size), to the network's outputs, (…, O)."""


class Inputs(NamedTuple):
    """The surroundings that a memory is built for.

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
        """Returns the memory before the first step of each piece.

        Args:
            first: position of each piece's first step in the flattened (T, N), shape (B,).
        """


class Pieces(NamedTuple):
    """Pieces of episodes, each without an episode's end in its middle.

    Attributes:
        indices: of each step's features among the R, shape (L, B); arbitrary after the end of a
            piece shorter than L. None where the R are those of the steps, in this order.
        steps: positions of the M real steps in the flattened (L, B); None where all are real.
        before: the result of the memory's :meth:`History.before`.
        starts: whether a piece starts an episode, shape (B,).
    """

    indices: Tensor | None
    steps: Tensor | None
    before: Any
    starts: Tensor

    def of_steps(self, features: Tensor) -> Tensor:
        """Returns the features of each step: (R, F) to (L, B, F)."""
        if self.indices is None:
            return features.view(-1, len(self.starts), features.shape[1])
        return functional.embedding(self.indices, features)


class MemoryState(ABC):
    """The memory of N environments, updated by every step."""

    @abstractmethod
    def begin_rollout(self, steps: int) -> None:
        """Prepares for a rollout of at most ``steps`` steps, with weights that may have changed."""

    @abstractmethod
    def step(self, features: Tensor) -> Tensor:
        """Advances all environments by one step; features (N, F) to outputs (N, O)."""

    @abstractmethod
    def look(self, features: Tensor, workers: np.ndarray) -> Tensor:
        """Computes outputs (W, O) of some environments from features (W, F); remembers nothing."""

    @abstractmethod
    def begin_episodes(self, workers: np.ndarray) -> None:
        """Starts new episodes in some environments, given by their indices."""

    def shown(self, features: Tensor) -> dict[str, Tensor]:  # noqa: ARG002 - to override
        """Returns numbers of the memory that a person can look at; changes nothing.

        Args:
            features: of the next step, shape (N, F).

        Returns:
            ``norm`` of the state, shape (N,), or ``attention`` of the next step over the remembered
            ones, oldest first, shape (N, blocks, C), a mean over heads; empty without a memory.
        """
        return {}

    @abstractmethod
    def end_rollout(self) -> History:
        """Returns the history of the rollout, and updates initial states that depend on it."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Returns everything that later rollouts depend on."""

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
        output_size: size of the readout's input.
        sequence_length: steps of a training piece; 0 or less for whole episodes.
        name: of its statistics.
    """

    name: ClassVar[str]
    output_size: int
    sequence_length: int

    def recurrences(self) -> Iterable[nn.Module]:
        """Returns the layers that are computed step by step, each from the one before."""
        return ()

    @abstractmethod
    def features(self, encoded: Tensor, readout: Readout) -> Tensor:
        """Computes the features (R, F) of single encoded observations (R, E)."""

    @abstractmethod
    def begin(self, count: int, generator: Generator, readout: Readout) -> MemoryState:
        """Returns the state of ``count`` environments at the start of an episode."""

    @abstractmethod
    def pieces(self, features: Tensor, pieces: Pieces, readout: Readout) -> Tensor:
        """Computes the outputs (M, O) of pieces from features (R, F), in the order of ``steps``.

        :meth:`Pieces.of_steps` returns the features of each step.
        """
