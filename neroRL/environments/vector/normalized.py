"""Normalises the observations and rewards of environments, as Stable-Baselines3's VecNormalize."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from neroRL.environments.specification import VECTOR, Observation, observation_space
from neroRL.environments.vector.interface import Transition, VectorEnvironment
from neroRL.environments.vector.moments import MOST, Normalization, limited
from neroRL.environments.vector.observation_table import ObservationTable


def normalized(
    environment: VectorEnvironment, normalization: Normalization, *, learns: bool
) -> VectorEnvironment:
    """Normalises environments as far as the config asks for it.

    Args:
        environment: not started yet.
        normalization: what is asked for, and the statistics.
        learns: whether the statistics move; they are frozen in evaluations.
    """
    if normalization.is_off:
        return environment
    return NormalizedEnvironment(environment, normalization, learns=learns)


class NormalizedEnvironment(VectorEnvironment):
    """Normalises what environments observe and the rewards that they give.

    A vector is shifted by the running mean and divided by the running standard deviation of all
    vectors up to its step, and clipped to ±10. A reward is divided by the running standard
    deviation of the environments' discounted returns so far, and clipped to ±10. Episodes keep
    their raw rewards.

    Args:
        environment: not started yet; belongs to this one.
        normalization: what to do, and the statistics.
        learns: whether the statistics move.
    """

    def __init__(
        self, environment: VectorEnvironment, normalization: Normalization, *, learns: bool
    ) -> None:
        super().__init__(_Like(environment, normalization), environment.num_envs)
        self.specification = environment.specification
        self._inner, self._normalization, self._learns = environment, normalization, learns
        vector = self.specification.vector
        self._vectors = normalization.vectors if vector is not None else None
        # Equal observations differ when they are normalised at different times.
        self._own = ObservationTable(self.specification, distinct=False)
        self.table = environment.table if self._vectors is None else self._own
        self._returns = np.zeros(self.num_envs)  # discounted, of the running episodes

    def restart(self) -> None:
        """Starts a new episode in every environment; see the base class."""
        self._inner.restart()
        self._returns[:] = 0.0
        self._own.clear()
        self._observe(learns=self._learns)

    def advance(self, actions: np.ndarray) -> Transition:
        """Takes one action in every environment; see the base class."""
        moved = self._inner.advance(actions)
        self._observe(learns=self._learns)
        rewards = self._scaled(moved.rewards)
        self._returns[moved.terminations | moved.truncations] = 0.0
        final_ids = moved.final_ids
        if final_ids is not None and self._vectors is not None:
            ended = final_ids >= 0
            given = final_ids[ended]
            final_ids = np.full(self.num_envs, -1)
            final_ids[ended] = self._numbered(self._inner.table.at(given))
        return moved._replace(rewards=rewards, final_ids=final_ids)

    def begin_rollout(self) -> None:
        """Removes all but the current observations from the table."""
        self._inner.begin_rollout()
        if self._vectors is None:
            self.ids = self._inner.ids
            return
        current = self._own.at(self.ids)
        self._own.clear()
        self.ids = self._own.extend(current)

    def state_dict(self) -> dict[str, Any]:
        """Returns the environments' state, without the statistics; see the base class."""
        return {**self._inner.state_dict(), "discounted_returns": self._returns.tolist()}

    def load_state_dict(self, state: Mapping[str, Any]) -> np.ndarray:
        """Restores a state, once the statistics are restored; see the base class."""
        restarted = self._inner.load_state_dict(state)
        self._returns = np.where(restarted, 0.0, state["discounted_returns"])
        self._own.clear()
        self._observe(learns=False)  # the statistics know these observations
        return restarted

    def close_extras(self, **kwargs: Any) -> None:
        """Closes every environment."""
        self._inner.close(**kwargs)

    def _observe(self, *, learns: bool) -> None:
        """Numbers the current observations."""
        if self._vectors is None:
            self.ids = self._inner.ids
            return
        observations = self._inner.table.at(self._inner.ids)
        if learns:
            self._vectors.add(observations[VECTOR])
        self.ids = self._numbered(observations)

    def _numbered(self, observations: Observation) -> np.ndarray:
        """Returns the ids of observations, shape (count, …) each, which it normalises."""
        assert self._vectors is not None
        vectors = self._vectors.normalised(observations[VECTOR])
        return self._own.extend({**observations, VECTOR: vectors})

    def _scaled(self, rewards: np.ndarray) -> np.ndarray:
        if self._normalization.signs:
            rewards = np.sign(rewards)
        moments = self._normalization.returns
        if moments is None:
            return rewards
        if self._learns:
            self._returns = self._returns * self._normalization.gamma + rewards
            moments.add(self._returns)
        return limited(rewards / moments.deviation)


class _Like(gymnasium.Env[Observation, np.ndarray]):
    """Has the spaces of one of some environments, with vectors that may be normalised."""

    def __init__(self, environment: VectorEnvironment, normalization: Normalization) -> None:
        space = environment.single_observation_space
        assert isinstance(space, spaces.Dict)
        parts = dict(space.spaces)
        if VECTOR in parts and normalization.vectors is not None:
            parts[VECTOR] = spaces.Box(-MOST, MOST, parts[VECTOR].shape, np.float32)
        self.observation_space = observation_space(parts)
        self.action_space = environment.single_action_space
