"""CartPole's dynamics for all environments at once, equal to Gymnasium's bit for bit."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np

from neroRL.environments.specification import VECTOR, SingleEnvironment
from neroRL.environments.vector.batched import BatchedEnvironment
from neroRL.environments.vector.interface import EpisodeSeeds
from neroRL.environments.vector.observation_table import ObservationTable

GRAVITY, POLE_MASS, TOTAL_MASS = 9.8, 0.1, 1.1
HALF_LENGTH, FORCE, SECONDS = 0.5, 10.0, 0.02
POLE_MASS_LENGTH = POLE_MASS * HALF_LENGTH
MOST_ANGLE, MOST_POSITION = 12 * 2 * math.pi / 360, 2.4
MOST_KEPT = 4096  # initial states, by their seeds: to draw one takes as long as a step


def dynamics(states: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Computes one step of Gymnasium's CartPole (Barto, Sutton and Anderson 1983).

    Args:
        states: position, velocity, angle, angular velocity, float64 of shape (4, N).
        actions: 0 pushes left, 1 right, shape (N,).

    Returns:
        The next states, and whether they end the episode.
    """
    _, _, theta, theta_dot = states
    force = np.where(actions == 1, FORCE, -FORCE)
    cosine, sine = np.cos(theta), np.sin(theta)
    pushed = (force + POLE_MASS_LENGTH * np.square(theta_dot) * sine) / TOTAL_MASS
    theta_acceleration = (GRAVITY * sine - cosine * pushed) / (
        HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * np.square(cosine) / TOTAL_MASS)
    )
    x_acceleration = pushed - POLE_MASS_LENGTH * theta_acceleration * cosine / TOTAL_MASS
    after = np.empty_like(states)
    after[::2] = states[::2] + SECONDS * states[1::2]
    after[1] = states[1] + SECONDS * x_acceleration
    after[3] = theta_dot + SECONDS * theta_acceleration
    ended = (np.abs(after[0]) > MOST_POSITION) | (np.abs(after[2]) > MOST_ANGLE)
    return after, ended


class BatchedCartPole(BatchedEnvironment):
    """N CartPoles.

    Args:
        environment: for the spaces.
        name: id of the environment.
        masked: the numbers of the state that read 0.
        seeds: the episodes' seeds, for each environment.
        reward_scales: rewards are divided by each in turn.
    """

    table: ObservationTable

    def __init__(
        self,
        environment: SingleEnvironment,
        name: str,
        masked: Sequence[int],
        seeds: Sequence[EpisodeSeeds],
        reward_scales: Sequence[float],
    ) -> None:
        most_steps = gymnasium.spec(name).max_episode_steps
        assert most_steps is not None
        super().__init__(environment, seeds, most_steps, reward_scales)
        self.table = ObservationTable(self.specification, distinct=False)
        self._real: Any = environment
        self._masked = list(masked)
        self._states = np.zeros((4, self.num_envs))
        self._initial = functools.lru_cache(MOST_KEPT)(self._drawn)

    def begin_rollout(self) -> None:
        """Removes all but the current observations from the table."""
        super().begin_rollout()
        self.table.clear()
        self.ids = self._current_ids(np.arange(self.num_envs))

    def close_extras(self, **kwargs: Any) -> None:  # noqa: ARG002 - Gymnasium's signature
        """Closes the environment that draws initial states."""
        self._real.close()

    def _begin(self, worker: int, seed: int) -> None:
        self._states[:, worker] = self._initial(seed)

    def _drawn(self, seed: int) -> np.ndarray:
        """Draws the initial state of an episode, shape (4,)."""
        self._real.reset(seed=seed)
        return np.array(self._real.unwrapped.state)

    def _move(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self._states, ended = dynamics(self._states, actions)
        return np.ones(self.num_envs), ended

    def _current_ids(self, workers: np.ndarray) -> np.ndarray:
        vectors = self._states[:, workers].T.astype(np.float32)
        vectors[:, self._masked] = 0.0
        return self.table.extend({VECTOR: vectors})

    def _replay(self, worker: int, actions: Sequence[int]) -> None:
        for action in actions:
            after, _ = dynamics(self._states[:, worker : worker + 1], np.array([action]))
            self._states[:, worker] = after[:, 0]
            self._steps[worker] += 1
            self._rewards[worker] += 1.0


@functools.cache
def equals_gymnasium(name: str, num_envs: int) -> bool:
    """Returns whether this processor computes the batch as Gymnasium computes single environments.

    Sine and cosine of an array may be rounded differently from those of a number.
    """
    real: Any = gymnasium.make(name, disable_env_checker=True).unwrapped
    if type(real).__module__ != "gymnasium.envs.classic_control.cartpole":
        return False
    generator = np.random.default_rng(0)
    states = generator.uniform(-0.2, 0.2, (4, num_envs))
    for _ in range(20):
        actions = generator.integers(2, size=num_envs)
        after, _ = dynamics(states, actions)
        for worker in range(num_envs):
            real.reset(seed=0)
            real.state = states[:, worker]
            real.step(int(actions[worker]))
            if not np.array_equal(real.state, after[:, worker]):
                return False
        states = np.clip(after, -0.2, 0.2)
    return True
