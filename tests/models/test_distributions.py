"""Tests samples, probabilities and gradients of distributions, and that others can be added."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from neroRL.config.checks import build
from neroRL.environments.specification import Continuous
from neroRL.errors import Diverged
from neroRL.models import actor_critic
from neroRL.models.distributions.bernoulli import Bernoullis
from neroRL.models.distributions.categorical import Categoricals
from neroRL.models.distributions.gaussian import Gaussian
from neroRL.models.distributions.interface import Distribution, Evaluated
from neroRL.models.distributions.mixed import SideBySide
from neroRL.training import checkpoint as checkpoints
from neroRL.training.losses import Coefficients, Taken, means, ppo_loss
from neroRL.training.trainer import train

DOUBLE = torch.float64


@pytest.mark.parametrize("choices", [(4,), (3, 2, 5)])
def test_categoricals_are_those_of_torch(choices):
    generator = torch.Generator().manual_seed(1)
    distribution = Categoricals(choices)
    logits = torch.randn(50, sum(choices), generator=generator, dtype=DOUBLE)
    noise = distribution.noise(1, 50, generator, DOUBLE)[0]
    actions = distribution.sample(logits, noise)
    assert actions.shape == (50, distribution.branches) == (50, len(choices))
    evaluated = distribution.at(logits, actions)
    theirs = [torch.distributions.Categorical(logits=part) for part in logits.split(choices, 1)]
    log_probs = [one.log_prob(actions[:, i]) for i, one in enumerate(theirs)]
    torch.testing.assert_close(evaluated.log_probs, torch.stack(log_probs, dim=1))
    entropies = torch.stack([one.entropy() for one in theirs]).sum(0)
    torch.testing.assert_close(evaluated.entropy(), entropies)
    assert distribution.for_environment(actions).dtype == np.int64
    modes = distribution.mode(logits)
    for i, one in enumerate(theirs):
        assert torch.equal(modes[:, i], one.mode)
        torch.testing.assert_close(distribution.probabilities(logits)[i], one.probs)


def _gaussian(generator):
    distribution = Gaussian(Continuous((-1.0, -math.inf, 0.0), (1.0, math.inf, 0.5)), -0.3)
    parameters = torch.randn(50, distribution.size, generator=generator, dtype=DOUBLE)
    return (
        distribution,
        parameters,
        lambda: torch.distributions.Normal(parameters[:, :3], parameters[:, 3:].exp()),
    )


def _bernoullis(generator):
    distribution = Bernoullis(3)
    logits = 4.0 * torch.randn(50, distribution.size, generator=generator, dtype=DOUBLE)
    return distribution, logits, lambda: torch.distributions.Bernoulli(logits=logits)


@pytest.mark.parametrize("make", [_gaussian, _bernoullis])
def test_numbers_and_bits_are_those_of_torch(make):
    """Compares log-probabilities, entropies, the loss and its gradient with autograd's."""
    generator = torch.Generator().manual_seed(1)
    distribution, parameters, of_torch = make(generator)
    noise = distribution.noise(1, 50, generator, DOUBLE)[0]
    actions = distribution.sample(parameters, noise)
    parameters.requires_grad_()
    theirs = of_torch()
    log_probs = theirs.log_prob(actions.double())
    entropy = theirs.entropy().sum(1)
    if distribution.branches == 1:  # of a Gaussian
        log_probs = log_probs.sum(1, keepdim=True)
    evaluated = distribution.at(parameters, actions)
    torch.testing.assert_close(evaluated.log_probs, log_probs, atol=1e-13, rtol=1e-13)
    torch.testing.assert_close(evaluated.entropy(), entropy, atol=1e-13, rtol=1e-13)
    of_log_probs = torch.randn(log_probs.shape, generator=generator, dtype=DOUBLE)
    ours = torch.empty_like(parameters)
    with torch.no_grad():
        distribution.at(parameters, actions).write_gradient(of_log_probs, 0.7, ours)
    (expected,) = torch.autograd.grad(
        (of_log_probs * log_probs).sum() + 0.7 * entropy.sum(), parameters
    )
    torch.testing.assert_close(ours, expected, atol=1e-12, rtol=1e-12)


def test_distributions_side_by_side_are_each_of_them_alone():
    """Of choices, bits and two Gaussians; the gradient is that of autograd through torch's own."""
    generator = torch.Generator().manual_seed(4)
    gaussians = [
        Gaussian(Continuous((-1.0, -2.0), (1.0, 2.0)), 0.0),
        Gaussian(Continuous((0.0,), (9.0,)), 0.0),
    ]
    parts = [Categoricals((3, 2)), Bernoullis(2), *gaussians]
    mixed = SideBySide(parts)
    assert (mixed.size, mixed.branches) == (5 + 2 + 4 + 2, 2 + 2 + 1 + 1)
    parameters = torch.randn(60, mixed.size, generator=generator, dtype=DOUBLE)
    noise = mixed.noise(1, 60, generator, DOUBLE)[0]
    actions = mixed.sample(parameters, noise)
    given = mixed.for_environment(actions)
    modes = mixed.mode(parameters)
    own = parameters.split([5, 2, 4, 2], dim=1)
    noises = noise.split([5, 2, 2, 1], dim=1)
    places = np.split(np.arange(7), [2, 4, 6])
    log_probs, entropies = [], []
    for part, its, its_noise, place in zip(parts, own, noises, places, strict=True):
        taken = part.sample(its, its_noise)
        torch.testing.assert_close(actions[:, place], taken.to(DOUBLE), rtol=0, atol=0)
        torch.testing.assert_close(modes[:, place], part.mode(its).to(DOUBLE), rtol=0, atol=0)
        np.testing.assert_array_equal(given[:, place], part.for_environment(taken))
        evaluated = part.at(its, taken)
        log_probs.append(evaluated.log_probs)
        entropies.append(evaluated.entropy())
    evaluated = mixed.at(parameters, actions)
    torch.testing.assert_close(evaluated.log_probs, torch.cat(log_probs, dim=1), rtol=0, atol=0)
    torch.testing.assert_close(evaluated.entropy(), sum(entropies))
    shown = mixed.probabilities(parameters)
    assert [branch.shape[1] for branch in shown] == [3, 2, 2, 2]
    of_log_probs = torch.randn(60, 6, generator=generator, dtype=DOUBLE)
    ours = torch.empty_like(parameters)
    evaluated.write_gradient(of_log_probs, 0.7, ours)
    torch.testing.assert_close(ours, _autograd(parameters, actions, of_log_probs, 0.7))


def _autograd(parameters, actions, of_log_probs, of_entropy):
    parameters = parameters.clone().requires_grad_()
    three, two, bits, means, deviations, mean, deviation = parameters.split(
        [3, 2, 2, 2, 2, 1, 1], dim=1
    )
    of_torch = [
        torch.distributions.Categorical(logits=three),
        torch.distributions.Categorical(logits=two),
        torch.distributions.Bernoulli(logits=bits),
        torch.distributions.Normal(means, deviations.exp()),
        torch.distributions.Normal(mean, deviation.exp()),
    ]
    taken = [actions[:, 0], actions[:, 1], actions[:, 2:4], actions[:, 4:6], actions[:, 6:]]
    log_probs = [one.log_prob(own) for one, own in zip(of_torch, taken, strict=True)]
    log_probs = torch.cat(
        [log_probs[0][:, None], log_probs[1][:, None], log_probs[2],
         log_probs[3].sum(1, keepdim=True), log_probs[4]], dim=1
    )  # fmt: skip
    entropy = sum(one.entropy().sum() for one in of_torch)
    (gradient,) = torch.autograd.grad(
        (of_log_probs * log_probs).sum() + of_entropy * entropy, parameters
    )
    return gradient


def test_improbable_bits_have_finite_probabilities_and_gradients():
    logits = torch.tensor([[200.0, -200.0, 1000.0]])
    for bit, log_prob in ((1, [0.0, -200.0, 0.0]), (0, [-200.0, 0.0, -1000.0])):
        evaluated = Bernoullis(3).at(logits, torch.full((1, 3), bit))
        assert evaluated.log_probs.tolist() == [log_prob]
        assert evaluated.entropy().item() == 0.0
        gradient = torch.empty(1, 3)
        evaluated.write_gradient(torch.ones(1, 3), 1.0, gradient)
        assert gradient.isfinite().all()


def test_samples_have_the_moments_of_their_distributions():
    generator = torch.Generator().manual_seed(3)
    count = 40_000
    gaussian = Gaussian(Continuous((0.0, 0.0), (0.1, 0.1)), 0.0)
    parameters = torch.tensor([[2.0, -1.0, math.log(0.5), math.log(3.0)]]).expand(count, 4)
    noise = gaussian.noise(1, count, generator, torch.float32)[0]
    samples = gaussian.sample(parameters, noise)
    error = 4.0 / math.sqrt(count)
    assert (
        (samples.mean(0) - torch.tensor([2.0, -1.0])) / torch.tensor([0.5, 3.0])
    ).abs().max() < error
    assert (samples.std(0) / torch.tensor([0.5, 3.0]) - 1.0).abs().max() < error
    logits = torch.tensor([[0.0, 2.0, -3.0]]).expand(count, 3)
    bernoullis = Bernoullis(3)
    bits = bernoullis.sample(logits, bernoullis.noise(1, count, generator, torch.float32)[0])
    assert bits.dtype == torch.int64
    assert (bits.double().mean(0) - logits[0].sigmoid()).abs().max() < 0.5 * error


def test_the_most_probable_numbers_and_bits():
    gaussian = Gaussian(Continuous((-1.0, -1.0), (1.0, 1.0)), 0.0)
    parameters = torch.tensor([[5.0, -0.5, 1.0, -1.0]])
    assert gaussian.mode(parameters).tolist() == [[5.0, -0.5]]
    assert gaussian.probabilities(parameters) == []
    logits = torch.tensor([[0.3, -0.2], [-4.0, 2.0]])
    assert Bernoullis(2).mode(logits).tolist() == [[1, 0], [0, 1]]
    ones = logits.sigmoid()
    for bit, both in enumerate(Bernoullis(2).probabilities(logits)):
        torch.testing.assert_close(both, torch.stack((1 - ones[:, bit], ones[:, bit]), dim=1))


def test_the_environment_gets_numbers_within_its_bounds():
    gaussian = Gaussian(Continuous((-0.1, -math.inf), (0.3, math.inf)), 0.0)
    given = gaussian.for_environment(torch.tensor([[5.0, 5.0], [-5.0, -5.0], [0.25, 0.0]]))
    assert given.dtype == np.float64
    assert given.tolist() == [[0.3, 5.0], [-0.1, -5.0], [0.25, 0.0]]
    for wrong in (math.nan, math.inf):
        with pytest.raises(Diverged, match="not finite"):
            gaussian.for_environment(torch.tensor([[0.0, wrong]]))


class _Layer(nn.Module):
    """Gives means that depend on the observation, and a deviation that does not."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.mean = nn.Linear(inputs, 1)
        self.log_deviation = nn.Parameter(torch.zeros(1))

    def forward(self, units: torch.Tensor) -> torch.Tensor:
        mean = self.mean(units)
        return torch.cat((mean, self.log_deviation.expand_as(mean)), dim=-1)


class Normal(Distribution):
    """Samples one normally distributed number; the environment gets 1 if it is positive, else 0."""

    size, branches = 2, 1

    def layer(self, inputs):
        return _Layer(inputs)

    def noise(self, steps, count, generator, dtype):
        return torch.randn(steps, count, 1, generator=generator, dtype=dtype)

    def sample(self, parameters, noise):
        return parameters[:, :1] + parameters[:, 1:].exp() * noise

    def mode(self, parameters):
        return parameters[:, :1]

    def at(self, parameters, actions):
        return _Number(parameters[:, :1], parameters[:, 1:], actions)

    def for_environment(self, actions):
        return (actions > 0).long().numpy()


class _Number(Evaluated):
    def __init__(self, mean, log_deviation, actions):
        self._away = (actions - mean) / log_deviation.exp()
        self._log_deviation = log_deviation
        constant = 0.5 * math.log(2 * math.pi)
        self.log_probs = -0.5 * self._away.square() - log_deviation - constant

    def entropy(self):
        return (self._log_deviation + 0.5 * math.log(2 * math.pi * math.e))[:, 0]

    def write_gradient(self, of_log_probs, of_entropy, out):
        out[:, :1] = of_log_probs * self._away / self._log_deviation.exp()
        out[:, 1:] = of_log_probs * (self._away.square() - 1.0) + of_entropy


def test_the_loss_takes_its_gradient_from_the_distribution():
    """Compares a distribution other than categoricals with autograd through torch's own."""
    generator = torch.Generator().manual_seed(2)
    layer = _Layer(3).double()
    units = torch.randn(40, 3, generator=generator, dtype=DOUBLE)
    actions, old, advantages, values = torch.randn(4, 40, generator=generator, dtype=DOUBLE)
    taken = Taken(actions[:, None], 0.1 * old[:, None] - 1.2, values, advantages, values + old)
    beta, clip_range = 0.3, 0.2
    parameters = layer(units)
    outputs = torch.cat((parameters, values[:, None]), dim=1)
    gradient, terms = ppo_loss(
        outputs, Normal(), taken, Coefficients(clip_range, beta, 0.0, clip_value_loss=True)
    )
    theirs = torch.distributions.Normal(parameters[:, 0], parameters[:, 1].exp())
    ratio = (theirs.log_prob(actions) - taken.log_probs[:, 0]).exp()
    clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
    surrogate = torch.min(ratio * advantages, clipped * advantages).mean()
    expected = -(surrogate + beta * theirs.entropy().mean())
    torch.testing.assert_close(means([terms], clip_range).policy, surrogate.detach())
    weights = list(layer.parameters())
    ours = torch.autograd.grad(outputs, weights, gradient, retain_graph=True)
    for mine, naive in zip(ours, torch.autograd.grad(expected, weights), strict=True):
        torch.testing.assert_close(mine, naive)


@pytest.mark.parametrize(
    "memory",
    [
        {},
        {"recurrence": {"hidden_state_size": 8, "sequence_length": 4}},
        {"transformer": {"embed_dim": 8, "num_heads": 2, "memory_length": 4}},
    ],
    ids=["none", "gru", "transformer"],
)
def test_nothing_else_knows_the_distribution(tmp_path: Path, monkeypatch, memory):
    """Trains, evaluates and resumes with the distribution of this file."""
    monkeypatch.setattr(actor_critic, "make_distribution", lambda *_: Normal())
    mapping = {
        "environment": {"type": "CartPole", "name": "CartPole-v1"},
        "model": {"num_hidden_units": 8, "checkpoint_interval": 1, **memory},
        "evaluation": {"evaluate": True, "n_workers": 2, "seeds": [7], "interval": 1},
        "sampler": {"n_workers": 2, "worker_steps": 16},
        "trainer": {"updates": 2, "n_mini_batches": 2},
        "seed": 1,
        "threads": 1,
        "device": "cpu",
    }
    config = build(mapping)
    outcome = train(config, tmp_path)
    assert outcome.status == "completed"
    assert outcome.objective is not None
    first, last = (
        checkpoints.load(
            checkpoints.checkpoint_path(tmp_path, "default", update), torch.device("cpu")
        ).model
        for update in (1, 2)
    )
    key = "heads.policy.log_deviation"
    assert first[key].item() != last[key].item() != 0.0
    begun = checkpoints.checkpoint_path(tmp_path, "default", 1)
    train(config, tmp_path / "on", checkpoint=begun)
    path = checkpoints.checkpoint_path(tmp_path / "on", "default", 2)
    continued = checkpoints.load(path, torch.device("cpu")).model
    assert all(torch.equal(last[name], continued[name]) for name in last)
