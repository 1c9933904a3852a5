"""Norms of gradients, and their clipping."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neroRL.models.actor_critic import ActorCritic

EPSILON = 1e-6


def clip_gradients(parameters: Sequence[nn.Parameter], most: float) -> Tensor:
    """Scales gradients in place so that their global norm is at most ``most``.

    It equals ``torch.nn.utils.clip_grad_norm_`` bit for bit, in half of the time: on a CPU that
    calls each operation for each gradient from Python.

    Args:
        parameters: with or without gradients, on one device.
        most: largest norm (Pascanu et al. 2013).

    Returns:
        The norm before, a number.

    >>> weight = nn.Parameter(torch.zeros(2))
    >>> weight.grad = torch.tensor([3.0, 4.0])
    >>> clip_gradients([weight], 1.0), weight.grad
    (tensor(5.), tensor([0.6000, 0.8000]))
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm: Tensor = torch.stack(torch._foreach_norm(gradients)).norm()
    factor = (most / (norm + EPSILON)).clamp(max=1.0)
    if not _quick_to_read(factor) or factor != 1.0:
        torch._foreach_mul_(gradients, factor)
    return norm


def _quick_to_read(number: Tensor) -> bool:
    """Returns whether reading a number does not wait for a device."""
    return number.device.type == "cpu"


def gradient_norms(model: ActorCritic) -> dict[str, Tensor]:
    """Computes the norm of the gradient of each module that has weights.

    Args:
        model: with the gradients of a backward pass.

    Returns:
        A number on the model's device for each, under the names of the original neroRL.
    """
    heads = model.heads
    of_policy, of_value = zip(
        *(gradient.chunk(2) for gradient in _gradients(heads.hidden)), strict=True
    )
    parts = {
        "vis_encoder": _gradients(model.encoder.visual, model.encoder.dense),
        "vec_encoder": _gradients(model.encoder.vector),
        model.memory.name: _gradients(model.memory),
        "body": _gradients(model.hidden),
        "actor_head": [*of_policy, *_gradients(heads.policy)],
        "critic_head": [*of_value, *_gradients(heads.value)],
    }
    return {name: _norm(gradients) for name, gradients in parts.items() if gradients}


def _gradients(*modules: nn.Module | None) -> list[Tensor]:
    parameters = [p for module in modules if module is not None for p in module.parameters()]
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def _norm(gradients: Sequence[Tensor]) -> Tensor:
    norm: Tensor = torch.stack([gradient.norm() for gradient in gradients]).norm()
    return norm
