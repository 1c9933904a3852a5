"""Actions that are numbers.

Shapes are named as in the interface.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Generator, Tensor, nn

from neroRL.environments.specification import Continuous
from neroRL.errors import Diverged
from neroRL.models.distributions.interface import Distribution, Evaluated
from neroRL.models.initialisation import POLICY_GAIN, orthogonal_


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
