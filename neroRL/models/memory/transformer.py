"""Episodic transformer memory: attends to a window of the episode's past.

The model is that of Pleines et al. 2023, "Memory Gym: Towards Endless Tasks to Benchmark Memory
Capabilities of Agents": the inputs of every block are remembered without gradients. The current
step is the query, and the earlier steps of its episode are keys and values.

A key and a value depend only on the remembered step, not on the query. So each is computed once: in
a rollout when the step is remembered, as the weights do not change, and once in a mini batch. The
steps of a mini batch attend to the columns of their environment under a mask, instead of each to a
window of its own.

Shapes: N environments, C columns (steps that are remembered), D numbers of a step (``embed_dim``),
M steps of a mini batch, Q steps of the environment with the most of them, W the ``memory_length``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from neroRL.config.schema import WHOLE_EPISODE, TransformerConfig
from neroRL.models.initialisation import orthogonal_
from neroRL.models.memory.attention import Block, initialise, sinusoids
from neroRL.models.memory.interface import Inputs, Memory, Pieces, Readout
from neroRL.models.memory.window import Past, Window


class TransformerMemory(Memory):
    """Blocks of attention and a dense layer, behind a linear embedding.

    Positions are counted from the end of the longest episode, S steps: sinusoids encode step t as
    S - 1 - t, and a learned table has S rows, with row t for step t. If S is not known, sinusoids
    encode -t, and the table has W rows, which longer episodes use again from the first.

    Args:
        config: of the transformer.
        inputs: embedded for the first block; their ``max_episode_steps`` is S.

    Attributes:
        window: W, the largest number of steps attended to.
    """

    name: ClassVar[str] = "transformer"

    def __init__(self, config: TransformerConfig, inputs: Inputs) -> None:
        super().__init__()
        self._config = config
        self.output_size = config.embed_dim
        self.sequence_length = 1
        whole = config.memory_length == WHOLE_EPISODE
        self.window = sys.maxsize if whole else config.memory_length
        longest = inputs.max_episode_steps
        self._last = 0 if longest is None else longest - 1
        embedding = orthogonal_(nn.Linear(inputs.size, config.embed_dim))
        self.embedding = nn.Sequential(embedding, inputs.activation)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.num_blocks))
        initialise(self.blocks, config)
        self.positions: nn.Parameter | None = None
        if config.positional_encoding == "learned":
            rows = longest or config.memory_length
            self.positions = nn.Parameter(torch.randn(rows, config.embed_dim))

    def features(self, encoded: Tensor, readout: Readout) -> Tensor:  # noqa: ARG002
        """Returns the embedding, the input of the first block."""
        embedded: Tensor = self.embedding(encoded)
        return embedded

    def begin(self, count: int, generator: Generator, readout: Readout) -> Window:
        """Returns an empty window."""
        return Window(self, torch.empty(count, 0, device=generator.device), readout)

    def pieces(self, features: Tensor, pieces: Pieces, readout: Readout) -> Tensor:
        """Computes the outputs of a mini batch; pieces have one step."""
        past: Past = pieces.before
        inputs = pieces.of_steps(features)[0]

        def attend(block: Block, number: int, queries: Tensor) -> Tensor:
            keys, values = self.keys_and_values(number, past.items[number], past.times)
            shape = (*past.mask.shape[:2], queries.shape[-1])
            asked = queries.new_zeros(shape).flatten(0, 1).index_copy(0, past.places, queries)
            answers = block.attend(asked.view(shape), keys, values, past.mask)
            return answers.flatten(0, 1)[past.places]

        return readout(self.run(inputs, past.times_of_steps, attend)[0])

    def run(
        self, inputs: Tensor, times: Tensor, attend: Callable[[Block, int, Tensor], Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Runs all blocks.

        Args:
            inputs: embeddings of some steps, shape (M, D).
            times: of the steps in their episodes, shape (M,).
            attend: answers of the past to the queries (M, D) of a block, given with its number.

        Returns:
            The output of the last block and the inputs of all, (M, D) each.
        """
        all_inputs = []
        encoding = None
        if self._config.add_positional_encoding_to_query:
            encoding = self._sinusoids((times - 1).clamp(min=0))  # of the last remembered step
        for number, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            all_inputs.append(inputs)
            if encoding is not None:
                inputs = inputs + encoding
            inputs = block(inputs, partial(attend, block, number))
        return inputs, all_inputs

    def remembered(self, all_inputs: list[Tensor], times: Tensor) -> list[Tensor]:
        """Returns what is kept of steps: the inputs of each block, (M, D), and the time, (M,)."""
        encoding = self._sinusoids(times)
        return all_inputs if encoding is None else [inputs + encoding for inputs in all_inputs]

    def keys_and_values(self, block: int, items: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the keys and values of a block's remembered inputs.

        Args:
            block: its number.
            items: its remembered inputs, shape (…, D).
            times: of the steps in their episodes, shape (…).

        Returns:
            Shape (…, D) each.
        """
        encoding = self._learned(times)
        chosen = self.blocks[block]
        assert isinstance(chosen, Block)
        return chosen.keys_and_values(items if encoding is None else items + encoding)

    def _sinusoids(self, times: Tensor) -> Tensor | None:
        if self._config.positional_encoding != "absolute":
            return None
        return sinusoids(self._last - times, self.output_size).to(self._dtype)

    def _learned(self, times: Tensor) -> Tensor | None:
        rows = self.positions
        return None if rows is None else functional.embedding(times % len(rows), rows)

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype
