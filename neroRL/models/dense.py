"""Networks of dense layers alone, with their gradients written out.

For small mini batches autograd's records cost as much as the arithmetic. Here are the same products
and sums in the same order, so on a CPU the gradients are those of autograd, bit for bit.

Shapes: M rows, I numbers of an observation, O outputs.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from neroRL.models.actor_critic import ActorCritic
from neroRL.models.distributions import MeansAndDeviations
from neroRL.models.memory.none import NoMemory


class DenseNetwork:
    """The outputs and gradients of a network that has rectified dense layers and no memory.

    >>> from neroRL.config.schema import ModelConfig
    >>> from neroRL.environments.specification import Continuous, EnvironmentSpec
    >>> shapes = EnvironmentSpec(None, "uint8", 3, Continuous((-1.0,), (1.0,)))
    >>> model = ActorCritic(ModelConfig(num_hidden_units=8), shapes)
    >>> network = DenseNetwork.of(model)
    >>> outputs = network.outputs(torch.ones(5, 3))
    >>> outputs.shape, outputs.requires_grad
    (torch.Size([5, 3]), False)
    >>> network.backward(torch.ones_like(outputs))
    >>> model.heads.value.bias.grad
    tensor([5.])

    Args:
        model: such a network.
    """

    def __init__(self, model: ActorCritic) -> None:
        self._heads = model.heads
        parts = [model.encoder.vector, model.hidden, model.heads.hidden]
        self._rectified = [
            layer
            for part in parts
            if part is not None
            for layer in part.modules()
            if isinstance(layer, nn.Linear)
        ]
        self._weights = [layer.weight.detach().t() for layer in self._rectified]
        self._inputs: list[Tensor] = []  # of each rectified layer, then of the heads

    @classmethod
    def of(cls, model: ActorCritic) -> Self | None:
        """Returns a model as such a network, or None if it has other layers."""
        modules = list(model.modules())
        known = (nn.Linear, nn.ReLU, nn.Sequential, nn.Identity, NoMemory, MeansAndDeviations)
        parts = (model, model.encoder, model.heads)
        plain = all(type(module) in known for module in modules if module not in parts)
        compiled = any(module._compiled_call_impl is not None for module in modules)
        return cls(model) if plain and not compiled and model.encoder.visual is None else None

    def freeze(self) -> None:
        """Prepares for many outputs of few rows, while no weight changes.

        The weights are copied into the order in which a product of few rows reads them. The
        outputs may differ in their last bits.
        """
        self._weights = [weight.contiguous() for weight in self._weights]

    @torch.no_grad()
    def outputs(self, vectors: Tensor) -> Tensor:
        """Computes the outputs (M, O) of observations (M, I)."""
        self._inputs = [vectors]
        for layer, weight in zip(self._rectified, self._weights, strict=True):
            self._inputs.append(torch.addmm(layer.bias, self._inputs[-1], weight).relu_())
        for_policy, for_value = self._inputs[-1].chunk(2, dim=1)
        of_policy = _outputs(self._heads.policy, for_policy)
        return torch.cat((*of_policy, _linear(self._heads.value, for_value)), dim=1)

    @torch.no_grad()
    def backward(self, gradient: Tensor) -> None:
        """Replaces the gradients of all parameters.

        Args:
            gradient: of the loss with respect to the outputs computed last, shape (M, O).
        """
        for_policy, for_value = self._inputs[-1].chunk(2, dim=1)
        of_hidden = torch.empty_like(self._inputs[-1])
        of_policy, of_value = of_hidden.chunk(2, dim=1)
        _backward(self._heads.policy, for_policy, gradient[:, :-1], of_policy)
        _backward(self._heads.value, for_value, gradient[:, -1:], of_value)
        for number, layer in reversed(list(enumerate(self._rectified))):
            activations = self._inputs[number + 1]
            torch.ops.aten.threshold_backward.grad_input(
                of_hidden, activations, 0.0, grad_input=of_hidden
            )
            _write_gradients(layer, self._inputs[number], of_hidden)
            if number > 0:
                of_hidden = of_hidden @ layer.weight


def _linear(layer: nn.Linear, inputs: Tensor) -> Tensor:
    return functional.linear(inputs, layer.weight, layer.bias)


def _outputs(layer: nn.Module, inputs: Tensor) -> list[Tensor]:
    """Computes the parts of a last layer's outputs, in their order."""
    if isinstance(layer, MeansAndDeviations):
        mean = _linear(layer.mean, inputs)
        return [mean, layer.log_std.expand_as(mean)]
    assert isinstance(layer, nn.Linear)
    return [_linear(layer, inputs)]


def _backward(layer: nn.Module, inputs: Tensor, of_outputs: Tensor, of_inputs: Tensor) -> None:
    """Replaces the gradients of a last layer and writes that of its inputs."""
    if isinstance(layer, MeansAndDeviations):
        of_outputs, of_log_std = of_outputs.chunk(2, dim=1)
        layer.log_std.grad = of_log_std.sum(dim=0)
        layer = layer.mean
    assert isinstance(layer, nn.Linear)
    _write_gradients(layer, inputs, of_outputs)
    torch.mm(of_outputs, layer.weight, out=of_inputs)


def _write_gradients(layer: nn.Linear, inputs: Tensor, of_outputs: Tensor) -> None:
    weight, bias = layer.weight, layer.bias
    if weight.grad is None or bias.grad is None:
        weight.grad, bias.grad = torch.empty_like(weight), torch.empty_like(bias)
    torch.mm(of_outputs.t(), inputs, out=weight.grad)
    torch.sum(of_outputs, dim=0, out=bias.grad)
