"""Choices among a few actions.

Shapes are named as in the interface.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator, Tensor, nn

from neroRL.models.distributions.interface import Distribution, Evaluated
from neroRL.models.initialisation import POLICY_GAIN


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
