"""The loss of proximal policy optimisation (Schulman et al. 2017) and its gradient.

The gradient is written out: autograd would record some fifty operations on a few hundred numbers
each, whose bookkeeping costs more than their arithmetic.

Shapes: M steps, O outputs of the network, K branches of an action.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from neroRL.models.distributions.interface import Distribution
from neroRL.models.heads import split
from neroRL.models.transfer import on_device


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


class Terms(NamedTuple):
    """The parts of the loss of a mini batch, step by step.

    Attributes:
        objective: clipped surrogate objective (equation 7), shape (M, K).
        errors: squared, of the values, clipped or not, shape (M,).
        entropy: summed over branches, shape (M,).
        log_ratio: of the new and the old probability of the actions, shape (M, K).
    """

    objective: Tensor
    errors: Tensor
    entropy: Tensor
    log_ratio: Tensor


class Means(NamedTuple):
    """Means over the steps of mini batches; each mini batch weighs the same.

    Attributes:
        policy: the clipped surrogate objective.
        value: the squared error of the value.
        entropy: summed over branches.
        kl_divergence: of the new policy from the old one, estimated by mean(ratio - 1 - log ratio)
            (Schulman 2020, "Approximating KL divergence").
        clip_fraction: share of ratios outside the clip range.
    """

    policy: Tensor
    value: Tensor
    entropy: Tensor
    kl_divergence: Tensor
    clip_fraction: Tensor


def ppo_loss(
    outputs: Tensor, distribution: Distribution, taken: Taken, coefficients: Coefficients
) -> tuple[Tensor, Terms]:
    """Computes the gradient of the loss of a mini batch, and the terms of the loss.

    The loss is -(objective - value coefficient · error + beta · entropy), averaged over the steps.

    Args:
        outputs: of the network that is optimised, shape (M, O).
        distribution: of the actions.
        taken: the steps.
        coefficients: of the terms.

    Returns:
        The gradient with respect to the outputs, shape (M, O), and the terms.
    """
    outputs = outputs.detach()
    gradient = torch.empty_like(outputs)
    parameters, values = split(outputs)
    d_parameters, d_values = split(gradient)
    errors = _value(values, taken, coefficients, d_values)
    evaluated = distribution.at(parameters, taken.actions)
    log_ratio = evaluated.log_probs - taken.log_probs
    ratio = log_ratio.exp()
    clip_range = coefficients.clip_range
    advantages = taken.advantages[:, None]
    free = ratio * advantages
    clipped = ratio.clamp(1.0 - clip_range, 1.0 + clip_range) * advantages
    # The clipped objective is constant where it is the smaller one.
    d_log_probs = (free * (free <= clipped)).div_(-free.numel())
    evaluated.write_gradient(d_log_probs, -coefficients.beta / len(parameters), d_parameters)
    terms = Terms(torch.minimum(free, clipped), errors, evaluated.entropy(), log_ratio)
    return gradient, terms


def means(batches: Sequence[Terms], clip_range: float) -> Means:
    """Averages the terms of mini batches.

    For all of an epoch at once: a mean takes as long for a mini batch of 64 steps as for thousands.
    """
    objective, errors, entropy, log_ratio = map(torch.cat, zip(*batches, strict=True))
    change = log_ratio.exp() - 1.0
    outside = (change.abs() > clip_range).to(change.dtype)
    of_branches = torch.stack((objective, change - log_ratio, outside)).mean(dim=2)
    of_steps = torch.cat((of_branches, torch.stack((errors, entropy))))
    sizes = np.array([len(batch.errors) for batch in batches])
    weights = np.repeat(1.0 / (sizes * len(sizes)), sizes)
    # Not a product with a vector, whose sums in float32 lose digits with the number of steps.
    weighted = of_steps * on_device(weights, of_steps.device).to(of_steps.dtype)
    policy, divergence, clip_fraction, value, of_policy = weighted.sum(dim=1).unbind()
    return Means(policy, value, of_policy, divergence, clip_fraction)


def _value(values: Tensor, taken: Taken, coefficients: Coefficients, d_values: Tensor) -> Tensor:
    """Computes the squared errors, shape (M,); writes the loss's gradient."""
    error = values - taken.returns
    scale = 2.0 * coefficients.value / len(values)
    if not coefficients.clip_value_loss:
        torch.mul(error, scale, out=d_values)
        return error.square()
    change = values - taken.values
    clip_range = coefficients.clip_range
    clipped_error = taken.values + change.clamp(-clip_range, clip_range) - taken.returns
    square, clipped_square = error.square(), clipped_error.square()
    # Where the clipped error is greater, it is constant, but for rounding within the clip range.
    moves = (square >= clipped_square) | (change.abs() <= clip_range)
    torch.mul(error, moves, out=d_values).mul_(scale)
    return torch.maximum(square, clipped_square)
