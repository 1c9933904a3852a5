"""The loss of proximal policy optimisation (Schulman et al. 2017) and its gradient.

The gradient is written out: autograd would record some fifty operations on a few hundred numbers
each, whose bookkeeping costs more than their arithmetic.

Shapes: M steps, O outputs (the logits of all action branches side by side, then the value).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Taken(NamedTuple):
    """What an update knows of steps that were taken.

    Attributes:
        actions: shape (M, branches).
        log_probs: of the actions under the policy that took them, shape (M, branches).
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
    """What weighs the parts of the loss.

    Attributes:
        clip_range: of ratios and of value changes.
        beta: coefficient of the entropy.
        value: coefficient of the value loss.
    """

    clip_range: float
    beta: float
    value: float


class Loss(NamedTuple):
    """The loss of a mini batch.

    Attributes:
        loss: -(policy - value coefficient · value + beta · entropy), a number.
        parts: carry no gradient, shape (6,): the loss; the policy's clipped surrogate objective
            (equation 7); the clipped squared error of the value; the entropy, mean over steps,
            summed over branches; the divergence of the new policy from the old one, estimated by
            mean(ratio - 1 - log ratio) (Schulman 2020, "Approximating KL divergence"); how many
            ratios are outside the clip range.
    """

    loss: Tensor
    parts: Tensor


def log_probabilities(logits: Tensor, choices: tuple[int, ...], actions: Tensor) -> Tensor:
    """Log-probabilities of actions, shape (M, branches).

    Args:
        logits: of all branches side by side, shape (M, sum of choices).
        choices: number of choices of each branch.
        actions: shape (M, branches).
    """
    return _of_actions(_log_policies(logits, choices), actions)


def ppo_loss(
    outputs: Tensor, choices: tuple[int, ...], taken: Taken, coefficients: Coefficients
) -> Loss:
    """The loss of a mini batch; differentiable in the outputs.

    Args:
        outputs: of the network that is optimised, shape (M, O).
        choices: number of choices of each branch.
        taken: the steps.
        coefficients: of the parts.
    """
    loss, parts = _PpoLoss.apply(outputs, choices, taken, coefficients)  # type: ignore[no-untyped-call]
    return Loss(loss, parts)


class _PpoLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        outputs: Tensor,
        choices: tuple[int, ...],
        taken: Taken,
        coefficients: Coefficients,
    ) -> tuple[Tensor, Tensor]:
        d_outputs = torch.empty_like(outputs)
        policy_parts = _policy(outputs[:, :-1], choices, taken, coefficients, d_outputs[:, :-1])
        policy, entropy, kl_divergence, clip_fraction = policy_parts
        value = _value(outputs[:, -1], taken, coefficients, d_outputs[:, -1])
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
    logits: Tensor,
    choices: tuple[int, ...],
    taken: Taken,
    coefficients: Coefficients,
    d_logits: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Objective, entropy, divergence and clip fraction; writes the loss's gradient."""
    branches = _log_policies(logits, choices)
    log_ratio = _of_actions(branches, taken.actions) - taken.log_probs
    ratio = log_ratio.exp()
    change = ratio - 1.0
    clip_range = coefficients.clip_range
    advantages = taken.advantages[:, None]
    free = ratio * advantages
    clipped = ratio.clamp(1.0 - clip_range, 1.0 + clip_range) * advantages
    # Where the clipped objective is less, it is constant.
    d_log_probs = free * (free <= clipped) / -free.numel()
    share = coefficients.beta / len(logits)
    entropy: Tensor | float = 0.0
    parts = d_logits.split(choices, dim=1)
    for i, (log_p, d_branch) in enumerate(zip(branches, parts, strict=True)):
        p = log_p.exp()
        of_branch = (p * log_p).sum(dim=1, keepdim=True).neg_()
        entropy = entropy + of_branch
        d_taken = d_log_probs[:, i : i + 1]
        # Of log softmax: 1 - p for the action, -p for others; of the entropy: -p (log p + H).
        torch.mul(p, (log_p + of_branch).mul_(share).sub_(d_taken), out=d_branch)
        d_branch.scatter_add_(1, taken.actions[:, i : i + 1], d_taken)
    assert isinstance(entropy, Tensor)
    return (
        torch.minimum(free, clipped).mean(),
        entropy.mean(),
        (change - log_ratio).mean(),
        (change.abs() > clip_range).to(ratio.dtype).mean(),
    )


def _value(values: Tensor, taken: Taken, coefficients: Coefficients, d_values: Tensor) -> Tensor:
    """The clipped squared error; writes the loss's gradient."""
    change = values - taken.values
    clip_range = coefficients.clip_range
    error = values - taken.returns
    clipped_error = taken.values + change.clamp(-clip_range, clip_range) - taken.returns
    square, clipped_square = error.square(), clipped_error.square()
    # Where the clipped error is greater, it is constant, but for rounding within the clip range.
    moves = (square >= clipped_square) | (change.abs() <= clip_range)
    torch.mul(error, moves, out=d_values).mul_(2.0 * coefficients.value / len(values))
    return torch.maximum(square, clipped_square).mean()


def _log_policies(logits: Tensor, choices: tuple[int, ...]) -> list[Tensor]:
    return [branch.log_softmax(dim=1) for branch in logits.split(choices, dim=1)]


def _of_actions(branches: list[Tensor], actions: Tensor) -> Tensor:
    of_actions = [log_p.gather(1, actions[:, i : i + 1]) for i, log_p in enumerate(branches)]
    return of_actions[0] if len(of_actions) == 1 else torch.cat(of_actions, dim=1)
