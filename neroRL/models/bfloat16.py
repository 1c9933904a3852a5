"""Matrix products and convolutions in bfloat16, with weights and sums in float32.

A processor with units for bfloat16 (AMX, a GPU) multiplies it several times faster than float32.
Inputs and weights of the large layers are rounded to its 8 significant bits; the products are
summed in float32, and rounded once more when they leave, as gradients are, too. Weights, optimiser,
advantages and losses stay in float32, and so do

- layers with fewer than 64 inputs, like those that see the numbers of an observation, or with few
  weights, and linear ones that multiply them with few rows of a mini batch,
- the last layers of the policy and the value,
- the recurrence of GRU and LSTM, and a transformer's attention over steps.

Shapes: M rows, I inputs, O outputs.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

LOW = torch.bfloat16
FEWEST_INPUTS = 64
FEWEST_WEIGHTS = 16_384
# Rows of a mini batch times weights: with fewer, rounding takes longer than it saves.
FEWEST_PRODUCTS = 1 << 25
# Rows are filled up to a multiple of this or, if there are many, of an eighth of their number:
# the library compiles a kernel for each number of rows, which takes longer than the product.
ROWS = 16


def lower(layer: nn.Linear | nn.Conv2d) -> None:
    """Turns a layer, in place, into one that multiplies in bfloat16.

    >>> layers = nn.Sequential(nn.Linear(64, 8))
    >>> lower(layers[0])
    >>> layers(torch.full((3, 64), 1.001)).dtype, layers[0].weight.dtype
    (torch.float32, torch.float32)
    """
    layer.__class__ = LinearInBfloat16 if isinstance(layer, nn.Linear) else ConvolutionInBfloat16


class LinearInBfloat16(nn.Linear):
    """A linear layer that multiplies in bfloat16."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Computes outputs (…, O) from inputs (…, I), both float32."""
        return product(inputs, self.weight, self.bias, self.rounded())

    def rounded(self) -> Tensor:
        """Returns the weight in bfloat16, which is rounded once for each time that it changes."""
        weight = self.weight
        state = weight._version, weight.data_ptr()
        if getattr(self, "_rounded_at", None) != state:
            self._rounded, self._rounded_at = weight.detach().to(LOW), state
        return self._rounded


class ConvolutionInBfloat16(nn.Conv2d):
    """A convolution that multiplies in bfloat16."""

    def forward(self, images: Tensor) -> Tensor:
        """Computes features from images (M, channels, height, width), both float32."""
        missing = filled(len(images)) - len(images)
        inputs = functional.pad(images.to(LOW), (0, 0, 0, 0, 0, 0, 0, missing))
        low: Tensor = self._conv_forward(inputs, self.weight.to(LOW), None)
        features = low[: len(images)].float()
        # The bias in float32, as in :func:`product`, which distinct receptive fields take.
        return features if self.bias is None else features + self.bias[:, None, None]


def product(inputs: Tensor, weight: Tensor, bias: Tensor | None, rounded: Tensor) -> Tensor:
    """Computes a linear layer in bfloat16, differentiable in inputs, weight and bias.

    Args:
        inputs: float32, shape (…, I).
        weight: float32, shape (O, I).
        bias: float32, shape (O,).
        rounded: the weight in bfloat16.

    Returns:
        Outputs, float32 of shape (…, O).
    """
    rows = inputs.reshape(-1, inputs.shape[-1])
    outputs: Tensor = _Product.apply(rows, weight, bias, rounded)  # type: ignore[no-untyped-call]
    return outputs.view(*inputs.shape[:-1], len(weight))


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        weight: Tensor,  # noqa: ARG004 - its gradient is asked for
        bias: Tensor | None,
        rounded: Tensor,
    ) -> Tensor:
        low = filled_up(inputs, LOW)
        ctx.save_for_backward(low, rounded)
        outputs = (low @ rounded.t())[: len(inputs)].float()
        return outputs if bias is None else outputs.add_(bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None, None]:
        low, rounded = ctx.saved_tensors
        d_low = filled_up(d_outputs, LOW)
        d_inputs = None
        if ctx.needs_input_grad[0]:
            d_inputs = (d_low @ rounded)[: len(d_outputs)].float()
        d_bias = d_outputs.sum(0) if ctx.needs_input_grad[2] else None
        return d_inputs, (d_low.t() @ low).float(), d_bias, None


def filled_up(rows: Tensor, dtype: torch.dtype) -> Tensor:
    """Returns rows (M, …) in a dtype, with rows of zeros below them; see :func:`filled`."""
    if filled(len(rows)) == len(rows):
        return rows.to(dtype)
    more = rows.new_empty((filled(len(rows)), *rows.shape[1:]), dtype=dtype)
    more[: len(rows)] = rows
    more[len(rows) :] = 0.0
    return more


def filled(rows: int) -> int:
    """Returns the number of rows that are computed instead: at most an eighth more, or 15.

    >>> [filled(rows) for rows in (1, 16, 17, 500, 512, 4001)]
    [16, 16, 32, 512, 512, 4096]
    """
    step = max(ROWS, 1 << max(0, rows.bit_length() - 4))
    return -(-rows // step) * step
