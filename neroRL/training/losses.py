"""The loss of proximal policy optimisation (Schulman et al. 2017).

Shapes: M steps, O outputs, one column for each action branch.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class LogProbabilities(NamedTuple):
    """Log-probabilities of a policy.

    Attributes:
        taken: of the actions taken, shape (M, branches).
        entropy: of the policy, summed over branches, shape (M,).
    """

    taken: Tensor
    entropy: Tensor


class Losses(NamedTuple):
    """The loss to minimise and what it is made of; each a number.

    Attributes:
        loss: -(policy - value_coefficient · value + beta · entropy).
        policy: the clipped surrogate objective, equation 7.
        value: the clipped squared error.
        entropy: mean over steps, summed over branches.
        kl_divergence: of the new policy from the old one, estimated by mean(ratio - 1 - log ratio)
            (Schulman 2020, "Approximating KL divergence").
        clip_fraction: how many ratios are outside the clip range.
    """

    loss: Tensor
    policy: Tensor
    value: Tensor
    entropy: Tensor
    kl_divergence: Tensor
    clip_fraction: Tensor


def log_probabilities(logits: Tensor, actions: tuple[int, ...], taken: Tensor) -> LogProbabilities:
    """Log-probabilities of actions, and the entropy.

    Args:
        logits: of all branches side by side, shape (M, sum of choices).
        actions: number of choices of each branch.
        taken: the actions, shape (M, branches).
    """
    branches = [branch.log_softmax(dim=1) for branch in logits.split(actions, dim=1)]
    of_taken = [log.gather(1, taken[:, i : i + 1]) for i, log in enumerate(branches)]
    entropies = [-(log.exp() * log).sum(dim=1) for log in branches]
    return LogProbabilities(torch.cat(of_taken, dim=1), torch.stack(entropies).sum(dim=0))


def ppo_losses(
    new: LogProbabilities,
    values: Tensor,
    old_log_probs: Tensor,
    old_values: Tensor,
    advantages: Tensor,
    returns: Tensor,
    *,
    clip_range: float,
    beta: float,
    value_coefficient: float,
) -> Losses:
    """The loss of a mini batch.

    Args:
        new: log-probabilities under the policy that is optimised.
        values: shape (M,).
        old_log_probs: of the actions under the policy that took them, shape (M, branches).
        old_values: shape (M,).
        advantages: normalised or not, shape (M,).
        returns: old values plus advantages before normalisation, shape (M,).
        clip_range: of ratios and of value changes.
        beta: coefficient of the entropy.
        value_coefficient: of the value loss.
    """
    log_ratio = new.taken - old_log_probs
    ratio = log_ratio.exp()
    advantages = advantages[:, None]
    clipped = ratio.clamp(1.0 - clip_range, 1.0 + clip_range)
    policy = torch.min(ratio * advantages, clipped * advantages).mean()
    near = old_values + (values - old_values).clamp(-clip_range, clip_range)
    value = torch.max((values - returns).square(), (near - returns).square()).mean()
    entropy = new.entropy.mean()
    loss = -(policy - value_coefficient * value + beta * entropy)
    with torch.no_grad():
        kl_divergence = (ratio - 1.0 - log_ratio).mean()
        clip_fraction = ((ratio - 1.0).abs() > clip_range).to(ratio.dtype).mean()
    return Losses(loss, policy, value, entropy, kl_divergence, clip_fraction)
