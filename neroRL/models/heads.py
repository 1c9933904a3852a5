"""Policy and value heads."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neroRL.models.distributions.interface import Distribution
from neroRL.models.initialisation import GAIN, orthogonal_

HEAD_UNITS = 512


class Heads(nn.Module):
    """The policy and the value, each behind a hidden layer of its own.

    Both hidden layers are computed as one product of matrices.

    Args:
        input_size: features of the last shared layer.
        distribution: makes the last layer of the policy.
        activation: follows the hidden layers.
    """

    def __init__(self, input_size: int, distribution: Distribution, activation: nn.Module) -> None:
        super().__init__()
        self.hidden = nn.Linear(input_size, 2 * HEAD_UNITS)
        self._activation = activation
        for weight in self.hidden.weight.data.split(HEAD_UNITS):
            nn.init.orthogonal_(weight, GAIN)
        nn.init.zeros_(self.hidden.bias)
        self.policy = distribution.layer(HEAD_UNITS)
        self.value = orthogonal_(nn.Linear(HEAD_UNITS, 1), 1.0)

    def last(self) -> list[nn.Module]:
        """Returns the modules that make the outputs."""
        return [*self.policy.modules(), self.value]

    def forward(self, features: Tensor) -> Tensor:
        """Computes both heads.

        Args:
            features: shape (…, input size).

        Returns:
            The parameters of the distribution, then the value, shape (…, O); see :func:`split`.
        """
        for_policy, for_value = self._activation(self.hidden(features)).chunk(2, dim=-1)
        return torch.cat((self.policy(for_policy), self.value(for_value)), dim=-1)


def split(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Returns views of outputs (…, O): the distribution's parameters (…, P) and the value (…)."""
    # Quicker than indices, which matters in every step.
    return outputs.narrow(-1, 0, outputs.shape[-1] - 1), outputs.select(-1, -1)
