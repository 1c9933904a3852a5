"""Plays episodes whose actions depend on nothing but the policy, a seed and a repetition."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from neroRL.models.actor_critic import ActorCritic
from neroRL.models.heads import split
from neroRL.models.memory.interface import MemoryState

logger = logging.getLogger("neroRL.evaluation")

# Steps for which noise is drawn and a memory is prepared at a time.
STEPS = 128
# An episode of so many steps may have no end.
LONG = 1_000 * STEPS


class Episode(NamedTuple):
    """An episode to play.

    Attributes:
        seed: of the environment.
        repetition: number of the try; another one draws other actions for the same seed.
    """

    seed: int
    repetition: int


class Player:
    """Chooses the actions of one environment, episode by episode.

    Each episode starts with an empty memory, also with ``reset_hidden_state: false``, and with
    random numbers of its own. The network is computed for this environment alone, because the last
    bits of a matrix product depend on its number of rows. So an episode is the same whatever is
    played before it or beside it.

    Args:
        model: the network.
        deterministic: takes the most probable actions instead of sampling them.
    """

    _memory: MemoryState
    _noise: Tensor

    def __init__(self, model: ActorCritic, *, deterministic: bool = False) -> None:
        parameter = next(model.parameters())
        self._model = model
        self._dtype = parameter.dtype
        self._generator = Generator(parameter.device)
        self._deterministic = deterministic
        self._steps = 0

    def begin(self, episode: Episode) -> None:
        """Starts an episode."""
        words = np.random.SeedSequence(episode).generate_state(1, np.uint64)
        self._generator.manual_seed(int(words[0] >> np.uint64(1)))
        self._memory = self._model.begin(1, self._generator)
        self._steps = 0
        self._prepare()

    def act(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Takes one step.

        Args:
            features: of the current observation, shape (1, F).

        Returns:
            The action (1, …) and the network's outputs (1, O).
        """
        distribution = self._model.distribution
        noise = self._noise[self._steps % STEPS]
        outputs = self._memory.step(features)
        parameters = split(outputs)[0]
        self._steps += 1
        if self._steps % STEPS == 0:
            self._prepare()
        if self._steps == LONG:
            told = "an episode has %d steps and has not ended; what waits for it may wait forever"
            logger.warning(told, LONG)
        if self._deterministic:
            return distribution.mode(parameters), outputs
        return distribution.sample(parameters, noise), outputs

    def shown(self, features: Tensor) -> dict[str, Tensor]:
        """Returns what a person can look at in the memory, before the step from these features.

        Args:
            features: of the current observation, shape (1, F).

        Returns:
            As :meth:`~neroRL.models.memory.interface.MemoryState.shown`, without the first
            dimension.
        """
        return {name: numbers[0] for name, numbers in self._memory.shown(features).items()}

    def _prepare(self) -> None:
        self._memory.begin_rollout(STEPS)
        distribution = self._model.distribution
        self._noise = distribution.noise(STEPS, 1, self._generator, self._dtype)


class Players:
    """Chooses the actions of N environments, each with a :class:`Player` of its own.

    Args:
        model: the network.
        episodes: of each environment, one list each, in their order.
        deterministic: takes the most probable actions instead of sampling them.

    Attributes:
        model: the network.
        device: of the network.
        alone: the features of each observation are computed for it alone.
        starts: whether the next step starts an episode, shape (N,).
        left: number of episodes that have not ended, of each environment, shape (N,).
    """

    alone = True

    def __init__(
        self, model: ActorCritic, episodes: Sequence[Sequence[Episode]], *, deterministic: bool
    ) -> None:
        self.model = model
        self.device: torch.device = next(model.parameters()).device
        self.starts = np.ones(len(episodes), np.bool_)
        self.left = np.array([len(lane) for lane in episodes])
        self._episodes = episodes
        self._players = [Player(model, deterministic=deterministic) for _ in episodes]
        for player, lane in zip(self._players, episodes, strict=True):
            player.begin(lane[0])

    def begin(self, steps: int) -> None:
        """Does nothing: players prepare their memories by the steps of their episodes."""

    def act(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Takes one step in every environment; features (N, F) to actions and outputs (N, …)."""
        steps = [
            player.act(of_one)
            for player, of_one in zip(self._players, features.split(1), strict=True)
        ]
        actions, outputs = zip(*steps, strict=True)
        return torch.cat(actions), torch.cat(outputs)

    def begin_episodes(self, ended: np.ndarray) -> None:
        """Starts the next episode in the environments where ``ended``, shape (N,), is True.

        An environment that is done plays its last episode again.
        """
        self.starts = ended
        for number in np.flatnonzero(ended).tolist():
            lane = self._episodes[number]
            self.left[number] = max(self.left[number] - 1, 0)
            self._players[number].begin(lane[-max(self.left[number], 1)])
