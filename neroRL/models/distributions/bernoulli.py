"""Actions that are bits.

Shapes are named as in the interface.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from neroRL.models.distributions.interface import Distribution, Evaluated
from neroRL.models.initialisation import POLICY_GAIN, orthogonal_


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
