"""Policy and value heads."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from neroRL.models.initialisation import GAIN, orthogonal_

HEAD_UNITS = 512
POLICY_GAIN = 0.1  # √0.01


class Heads(nn.Module):
    """The policy and the value, each behind a hidden layer of its own.

    Both hidden layers are computed as one product of matrices.

    Args:
        input_size: features of the last shared layer.
        actions: number of choices of each action branch.
        activation: follows the hidden layers.
    """

    def __init__(self, input_size: int, actions: tuple[int, ...], activation: nn.Module) -> None:
        super().__init__()
        self.hidden = nn.Linear(input_size, 2 * HEAD_UNITS)
        self._activation = activation
        for weight in self.hidden.weight.data.split(HEAD_UNITS):
            nn.init.orthogonal_(weight, GAIN)
        nn.init.zeros_(self.hidden.bias)
        self.policy = nn.Linear(HEAD_UNITS, sum(actions))
        for weight in self.policy.weight.data.split(actions):
            nn.init.orthogonal_(weight, POLICY_GAIN)
        nn.init.zeros_(self.policy.bias)
        self.value = orthogonal_(nn.Linear(HEAD_UNITS, 1), 1.0)

    def forward(self, features: Tensor) -> Tensor:
        """Computes both heads.

        Args:
            features: shape (…, input size).

        Returns:
            The logits of all branches side by side, then the value, shape (…, O).
        """
        for_policy, for_value = self._activation(self.hidden(features)).chunk(2, dim=-1)
        logits = functional.linear(for_policy, self.policy.weight, self.policy.bias)
        value = functional.linear(for_value, self.value.weight, self.value.bias)
        return torch.cat((logits, value), dim=-1)
