"""A block of a transformer that attends to remembered steps.

Shapes: N environments, C columns (steps that are remembered), D numbers of a step (``embed_dim``),
H heads, M steps, Q queries of an environment.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from neroRL.config.schema import TransformerConfig
from neroRL.models.initialisation import GAIN

LONGEST_WAVE = 1e4


def sinusoids(positions: Tensor, size: int) -> Tensor:
    """Returns sines, then cosines of positions (…), shape (…, size); Vaswani et al. 2017, 3.5."""
    waves = torch.arange(0, size, 2, device=positions.device, dtype=torch.float64) / size
    angles = positions[..., None] * LONGEST_WAVE**-waves
    return torch.cat((angles.sin(), angles.cos()), dim=-1)[..., :size]


class Block(nn.Module):
    """Attention and a dense layer, each with a residual connection or a gate around it."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        size = config.embed_dim
        self._heads, self._part = config.num_heads, size // config.num_heads
        self._scale = size**-0.5
        self._pre, self._post = config.layer_norm == "pre", config.layer_norm == "post"
        self.queries = nn.Linear(size, size, bias=False)
        self.keys = nn.Linear(size, size, bias=False)
        self.values = nn.Linear(size, size, bias=False)
        self.merge = nn.Linear(size, size)
        self.dense = nn.Linear(size, size)
        if config.layer_norm:
            self.norm_attention, self.norm_dense = nn.LayerNorm(size), nn.LayerNorm(size)
        if self._pre:
            self.norm_memory = nn.LayerNorm(size)
        self.gates: nn.ModuleList | None = None
        if config.gtrxl:
            bias, swap = config.gtrxl_bias, config.gtrxl_swap
            self.gates = nn.ModuleList(_Gate(size, bias, swap) for _ in range(2))

    def forward(self, inputs: Tensor, attend: Callable[[Tensor], Tensor]) -> Tensor:
        """Computes outputs (M, D) from inputs (M, D); ``attend`` answers the queries (M, D)."""
        normed = self.norm_attention(inputs) if self._pre else inputs
        inputs = self._around(0, inputs, self.merge(attend(self.queries(normed))))
        if self._post:
            inputs = self.norm_attention(inputs)
        normed = self.norm_dense(inputs) if self._pre else inputs
        outputs = self._around(1, inputs, torch.relu(self.dense(normed)))
        if self._post:
            outputs = self.norm_dense(outputs)
        return outputs

    def keys_and_values(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """Computes keys and values (…, D) of items (…, D)."""
        normed = self.norm_memory(items) if self._pre else items
        return self.keys(normed), self.values(normed)

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        """Computes multi-head attention; each head has its part of queries, keys and values.

        Args:
            queries: shape (N, Q, D).
            keys: shape (N, C, D).
            values: shape (N, C, D).
            mask: True for the columns that a query attends to, shape (N, Q, C).

        Returns:
            Shape (N, Q, D); 0 where there is nothing to attend to.
        """
        if mask.shape[-1] == 0:
            return torch.zeros_like(queries)
        some = mask.any(dim=-1, keepdim=True)
        asked, offered, given = (self._split(x).transpose(1, 2) for x in (queries, keys, values))
        # Kernels differ in rows without any column, so such rows get all columns.
        allowed = (mask | ~some)[:, None]
        answers = functional.scaled_dot_product_attention(
            asked, offered, given, attn_mask=allowed, scale=self._scale
        )
        flat: Tensor = answers.transpose(1, 2).flatten(-2)
        return flat * some

    def weights(self, queries: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """Computes the weights with which :meth:`attend` sums the values.

        Args:
            queries: shape (N, Q, D).
            keys: shape (N, C, D).
            mask: True for the columns that a query attends to, shape (N, Q, C).

        Returns:
            Shape (N, H, Q, C); 0 where there is nothing to attend to.
        """
        asked, offered = (self._split(x).transpose(1, 2) for x in (queries, keys))
        scores = asked @ offered.transpose(2, 3) * self._scale
        weights: Tensor = scores.masked_fill(~mask[:, None], -torch.inf).softmax(dim=-1)
        return weights.nan_to_num(0.0)

    def _split(self, numbers: Tensor) -> Tensor:
        return numbers.view(*numbers.shape[:-1], self._heads, self._part)

    def _around(self, number: int, inputs: Tensor, outputs: Tensor) -> Tensor:
        if self.gates is not None:
            gated: Tensor = self.gates[number](inputs, outputs)
            return gated
        return inputs + outputs


class _Gate(nn.Module):
    """A GRU instead of a residual connection (Parisotto et al. 2020, section 3.2)."""

    def __init__(self, size: int, bias: float, swap: bool) -> None:
        super().__init__()
        self._size, self._swap = size, swap
        self.bias = nn.Parameter(torch.full((size,), bias))
        self.of_output = nn.Linear(size, 3 * size, bias=False)
        self.of_input = nn.Linear(size, 2 * size, bias=False)
        self.of_reset = nn.Linear(size, size, bias=False)

    def forward(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        """Gates the inputs and outputs (M, D) of a layer; returns shape (M, D)."""
        if self._swap:
            inputs, outputs = outputs, inputs
        reset, update, candidate = self.of_output(outputs).chunk(3, dim=-1)
        from_input = self.of_input(inputs)
        reset = torch.sigmoid(reset + from_input[..., : self._size])
        update = torch.sigmoid(update + from_input[..., self._size :] - self.bias)
        candidate = torch.tanh(candidate + self.of_reset(reset * inputs))
        return torch.lerp(inputs, candidate, update)


def initialise(blocks: nn.ModuleList, config: TransformerConfig) -> None:
    """Draws the weights of all linear layers, each gate's matrix by itself."""
    for module in blocks.modules():
        if isinstance(module, nn.Linear):
            for weight in module.weight.data.split(module.in_features):
                if config.init_weights == "orthogonal":
                    nn.init.orthogonal_(weight, GAIN)
                elif config.init_weights == "kaiming":
                    nn.init.kaiming_uniform_(weight)
                else:
                    nn.init.xavier_uniform_(weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    if config.init_weights == "tfixup":
        for block in blocks:
            assert isinstance(block, Block)
            for layer in (block.values, block.merge, block.dense):
                # Huang et al. 2020, section 3.2, an encoder's factor.
                layer.weight.data *= 0.67 * config.num_blocks**-0.25
