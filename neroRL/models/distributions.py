"""Distributions over actions, whose parameters are the policy's part of the network's outputs.

To add a distribution, write a subclass here and add a line to :func:`make_distribution`. Only the
distribution knows its parameters: the network gets its last layer from it, the actor its actions,
and the loss its log-probabilities, entropy and gradient.

Shapes: N environments, M steps, P parameters of the distribution at a step, K branches, each of
which has a log-probability of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Generator, Tensor, nn

from neroRL.environments.specification import EnvironmentSpec

POLICY_GAIN = 0.1  # √0.01


class Evaluated(ABC):
    """The distributions of some steps, evaluated at the actions that were taken.

    Attributes:
        log_probs: of the actions, shape (M, K).
    """

    log_probs: Tensor

    @abstractmethod
    def entropy(self) -> Tensor:
        """Returns the entropies, summed over the branches, shape (M,)."""

    @abstractmethod
    def write_gradient(self, of_log_probs: Tensor, of_entropy: float, out: Tensor) -> None:
        """Writes the gradient of a loss with respect to the parameters.

        Args:
            of_log_probs: derivatives of the loss by the log-probabilities, shape (M, K).
            of_entropy: its derivative by the entropy of each step.
            out: written, shape (M, P).
        """


class Distribution(ABC):
    """A kind of distribution over actions.

    Attributes:
        size: P.
        branches: K.
    """

    size: int
    branches: int

    @abstractmethod
    def layer(self, inputs: int) -> nn.Module:
        """Makes the last layer of the policy head, with its initial weights: (…, inputs) to (…, P).

        Parameters that do not depend on the observation belong to this layer, which appends them.
        """

    @abstractmethod
    def noise(self, steps: int, count: int, generator: Generator, dtype: torch.dtype) -> Tensor:
        """Draws the noise for sampling some steps of ``count`` environments.

        Returns:
            Shape (steps, count, …), on the generator's device.
        """

    @abstractmethod
    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """Draws actions, shape (N, …), given parameters (N, P) and the noise of a step."""

    @abstractmethod
    def mode(self, parameters: Tensor) -> Tensor:
        """Returns the most probable actions, shape (N, …), given parameters (N, P)."""

    def probabilities(self, parameters: Tensor) -> list[Tensor]:  # noqa: ARG002 - to override
        """Returns the probabilities of each branch's choices, shape (N, choices) each.

        A distribution over other actions than choices returns an empty list.
        """
        return []

    @abstractmethod
    def at(self, parameters: Tensor, actions: Tensor) -> Evaluated:
        """Evaluates distributions, (M, P), at actions (M, …)."""

    @abstractmethod
    def for_environment(self, actions: Tensor) -> np.ndarray:
        """Returns actions in the environment's format, shape (N, …)."""


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


def make_distribution(specification: EnvironmentSpec) -> Distribution:
    """Makes the distribution over the actions of an environment."""
    return Categoricals(specification.actions)
