"""Networks of rectified dense layers, with their gradients written out.

For small mini batches autograd's records cost as much as the arithmetic. Here are the same products
and sums in the same order, so on a CPU the gradients are those of autograd, bit for bit.

Between layers in bfloat16, numbers stay in bfloat16, and biases are rounded like weights: to go
back to float32 in between would take as long as the products.

Shapes: M rows, I inputs, O outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from neroRL.models.bfloat16 import LOW, LinearInBfloat16, filled_up
from neroRL.models.distributions.gaussian import MeansAndDeviations
from neroRL.models.heads import Heads

# Up to so many weights, a product of few rows takes less time in float32.
FEW_WEIGHTS = 1 << 17
PLAIN = (
    nn.Linear,
    LinearInBfloat16,
    nn.ReLU,
    nn.Sequential,
    nn.Identity,
    Heads,
    MeansAndDeviations,
)


class _Affine(NamedTuple):
    """A layer's weight, shape (I, O), and bias, shape (O,), and the type of its numbers.

    Where the type is bfloat16 and that of the weight is float32, the products are those of
    bfloat16, too: they are exact in float32, and sums are rounded after them.
    """

    weight: Tensor
    bias: Tensor
    dtype: torch.dtype

    def __call__(self, units: Tensor) -> Tensor:
        """Computes (M, O) from (M, I)."""
        if self.weight.dtype == self.dtype:
            return torch.addmm(self.bias, units, self.weight)
        return torch.addmm(self.bias, units.to(self.weight.dtype), self.weight).to(self.dtype)

    def for_few_rows(self) -> _Affine:
        """Returns it with the weights in the order in which a product of few rows reads them."""
        if self.dtype == LOW and self.weight.numel() > FEW_WEIGHTS:
            return self
        exact = torch.float32 if self.dtype == LOW else self.dtype
        return self._replace(weight=self.weight.to(exact).contiguous(), bias=self.bias.to(exact))


class DenseNetwork:
    """The outputs and gradients of rectified dense layers with the heads of policy and value.

    >>> from neroRL.models.distributions.categorical import Categoricals
    >>> heads = Heads(3, Categoricals((2,)), nn.ReLU())
    >>> network = DenseNetwork.of([], heads)
    >>> outputs = network.outputs(torch.ones(5, 3))
    >>> outputs.shape, outputs.requires_grad
    (torch.Size([5, 3]), False)
    >>> network.backward(torch.ones_like(outputs))
    >>> heads.value.bias.grad
    tensor([5.])

    Args:
        parts: of the network before the heads, each a rectified layer or several.
        heads: of the network.
    """

    def __init__(self, parts: Iterable[nn.Module], heads: Heads) -> None:
        self._heads = heads
        self._rectified = [
            layer
            for part in (*parts, heads.hidden)
            for layer in part.modules()
            if isinstance(layer, nn.Linear)
        ]
        layers = (*self._rectified, heads.policy, heads.value)
        self._parameters = [parameter for layer in layers for parameter in layer.parameters()]
        self._of_rectified = self._parameters[: 2 * len(self._rectified)]
        self._frozen: list[_Affine] = []
        self._frozen_at: list[tuple[int, int]] = []
        self._inputs: Sequence[Tensor] = ()  # of each rectified layer, then of the heads

    @classmethod
    def of(cls, parts: Sequence[nn.Module], heads: Heads) -> Self | None:
        """Returns parts and heads as such a network, or None if they have other layers."""
        modules = [module for part in (*parts, heads) for module in part.modules()]
        plain = all(type(module) in PLAIN for module in modules)
        compiled = any(module._compiled_call_impl is not None for module in modules)
        return cls(parts, heads) if plain and not compiled else None

    def begin_rollout(self) -> None:
        """Prepares for many outputs of few rows, until a weight changes.

        The outputs may differ in their last bits.
        """
        self._frozen = [layer.for_few_rows() for layer in self._affine()]
        self._frozen_at = self._state()

    def _affine(self) -> list[_Affine]:
        weights = [_weight(layer).detach() for layer in self._rectified]
        biases = [layer.bias.detach() for layer in self._rectified]
        return [
            _Affine(weight.t(), bias.to(weight.dtype), weight.dtype)
            for weight, bias in zip(weights, biases, strict=True)
        ]

    def _state(self) -> list[tuple[int, int]]:
        """Returns what differs when a weight or a bias has changed."""
        return [(weight._version, weight.data_ptr()) for weight in self._of_rectified]

    @torch.no_grad()
    def outputs(self, inputs: Tensor) -> Tensor:
        """Computes the outputs (M, O) of inputs (M, I)."""
        outputs, self._inputs = self._computed(inputs)
        return outputs

    @torch.no_grad()
    def backward(self, gradient: Tensor) -> None:
        """Replaces the gradients of all parameters.

        Args:
            gradient: of the loss with respect to the outputs computed last, shape (M, O).
        """
        for parameter in self._parameters:
            if parameter.grad is None:
                parameter.grad = torch.empty_like(parameter)
        into: Any = {parameter: parameter.grad for parameter in self._parameters}
        self._write_gradients(self._inputs, gradient, into, of_inputs=False)

    def readout(self, inputs: Tensor) -> Tensor:
        """Computes outputs (…, O) of inputs (…, I), differentiable in inputs and weights."""
        rows = inputs.reshape(-1, inputs.shape[-1])
        if torch.is_grad_enabled():
            outputs: Tensor = _Readout.apply(rows, self, *self._parameters)  # type: ignore[no-untyped-call]
        else:
            outputs, _ = self._computed(rows)
        return outputs.view(*inputs.shape[:-1], outputs.shape[1])

    def _computed(self, inputs: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Returns the outputs (M, O), and the inputs of each rectified layer and of the heads."""
        rows, dtype = len(inputs), inputs.dtype
        layers = self._frozen if self._frozen_at == self._state() else self._affine()
        of_layers: list[Tensor] = []
        low = any(layer.dtype == LOW for layer in layers)
        units = filled_up(inputs, dtype) if low else inputs
        for layer in layers:
            units = units.to(layer.dtype)
            of_layers.append(units.relu_() if of_layers else units)
            units = layer(units)
        of_layers.append(units.to(dtype).relu_())  # slower in bfloat16
        for_policy, for_value = of_layers[-1][:rows].chunk(2, dim=1)
        of_policy = _outputs(self._heads.policy, for_policy)
        return torch.cat((*of_policy, _linear(self._heads.value, for_value)), dim=1), of_layers

    def _write_gradients(
        self,
        of_layers: Sequence[Tensor],
        gradient: Tensor,
        into: Mapping[Tensor, Tensor],
        *,
        of_inputs: bool,
    ) -> Tensor | None:
        """Writes the gradients of all parameters.

        Args:
            of_layers: what :meth:`_computed` has returned.
            gradient: with respect to its outputs, shape (M, O).
            into: where those of the parameters go.
            of_inputs: whether that of the inputs is wanted.

        Returns:
            The gradient with respect to the inputs, shape (M, I), if it is wanted.
        """
        rows = len(gradient)
        if rows < len(of_layers[-1]):
            gradient = filled_up(gradient, gradient.dtype)
        for_policy, for_value = of_layers[-1].chunk(2, dim=1)
        above = torch.empty_like(of_layers[-1])
        of_policy, of_value = above.chunk(2, dim=1)
        _backward(self._heads.policy, for_policy, gradient[:, :-1], of_policy, into)
        _backward(self._heads.value, for_value, gradient[:, -1:], of_value, into)
        for number, layer in reversed(list(enumerate(self._rectified))):
            torch.ops.aten.threshold_backward.grad_input(
                above, of_layers[number + 1], 0.0, grad_input=above
            )
            weight = _weight(layer)
            above = above.to(weight.dtype)
            _write(layer, of_layers[number], above, into)
            if number > 0 or of_inputs:
                above = above @ weight
        return above[:rows].to(gradient.dtype) if of_inputs else None


class _Readout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, network: DenseNetwork, *parameters: Tensor) -> Tensor:
        outputs, of_layers = network._computed(inputs)
        ctx.network, ctx.layers = network, len(of_layers)
        ctx.save_for_backward(*of_layers, *parameters)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_outputs: Tensor) -> tuple[Tensor | None, ...]:
        of_layers, parameters = ctx.saved_tensors[: ctx.layers], ctx.saved_tensors[ctx.layers :]
        into = {parameter: torch.empty_like(parameter) for parameter in parameters}
        d_inputs = ctx.network._write_gradients(
            of_layers, d_outputs, into, of_inputs=ctx.needs_input_grad[0]
        )
        return d_inputs, None, *into.values()


def _weight(layer: nn.Linear) -> Tensor:
    """Returns the weight that a layer multiplies with."""
    return layer.rounded() if isinstance(layer, LinearInBfloat16) else layer.weight


def _linear(layer: nn.Linear, inputs: Tensor) -> Tensor:
    return functional.linear(inputs, layer.weight, layer.bias)


def _outputs(layer: nn.Module, inputs: Tensor) -> list[Tensor]:
    """Computes the parts of a last layer's outputs, in their order."""
    if isinstance(layer, MeansAndDeviations):
        mean = _linear(layer.mean, inputs)
        return [mean, layer.log_std.expand_as(mean)]
    assert isinstance(layer, nn.Linear)
    return [_linear(layer, inputs)]


def _backward(
    layer: nn.Module,
    inputs: Tensor,
    of_outputs: Tensor,
    of_inputs: Tensor,
    into: Mapping[Tensor, Tensor],
) -> None:
    """Writes the gradients of a last layer and that of its inputs."""
    if isinstance(layer, MeansAndDeviations):
        of_outputs, of_log_std = of_outputs.chunk(2, dim=1)
        torch.sum(of_log_std, dim=0, out=into[layer.log_std])
        layer = layer.mean
    assert isinstance(layer, nn.Linear)
    _write(layer, inputs, of_outputs, into)
    torch.mm(of_outputs, layer.weight, out=of_inputs)


def _write(
    layer: nn.Linear, inputs: Tensor, of_outputs: Tensor, into: Mapping[Tensor, Tensor]
) -> None:
    """Writes the gradients of a layer, from its inputs and the gradient of its outputs."""
    of_weight, of_bias = into[layer.weight], into[layer.bias]
    if inputs.dtype == of_weight.dtype:
        torch.mm(of_outputs.t(), inputs, out=of_weight)
        torch.sum(of_outputs, dim=0, out=of_bias)
    else:
        of_weight.copy_(of_outputs.t() @ inputs)
        of_bias.copy_(of_outputs.sum(dim=0))
