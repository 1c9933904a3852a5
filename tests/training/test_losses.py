"""Compares the written-out gradient of PPO's loss with autograd's for the equations."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from neroRL.models.distributions.categorical import Categoricals
from neroRL.training.losses import Coefficients, Means, Taken, Terms, means, ppo_loss

COEFFICIENTS = Coefficients(clip_range=0.2, beta=0.03, value=0.7, clip_value_loss=True)


def _taken(outputs, choices, generator, spread):
    """Draws steps whose log-probabilities and values lie around those of the outputs."""
    steps = len(outputs)
    actions = torch.stack([torch.randint(n, (steps,), generator=generator) for n in choices], 1)
    now = Categoricals(choices).at(outputs[:, :-1].detach(), actions).log_probs

    def around(centre):
        noise = torch.randn(centre.shape, generator=generator, dtype=torch.float64)
        return centre + spread * noise

    advantages = torch.randn(steps, generator=generator, dtype=torch.float64)
    values = around(outputs[:, -1].detach())
    return Taken(actions, around(now), values, advantages, values + advantages)


def _by_autograd(outputs, choices, taken, clip_value_loss):
    low, high = 1 - COEFFICIENTS.clip_range, 1 + COEFFICIENTS.clip_range
    surrogates, entropies, ratios = [], [], []
    for branch, logits in enumerate(outputs[:, :-1].split(choices, dim=1)):
        policy = torch.distributions.Categorical(logits=logits)
        change = policy.log_prob(taken.actions[:, branch]) - taken.log_probs[:, branch]
        ratio = change.exp()
        ratios.append(ratio)
        surrogates.append(
            torch.min(ratio * taken.advantages, ratio.clamp(low, high) * taken.advantages)
        )
        entropies.append(policy.entropy())
    values, clip_range = outputs[:, -1], COEFFICIENTS.clip_range
    near = taken.values + (values - taken.values).clamp(-clip_range, clip_range)
    worse = functional.mse_loss(values, taken.returns, reduction="none")
    if clip_value_loss:
        worse = torch.max(worse, functional.mse_loss(near, taken.returns, reduction="none"))
    policy, entropy = torch.stack(surrogates).mean(), torch.stack(entropies).sum(0).mean()
    loss = -(policy - COEFFICIENTS.value * worse.mean() + COEFFICIENTS.beta * entropy)
    (gradient,) = torch.autograd.grad(loss, outputs)
    ratio = torch.stack(ratios)
    outside = (ratio < low) | (ratio > high)
    divergence = (ratio - 1 - ratio.log()).mean()
    return gradient, Means(policy, worse.mean(), entropy, divergence, outside.double().mean())


@pytest.mark.parametrize("choices", [(2,), (7,), (3, 2, 4)])
@pytest.mark.parametrize("spread", [0.0, 0.05, 0.5])
@pytest.mark.parametrize("clip_value_loss", [True, False])
def test_loss_and_gradient(choices, spread, clip_value_loss):
    """A spread of 0 gives ratios of 1, as in the first mini batch; 0.5 clips most of them."""
    generator = torch.Generator().manual_seed(4)
    outputs = torch.randn(200, sum(choices) + 1, generator=generator, dtype=torch.float64)
    outputs.requires_grad_()
    taken = _taken(outputs, choices, generator, spread)
    coefficients = COEFFICIENTS._replace(clip_value_loss=clip_value_loss)
    gradient, terms = ppo_loss(outputs, Categoricals(choices), taken, coefficients)
    by_autograd, expected = _by_autograd(outputs, choices, taken, clip_value_loss)
    torch.testing.assert_close(gradient, by_autograd, atol=1e-13, rtol=1e-11)
    loss = means([terms], COEFFICIENTS.clip_range)
    for ours, theirs in zip(loss, expected, strict=True):
        torch.testing.assert_close(ours, theirs.detach(), atol=1e-13, rtol=1e-11)
    assert (float(loss.clip_fraction) > 0.5) == (spread == 0.5)


def test_each_mini_batch_weighs_the_same():
    """Of 7 steps and of 20, in three branches."""
    choices = (3, 2, 4)
    generator = torch.Generator().manual_seed(4)
    each, together = [], []
    for steps in (7, 20):
        outputs = torch.randn(steps, sum(choices) + 1, generator=generator, dtype=torch.float64)
        outputs.requires_grad_()
        taken = _taken(outputs, choices, generator, 0.3)
        together.append(ppo_loss(outputs, Categoricals(choices), taken, COEFFICIENTS)[1])
        each.append(_by_autograd(outputs, choices, taken, clip_value_loss=True)[1])
    for ours, first, second in zip(means(together, 0.2), *each, strict=True):
        torch.testing.assert_close(ours, (first + second).detach() / 2, atol=1e-13, rtol=1e-11)
        assert (first - second).detach().abs() > 1e-3


def test_means_of_many_steps_are_exact_to_float32():
    generator = torch.Generator().manual_seed(4)
    batches = []
    for _ in range(8):
        ratio, errors, entropy = torch.rand((3, 100_000), generator=generator)
        terms = Terms(ratio[:, None], errors, 3.0 + entropy, ratio[:, None] - 0.5)
        batches.append(terms)
    exact = means([Terms(*(term.double() for term in terms)) for terms in batches], 0.2)
    for ours, theirs in zip(means(batches, 0.2), exact, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-6, atol=0)


def test_clipped_steps_get_no_gradient():
    """Ratios of 2 and of 1/2 each meet a positive and a negative advantage."""
    distribution = Categoricals((2,))
    outputs = torch.zeros(4, 3, dtype=torch.float64)
    half = torch.log(torch.tensor(0.5, dtype=torch.float64))
    old = torch.tensor([0.25, 0.25, 1.0, 1.0], dtype=torch.float64).log()[:, None]
    advantages = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
    values = torch.zeros(4, dtype=torch.float64)
    actions = torch.zeros(4, 1, dtype=torch.int64)
    taken = Taken(actions, old, values, advantages, values)
    coefficients = Coefficients(0.2, 0.0, 0.0, clip_value_loss=True)
    gradient, terms = ppo_loss(outputs, distribution, taken, coefficients)
    assert distribution.at(outputs[:, :-1], actions).log_probs[0].item() == half
    # The mean over four steps of ratio * advantage * (1 - p) where the objective is not clipped.
    expected = torch.tensor([0.0, 2 * 0.5 / 4, -0.5 * 0.5 / 4, 0.0], dtype=torch.float64)
    torch.testing.assert_close(gradient[:, 0], expected)
    torch.testing.assert_close(gradient[:, 1], -expected)
    loss = means([terms], 0.2)
    assert loss.clip_fraction.item() == 1.0
    assert loss.policy.item() == pytest.approx((1.2 - 2.0 + 0.5 - 0.8) / 4)
