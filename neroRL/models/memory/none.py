"""No memory: the network is a function of the observation."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional

from neroRL.models.memory.interface import Memory, Pieces, Readout


class NoMemory(Memory):
    """The identity over time: everything is computed once for each distinct observation.

    Args:
        input_size: features of the encoder.
    """

    def __init__(self, input_size: int) -> None:
        super().__init__()
        self.output_size = input_size
        self.state_size = 0
        self.sequence_length = 1
        self.resets = True

    def observe(self, features: Tensor, readout: Readout) -> Tensor:
        """The outputs themselves."""
        return readout(features)

    def step(self, observed: Tensor, states: Tensor, readout: Readout) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """Nothing more to do."""
        return observed, states

    def pieces(self, observed: Tensor, pieces: Pieces, readout: Readout) -> Tensor:  # noqa: ARG002
        """The outputs of each step; pieces have one step."""
        return functional.embedding(pieces.rows[0], observed)

    def initial_states(self, count: int, generator: Generator) -> Tensor:
        """States of no numbers."""
        return torch.empty(count, 0, device=generator.device)

    def learn_initial_states(self, states: Tensor) -> None:
        """Nothing to learn."""
