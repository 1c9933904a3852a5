"""The loss of proximal policy optimisation (Schulman et al. 2017) and its gradient.

The gradient is written out: autograd would record some fifty operations on a few hundred numbers
each, whose bookkeeping costs more than their arithmetic.

Shapes: M steps, O outputs of the network, K branches of an action.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

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
        clip_range: of ratios, and of value changes if the value loss is clipped.
        beta: coefficient of the entropy.
        value: coefficient of the value loss.
        clip_value_loss: whether it is.
    """

    clip_range: float
    beta: float
    value: float
    clip_value_loss: bool


class Loss(NamedTuple):
    """The loss of a mini batch, -(policy - value coefficient · value + beta · entropy).

    Attributes:
        gradient: of the loss with respect to the outputs, shape (M, O).
        policy: the clipped surrogate objective (equation 7), a number like all that follow.
        value: the squared error of the value, clipped or not.
        entropy: mean over steps, summed over branches.
        kl_divergence: of the new policy from the old one, estimated by mean(ratio - 1 - log ratio)
            (Schulman 2020, "Approximating KL divergence").
        clip_fraction: share of ratios outside the clip range.
    """

    gradient: Tensor
    policy: Tensor
    value: Tensor
    entropy: Tensor
    kl_divergence: Tensor
    clip_fraction: Tensor


def ppo_loss(
    outputs: Tensor, distribution: Distribution, taken: Taken, coefficients: Coefficients
) -> Loss:
    """Computes the parts of the loss of a mini batch, and its gradient.

    Args:
        outputs: of the network that is optimised, shape (M, O).
        distribution: of the actions.
        taken: the steps.
        coefficients: of the parts.
    """
    outputs = outputs.detach()
    gradient = torch.empty_like(outputs)
    parameters, values = split(outputs)
    d_parameters, d_values = split(gradient)
    policy, *others = _policy(parameters, distribution, taken, coefficients, d_parameters)
    return Loss(gradient, policy, _value(values, taken, coefficients, d_values), *others)


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
    if not coefficients.clip_value_loss:
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
