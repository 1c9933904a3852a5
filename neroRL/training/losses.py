"""The loss of proximal policy optimisation (Schulman et al. 2017) and its gradient.

The gradient is written out: autograd would record some fifty operations on a few hundred numbers
each, whose bookkeeping costs more than their arithmetic.

Shapes: M steps, O outputs of the network, K branches of an action.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from neroRL.models.distribution import Distribution
from neroRL.models.heads import split


class Taken(NamedTuple):
    """The recorded data of the steps of a mini batch.

    Attributes:
        actions: shape (M, …).
        log_probs: of the actions under the policy that took them, shape (M, K).
        values: under that policy, shape (M,).
        advantages: normalised or not, shape (M,).
        returns: values plus advantages before normalisation, shape (M,).
    """

    actions: Tensor
    log_probs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor


class Coefficients(NamedTuple):
    """The weights of the parts of the loss.

    Attributes:
        clip_range: of ratios and of value changes.
        beta: coefficient of the entropy.
        value: coefficient of the value loss.
        clip_values: whether the value loss is the clipped one.
    """

    clip_range: float
    beta: float
    value: float
    clip_values: bool = True


class Loss(NamedTuple):
    """The loss of a mini batch.

    Attributes:
        loss: -(policy - value coefficient · value + beta · entropy), a number.
        parts: carry no gradient, shape (6,): the loss; the policy's clipped surrogate objective
            (equation 7); the squared error of the value, clipped or not; the entropy, mean over
            steps, summed over branches; the divergence of the new policy from the old one,
            estimated by mean(ratio - 1 - log ratio) (Schulman 2020, "Approximating KL divergence");
            how many ratios are outside the clip range.
    """

    loss: Tensor
    parts: Tensor


def ppo_loss(
    outputs: Tensor, distribution: Distribution, taken: Taken, coefficients: Coefficients
) -> Loss:
    """Computes the loss of a mini batch, differentiable in the outputs.

    Args:
        outputs: of the network that is optimised, shape (M, O).
        distribution: of the actions.
        taken: the steps.
        coefficients: of the parts.
    """
    loss, parts = _PpoLoss.apply(outputs, distribution, taken, coefficients)  # type: ignore[no-untyped-call]
    return Loss(loss, parts)


class _PpoLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        outputs: Tensor,
        distribution: Distribution,
        taken: Taken,
        coefficients: Coefficients,
    ) -> tuple[Tensor, Tensor]:
        d_outputs = torch.empty_like(outputs)
        parameters, values = split(outputs)
        d_parameters, d_values = split(d_outputs)
        policy_parts = _policy(parameters, distribution, taken, coefficients, d_parameters)
        policy, entropy, kl_divergence, clip_fraction = policy_parts
        value = _value(values, taken, coefficients, d_values)
        loss = coefficients.value * value - policy - coefficients.beta * entropy
        ctx.save_for_backward(d_outputs)
        parts = torch.stack((loss, policy, value, entropy, kl_divergence, clip_fraction))
        ctx.mark_non_differentiable(parts)
        return loss, parts

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_loss: Tensor, _: Tensor) -> tuple[Tensor, None, None, None]:
        (d_outputs,) = ctx.saved_tensors
        return d_outputs * d_loss, None, None, None


def _policy(
    parameters: Tensor,
    distribution: Distribution,
    taken: Taken,
    coefficients: Coefficients,
    d_parameters: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Computes objective, entropy, divergence and clip fraction; writes the loss's gradient."""
    evaluated = distribution.at(parameters, taken.actions)
    log_ratio = evaluated.log_probs - taken.log_probs
    ratio = log_ratio.exp()
    change = ratio - 1.0
    clip_range = coefficients.clip_range
    advantages = taken.advantages[:, None]
    free = ratio * advantages
    clipped = ratio.clamp(1.0 - clip_range, 1.0 + clip_range) * advantages
    # The clipped objective is constant where it is the smaller one.
    d_log_probs = free * (free <= clipped) / -free.numel()
    evaluated.write_gradient(d_log_probs, -coefficients.beta / len(parameters), d_parameters)
    return (
        torch.minimum(free, clipped).mean(),
        evaluated.entropy().mean(),
        (change - log_ratio).mean(),
        (change.abs() > clip_range).to(ratio.dtype).mean(),
    )


def _value(values: Tensor, taken: Taken, coefficients: Coefficients, d_values: Tensor) -> Tensor:
    """Computes the squared error; writes the loss's gradient."""
    error = values - taken.returns
    scale = 2.0 * coefficients.value / len(values)
    if not coefficients.clip_values:
        torch.mul(error, scale, out=d_values)
        return error.square().mean()
    change = values - taken.values
    clip_range = coefficients.clip_range
    clipped_error = taken.values + change.clamp(-clip_range, clip_range) - taken.returns
    square, clipped_square = error.square(), clipped_error.square()
    # Where the clipped error is greater, it is constant, but for rounding within the clip range.
    moves = (square >= clipped_square) | (change.abs() <= clip_range)
    torch.mul(error, moves, out=d_values).mul_(scale)
    return torch.maximum(square, clipped_square).mean()
