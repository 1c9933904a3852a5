"""A trained policy for Python code: one observation in, one action out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch

from neroRL.acting.player import Episode, Player
from neroRL.config.schema import EnvironmentConfig
from neroRL.environments.factory import make_single
from neroRL.environments.specification import (
    VECTOR,
    VISUAL,
    EnvironmentSpec,
    Observation,
    SingleEnvironment,
)
from neroRL.environments.vector.moments import RunningMoments
from neroRL.errors import ObservationError
from neroRL.models.actor_critic import ActorCritic
from neroRL.models.heads import split
from neroRL.models.transfer import on_device


class Decision(NamedTuple):
    """An action and what the policy thought of it.

    Attributes:
        action: in the environment's format, shape (branches,).
        value: the expected discounted return from here on, of rewards as the learner sees them.
        probabilities: of the choices of each branch, which are the action's first numbers; empty
            for other actions than choices.
        entropy: of the policy, summed over branches, in nats.
        memory: before this step: ``norm`` of a recurrent state, or ``attention`` of a transformer's
            blocks to the steps that it remembers, shape (blocks, steps), oldest first.
    """

    action: np.ndarray
    value: float
    probabilities: list[np.ndarray]
    entropy: float
    memory: dict[str, np.ndarray]


class Policy:
    """A policy that acts in one environment.

    >>> from neroRL.config import Config, EnvironmentConfig
    >>> from neroRL.environments.factory import specification
    >>> config = Config(environment=EnvironmentConfig(type="CartPole", name="CartPole-v1"))
    >>> shapes = specification(config.environment)
    >>> policy = Policy(ActorCritic(config.model, shapes), shapes, config.environment)
    >>> environment = policy.make_environment()
    >>> observation, _ = environment.reset(seed=3)
    >>> policy.reset()
    >>> action = policy.act(observation)
    >>> observation, reward, terminated, truncated, info = environment.step(action)

    Args:
        model: the network.
        specification: of the environments it acts in.
        environment: the config of the environments it acts in.
        moments: by which vector observations were normalised in the training; None if they were
            not.
        deterministic: takes the most probable actions instead of sampling them.

    Attributes:
        model: the network.
        environment: the config of the environments it acts in.
    """

    def __init__(
        self,
        model: ActorCritic,
        specification: EnvironmentSpec,
        environment: EnvironmentConfig,
        moments: RunningMoments | None = None,
        *,
        deterministic: bool = False,
    ) -> None:
        self.model = model
        self.environment = environment
        self._specification = specification
        self._moments = moments
        self._device = next(model.parameters()).device
        self._player = Player(model, deterministic=deterministic)
        self._resets = 0
        self._player.begin(Episode(0, 0))

    def make_environment(self, worker_id: int = 2) -> SingleEnvironment:
        """Makes an environment as the policy was trained in, with the wrappers of the config.

        ``step`` gives rewards divided by the config's ``reward_normalization``, and by 100 in
        CartPole; the info's ``raw_reward`` is the environment's own. Neither is clipped or
        normalised by ``normalize_returns``, which are steps of the learning.

        Args:
            worker_id: gives a Unity environment its port, 5005 + worker_id.
        """
        return make_single(self.environment, worker_id)

    @torch.no_grad()
    def reset(self, seed: int | None = None, repetition: int = 0) -> None:
        """Starts an episode with an empty memory.

        Args:
            seed: together with the repetition, it fixes all sampled actions: an environment that is
                reset with this seed plays the episode that ``neval`` reports. None draws other
                actions in every episode.
            repetition: of the seed.
        """
        if seed is None:
            seed, self._resets = self._resets, self._resets + 1
        self._player.begin(Episode(seed, repetition))

    def act(self, observation: Observation) -> np.ndarray:
        """Chooses an action.

        Args:
            observation: of :meth:`make_environment`: ``visual`` (height, width, channels) or
                ``vector`` (length,), or both.

        Returns:
            The action, shape (branches,), for the environment's ``step``.

        Raises:
            ObservationError: the observation has other shapes than the policy was trained with.
        """
        with torch.no_grad():
            action, _ = self._player.act(self._features(observation))
        return self._for_environment(action)

    @torch.no_grad()
    def decide(self, observation: Observation) -> Decision:
        """Chooses the action that :meth:`act` would, and tells what the policy thought.

        Args:
            observation: as for :meth:`act`.

        Raises:
            ObservationError: the observation has other shapes than the policy was trained with.
        """
        features = self._features(observation)
        memory = self._player.shown(features)
        action, outputs = self._player.act(features)
        parameters, values = split(outputs)
        distribution = self.model.distribution
        return Decision(
            self._for_environment(action),
            float(values[0]),
            [choices[0].cpu().numpy() for choices in distribution.probabilities(parameters)],
            float(distribution.at(parameters, action).entropy()[0]),
            {name: numbers.cpu().numpy() for name, numbers in memory.items()},
        )

    def _for_environment(self, action: torch.Tensor) -> np.ndarray:
        chosen: np.ndarray = self.model.distribution.for_environment(action)[0]
        return chosen

    def _features(self, observation: Observation) -> torch.Tensor:
        self._check(observation)
        if self._moments is not None and VECTOR in observation:
            vector = self._moments.normalised(observation[VECTOR])
            observation = {**observation, VECTOR: vector}
        # An array of a list has the memory layout of a table's rows, on which last bits depend.
        rows = {
            key: on_device(np.array([array]), self._device) for key, array in observation.items()
        }
        return self.model.features(rows)

    def _check(self, observation: Mapping[str, np.ndarray]) -> None:
        known = self._specification
        expected: dict[str, tuple[tuple[int, ...], str]] = {}
        if known.visual is not None:
            expected[VISUAL] = (known.visual, known.visual_dtype)
        if known.vector is not None:
            expected[VECTOR] = ((known.vector,), "float32")
        found = {key: (array.shape, str(array.dtype)) for key, array in observation.items()}
        if found != expected:
            raise ObservationError(f"expected an observation of {expected}, got one of {found}")
