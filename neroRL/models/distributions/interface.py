"""The interface of distributions over actions.

Shapes: N environments, M steps, P parameters of the distribution at a step, K branches, each of
which has a log-probability of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Generator, Tensor, nn


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
