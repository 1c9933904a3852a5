"""What a memory is to the rest: a state, one step, and pieces of episodes.

A network has one part that looks at a single observation and one that runs over time. Weights
stand still while a rollout runs and within a mini batch, so the first part is computed once for
each distinct observation. A memory decides where the line is: with none, the whole network lies
before it; a recurrent one draws it behind the input projection of its first layer.

Shapes: N environments, L steps of the longest piece, B pieces, M steps of a mini batch, R rows of
distinct observations, F features of the encoder, S numbers of a state, O outputs.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from torch import Generator, Tensor, nn

Readout = Callable[[Tensor], Tensor]
"""From a memory's output, (…, output_size), to the network's outputs, (…, O)."""


class Pieces(NamedTuple):
    """Pieces of episodes, each without an episode's end in its middle.

    Attributes:
        rows: which row is observed, shape (L, B); any row where a piece is shorter than L.
        steps: positions of the M real steps in the flattened (L, B); None where all are real.
        states: states before the first steps, shape (B, S).
        starts: whether a piece starts an episode, shape (B,).
    """

    rows: Tensor
    steps: Tensor | None
    states: Tensor
    starts: Tensor


class Memory(nn.Module):
    """The memory of a policy.

    Attributes:
        output_size: numbers given to the readout.
        state_size: S; 0 without a state.
        sequence_length: steps of a training piece; 0 or less for whole episodes.
        resets: whether the state is reset at the start of an episode.
    """

    output_size: int
    state_size: int
    sequence_length: int
    resets: bool

    @abstractmethod
    def observe(self, features: Tensor, readout: Readout) -> Tensor:
        """All that depends on single observations, (R, F) to (R, P)."""

    @abstractmethod
    def step(self, observed: Tensor, states: Tensor, readout: Readout) -> tuple[Tensor, Tensor]:
        """One step of N environments, (N, P) and (N, S) to outputs (N, O) and states (N, S)."""

    @abstractmethod
    def pieces(self, observed: Tensor, pieces: Pieces, readout: Readout) -> Tensor:
        """All steps of pieces, (R, P) to outputs (M, O) in the order of ``pieces.steps``."""

    @abstractmethod
    def initial_states(self, count: int, generator: Generator) -> Tensor:
        """States at the start of ``count`` episodes, shape (count, S)."""

    @abstractmethod
    def learn_initial_states(self, states: Tensor) -> None:
        """Takes note of the states (…, S) of a rollout, for initial states made of them."""
