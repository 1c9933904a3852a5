"""Chooses actions in several environments and keeps their memory."""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator, Tensor

from neroRL.models.actor_critic import ActorCritic
from neroRL.models.heads import split


class Actor:
    """Samples actions of N environments and keeps their memory.

    Args:
        model: the network.
        num_envs: N.
        generator: of all random numbers, on the device of the model.
        forgets: whether each episode starts with the initial state, whatever the config keeps.

    Attributes:
        model: the network.
        device: of the network.
        state: the memory of the environments.
        starts: whether the next step starts an episode, shape (N,).
    """

    def __init__(
        self, model: ActorCritic, num_envs: int, generator: Generator, *, forgets: bool = False
    ) -> None:
        self.model = model
        parameter = next(model.parameters())
        self.device: torch.device = parameter.device
        self.state = model.begin(num_envs, generator)
        self.starts = np.ones(num_envs, np.bool_)
        self._dtype = parameter.dtype
        self._generator = generator
        self._forgets = forgets

    def noise(self, steps: int) -> Tensor:
        """Draws the noise for sampling some steps, shape (steps, N, …)."""
        count = len(self.starts)
        return self.model.distribution.noise(steps, count, self._generator, self._dtype)

    def act(self, features: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Takes one step of the policy.

        Args:
            features: of the current observations, shape (N, F).
            noise: of this step, shape (N, …).

        Returns:
            Actions (N, …) and outputs (N, O).
        """
        outputs = self.state.step(features)
        return self.model.distribution.sample(split(outputs)[0], noise), outputs

    def values(self, features: Tensor, workers: np.ndarray) -> Tensor:
        """Computes the values of next observations, shape (len(workers),)."""
        return split(self.state.look(features, workers))[1]

    def begin_episodes(self, ended: np.ndarray) -> None:
        """Starts new episodes in the environments where ``ended``, shape (N,), is True."""
        self.starts = ended
        if ended.any():
            begin = self.state.forget if self._forgets else self.state.begin_episodes
            begin(np.flatnonzero(ended))
