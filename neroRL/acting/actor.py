"""Chooses actions in several environments and keeps their memory."""

from __future__ import annotations

from collections.abc import Iterator

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

    Attributes:
        model: the network.
        device: of the network.
        alone: the features of several observations are computed together.
        state: the memory of the environments.
        starts: whether the next step starts an episode, shape (N,).
    """

    alone = False

    def __init__(self, model: ActorCritic, num_envs: int, generator: Generator) -> None:
        self.model = model
        parameter = next(model.parameters())
        self.device: torch.device = parameter.device
        self.state = model.begin(num_envs, generator)
        self.starts = np.ones(num_envs, np.bool_)
        self._dtype = parameter.dtype
        self._generator = generator
        self._noise: Iterator[Tensor] = iter(())

    def begin(self, steps: int) -> None:
        """Prepares the memory and draws the noise for some steps with constant weights."""
        # An update has changed initial states that are learned, or follow the last rollout's.
        self.begin_episodes(self.starts)
        self.state.begin_rollout(steps)
        distribution = self.model.distribution
        self._noise = iter(
            distribution.noise(steps, len(self.starts), self._generator, self._dtype)
        )

    def act(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Takes one step of the policy.

        Args:
            features: of the current observations, shape (N, F).

        Returns:
            Actions (N, …) and outputs (N, O).
        """
        outputs = self.state.step(features)
        return self.model.distribution.sample(split(outputs)[0], next(self._noise)), outputs

    def values(self, features: Tensor, workers: np.ndarray) -> Tensor:
        """Computes the values of next observations, shape (len(workers),)."""
        return split(self.state.look(features, workers))[1]

    def begin_episodes(self, ended: np.ndarray) -> None:
        """Starts new episodes in the environments where ``ended``, shape (N,), is True."""
        self.starts = ended
        if ended.any():
            self.state.begin_episodes(np.flatnonzero(ended))
