"""Distributions over actions, whose parameters are the policy's part of the network's outputs.

To add a distribution, write a subclass here and add a line to :func:`make_distribution`. Only the
distribution knows its parameters: the network gets its last layer from it, the actor its actions,
and the loss its log-probabilities, entropy and gradient.

Shapes are named as in the interface.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from neroRL.config.schema import ModelConfig
from neroRL.environments.specification import Binary, Continuous, EnvironmentSpec, Mixed, Simple
from neroRL.errors import Diverged
from neroRL.models.distribution import Distribution, Evaluated
from neroRL.models.initialisation import orthogonal_
from neroRL.models.mixed import SideBySide

POLICY_GAIN = 0.1  # √0.01


class Categoricals(Distribution):
    """A categorical distribution for each branch of a discrete action, their logits side by side.

    >>> distribution = Categoricals((3, 2))
    >>> generator = torch.Generator().manual_seed(0)
    >>> logits = torch.tensor([[0.0, 9.0, 0.0, 0.0, 9.0]])  # one step: 3 choices, then 2
    >>> (noise,) = distribution.noise(1, 1, generator, logits.dtype)
    >>> actions = distribution.sample(logits, noise)
    >>> actions
    tensor([[1, 1]])
    >>> evaluated = distribution.at(logits, actions)
    >>> evaluated.log_probs.exp().round(decimals=2)
    tensor([[1., 1.]])
    >>> evaluated.entropy().item() < 0.01
    True

    Args:
        choices: number of choices of each branch.
    """

    def __init__(self, choices: tuple[int, ...]) -> None:
        self._choices = list(choices)
        self.size, self.branches = sum(choices), len(choices)

    def layer(self, inputs: int) -> nn.Module:
        """Returns a linear layer, whose weights are orthogonal branch by branch and small."""
        layer = nn.Linear(inputs, self.size)
        for weight in layer.weight.data.split(self._choices):
            nn.init.orthogonal_(weight, POLICY_GAIN)
        nn.init.zeros_(layer.bias)
        return layer

    def noise(self, steps: int, count: int, generator: Generator, dtype: torch.dtype) -> Tensor:
        """Draws Gumbel noise, shape (steps, count, P); argmax of logits plus noise is a sample."""
        shape = (steps, count, self.size)
        exponential = torch.empty(shape, device=generator.device, dtype=dtype)
        return exponential.exponential_(generator=generator).log_().neg_()

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """Returns the choice of each branch, shape (N, K)."""
        return self.mode(parameters + noise)

    def mode(self, parameters: Tensor) -> Tensor:
        """Returns the most probable choice of each branch, shape (N, K)."""
        if self.branches == 1:
            return parameters.argmax(dim=1, keepdim=True)
        branches = parameters.split(self._choices, dim=1)
        return torch.cat([branch.argmax(dim=1, keepdim=True) for branch in branches], dim=1)

    def probabilities(self, parameters: Tensor) -> list[Tensor]:
        """Returns the probabilities of each branch's choices, shape (N, choices) each."""
        return [branch.softmax(dim=1) for branch in parameters.split(self._choices, dim=1)]

    def at(self, parameters: Tensor, actions: Tensor) -> Evaluated:
        """Evaluates logits, (M, P), at choices (M, K)."""
        return _Choices(parameters, self._choices, actions)

    def for_environment(self, actions: Tensor) -> np.ndarray:
        """Returns the choices, shape (N, K)."""
        choices: np.ndarray = actions.cpu().numpy()
        return choices


class _Choices(Evaluated):
    def __init__(self, logits: Tensor, choices: list[int], actions: Tensor) -> None:
        self._sizes = choices
        self._actions = actions
        self._log_policies = [branch.log_softmax(dim=1) for branch in logits.split(choices, dim=1)]
        taken = [log_p.gather(1, actions[:, i : i + 1]) for i, log_p in self._branches()]
        self.log_probs = taken[0] if len(taken) == 1 else torch.cat(taken, dim=1)
        self._policies: list[Tensor] = []
        self._entropies: list[Tensor] = []  # of each branch, shape (M, 1)

    def entropy(self) -> Tensor:
        if not self._entropies:
            self._policies = [log_p.exp() for log_p in self._log_policies]
            self._entropies = [
                (p * log_p).sum(dim=1, keepdim=True).neg_()
                for p, log_p in zip(self._policies, self._log_policies, strict=True)
            ]
        total = self._entropies[0]
        for of_branch in self._entropies[1:]:
            total = total + of_branch
        return total[:, 0]

    def write_gradient(self, of_log_probs: Tensor, of_entropy: float, out: Tensor) -> None:
        self.entropy()
        parts = out.split(self._sizes, dim=1)
        for i, log_p in self._branches():
            of_taken = of_log_probs[:, i : i + 1]
            # Of log softmax: 1 - p for the action, -p for others; of the entropy: -p (log p + H).
            of_others = (log_p + self._entropies[i]).mul_(-of_entropy).sub_(of_taken)
            torch.mul(self._policies[i], of_others, out=parts[i])
            parts[i].scatter_add_(1, self._actions[:, i : i + 1], of_taken)

    def _branches(self) -> list[tuple[int, Tensor]]:
        return list(enumerate(self._log_policies))


class Gaussian(Distribution):
    """A normal distribution for each number of an action, in one branch.

    The parameters are the means, which depend on the observation, and the logarithms of the
    standard deviations, which do not. Actions keep the sampled numbers; only the environment gets
    them clipped to its bounds.

    >>> distribution = Gaussian(Continuous((-1.0,), (1.0,)), log_std_init=0.0)
    >>> actions = distribution.sample(torch.tensor([[0.5, 0.0]]), torch.tensor([[2.0]]))
    >>> actions, distribution.for_environment(actions)
    (tensor([[2.5000]]), array([[1.]]))

    Args:
        space: the environment's bounds.
        log_std_init: initial logarithm of each standard deviation.
    """

    branches = 1

    def __init__(self, space: Continuous, log_std_init: float) -> None:
        self._count = len(space.low)
        self._low, self._high = np.array(space.low), np.array(space.high)
        self._log_std_init = log_std_init
        self.size = 2 * self._count

    def layer(self, inputs: int) -> nn.Module:
        """Returns a linear layer for the means, followed by the learned deviations."""
        return MeansAndDeviations(inputs, self._count, self._log_std_init)

    def noise(self, steps: int, count: int, generator: Generator, dtype: torch.dtype) -> Tensor:
        """Draws standard normal noise, shape (steps, count, numbers of an action)."""
        shape = (steps, count, self._count)
        return torch.empty(shape, device=generator.device, dtype=dtype).normal_(generator=generator)

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """Returns unclipped actions, shape (N, numbers of an action)."""
        mean, log_std = parameters.split(self._count, dim=1)
        return torch.addcmul(mean, log_std.exp(), noise)

    def mode(self, parameters: Tensor) -> Tensor:
        """Returns the means, shape (N, numbers of an action)."""
        return parameters[:, : self._count]

    def at(self, parameters: Tensor, actions: Tensor) -> Evaluated:
        """Evaluates means and deviations, (M, P), at unclipped actions."""
        return _Numbers(parameters, self._count, actions)

    def for_environment(self, actions: Tensor) -> np.ndarray:
        """Returns the actions clipped to the environment's bounds, float64.

        Raises:
            Diverged: a number is not finite.
        """
        numbers = actions.cpu().numpy().astype(np.float64)
        clipped: np.ndarray = np.minimum(np.maximum(numbers, self._low), self._high)
        if not np.isfinite(clipped).all():
            raise Diverged("the policy's actions are not finite")
        return clipped


class MeansAndDeviations(nn.Module):
    """A linear layer for means, whose outputs the logarithms of the deviations follow.

    Args:
        inputs: of the layer.
        count: of the means.
        log_std_init: initial logarithm of each deviation.
    """

    def __init__(self, inputs: int, count: int, log_std_init: float) -> None:
        super().__init__()
        self.mean = orthogonal_(nn.Linear(inputs, count), POLICY_GAIN)
        self.log_std = nn.Parameter(torch.full((count,), float(log_std_init)))

    def forward(self, units: Tensor) -> Tensor:
        """Computes parameters (…, P) from units (…, inputs)."""
        mean = self.mean(units)
        return torch.cat((mean, self.log_std.expand_as(mean)), dim=-1)


class _Numbers(Evaluated):
    def __init__(self, parameters: Tensor, count: int, actions: Tensor) -> None:
        self._count = count
        mean, self._log_std = parameters.split(count, dim=1)
        self._inverse_std = self._log_std.neg().exp_()
        self._away = (actions - mean) * self._inverse_std  # in standard deviations
        self._squares = self._away.square()
        exponents = self._log_std.add(self._squares, alpha=0.5).sum(dim=1, keepdim=True)
        self.log_probs = exponents.add_(0.5 * count * math.log(2.0 * math.pi)).neg_()

    def entropy(self) -> Tensor:
        constant = 0.5 * self._count * math.log(2.0 * math.pi * math.e)
        total: Tensor = self._log_std.sum(dim=1)
        return total.add_(constant)

    def write_gradient(self, of_log_probs: Tensor, of_entropy: float, out: Tensor) -> None:
        of_mean, of_log_std = out.split(self._count, dim=1)
        torch.mul(self._away * self._inverse_std, of_log_probs, out=of_mean)
        torch.mul(self._squares - 1.0, of_log_probs, out=of_log_std).add_(of_entropy)


class Bernoullis(Distribution):
    """A Bernoulli distribution for each bit of an action, in a branch each.

    The parameters are the logits of the bits being 1.

    >>> distribution = Bernoullis(2)
    >>> distribution.sample(torch.tensor([[5.0, -5.0]]), torch.zeros(1, 2))
    tensor([[1, 0]])

    Args:
        count: number of bits.
    """

    def __init__(self, count: int) -> None:
        self.size = self.branches = count

    def layer(self, inputs: int) -> nn.Module:
        """Returns a linear layer, whose weights are orthogonal and small."""
        return orthogonal_(nn.Linear(inputs, self.size), POLICY_GAIN)

    def noise(self, steps: int, count: int, generator: Generator, dtype: torch.dtype) -> Tensor:
        """Draws logistic noise, shape (steps, count, P): a bit is 1 if logit + noise > 0."""
        shape = (2, steps, count, self.size)
        exponential = torch.empty(shape, device=generator.device, dtype=dtype)
        first, second = exponential.exponential_(generator=generator).log_()
        noise: Tensor = first.sub_(second)
        return noise

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """Returns the bits, int64 of shape (N, K)."""
        return (parameters + noise > 0).long()

    def mode(self, parameters: Tensor) -> Tensor:
        """Returns the more probable value of each bit, shape (N, K)."""
        return (parameters > 0).long()

    def probabilities(self, parameters: Tensor) -> list[Tensor]:
        """Returns the probabilities of 0 and of 1 for each bit, shape (N, 2) each."""
        ones = parameters.sigmoid()
        return list(torch.stack((1.0 - ones, ones), dim=2).unbind(dim=1))

    def at(self, parameters: Tensor, actions: Tensor) -> Evaluated:
        """Evaluates logits, (M, P), at bits (M, K)."""
        return _Bits(parameters, actions)

    def for_environment(self, actions: Tensor) -> np.ndarray:
        """Returns the bits, shape (N, K)."""
        bits: np.ndarray = actions.cpu().numpy()
        return bits


class _Bits(Evaluated):
    def __init__(self, logits: Tensor, actions: Tensor) -> None:
        self._logits = logits
        self._bits = actions.to(logits.dtype)
        self._ones = logits.sigmoid()
        # Log sigmoid is exact for every logit, as softplus is not.
        self.log_probs = functional.logsigmoid(logits * (2.0 * self._bits - 1.0))

    def entropy(self) -> Tensor:
        of_zero = functional.logsigmoid(-self._logits)
        return (self._ones * self._logits + of_zero).sum(dim=1).neg_()

    def write_gradient(self, of_log_probs: Tensor, of_entropy: float, out: Tensor) -> None:
        # Of the entropy: -l p (1 - p), p being the probability of a 1 and l its logit.
        of_ones = self._logits * self._ones * (1.0 - self._ones)
        torch.mul(self._bits - self._ones, of_log_probs, out=out).sub_(of_ones, alpha=of_entropy)


def make_distribution(specification: EnvironmentSpec, config: ModelConfig) -> Distribution:
    """Makes the distribution over the actions of an environment."""
    actions = specification.actions
    if isinstance(actions, Mixed):
        return SideBySide([_distribution(part, config) for part in actions.parts])
    return _distribution(actions, config)


def _distribution(actions: Simple, config: ModelConfig) -> Distribution:
    if isinstance(actions, Continuous):
        return Gaussian(actions, config.log_std_init)
    if isinstance(actions, Binary):
        return Bernoullis(actions.count)
    return Categoricals(actions)
