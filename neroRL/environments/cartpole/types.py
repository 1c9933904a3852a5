"""CartPole, optionally with masked velocities, which only a policy with memory solves.

As in the original, the learner sees rewards divided by 100: a value of 100 would drown the policy
in the layers that both share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

from neroRL.config.schema import EnvironmentConfig
from neroRL.environments.cartpole.batch import BatchedCartPole, equals_gymnasium
from neroRL.environments.environment_type import (
    EnvironmentType,
    Parameter,
    depends_on_history,
    unknown_name,
)
from neroRL.environments.pictures import rendered
from neroRL.environments.specification import (
    VECTOR,
    Observation,
    SingleEnvironment,
    observation_space,
    vector_space,
)
from neroRL.environments.vector.interface import EpisodeSeeds, VectorEnvironment
from neroRL.errors import Problem

VELOCITIES = [1, 3]


class CartPole(EnvironmentType):
    """Gymnasium's CartPole ids."""

    parameters: ClassVar = {"mask-velocity": Parameter(False)}
    reward_scale: ClassVar[float] = 100.0

    def make(self, config: EnvironmentConfig, worker_id: int) -> SingleEnvironment:  # noqa: ARG002
        """Makes one environment; see the base class."""
        return CartPoleVector(config.name, self.reset_params(config)["mask-velocity"])

    def make_batch(
        self,
        config: EnvironmentConfig,
        single: SingleEnvironment,
        seeds: Sequence[EpisodeSeeds],
    ) -> VectorEnvironment | None:
        """Makes a batch if observations are functions of the state; see the base class."""
        if depends_on_history(config) or not equals_gymnasium(config.name, len(seeds)):
            return None
        masked = VELOCITIES if self.reset_params(config)["mask-velocity"] else []
        scales = [self.reward_scale, config.reward_normalization or 1.0]
        return BatchedCartPole(single, config.name, masked, seeds, scales)

    def pictures(
        self, environment: SingleEnvironment, observation: Observation
    ) -> dict[str, np.ndarray]:
        """Returns cart and pole beside the observation, if pygame is there; see the base class."""
        return {**rendered(environment), **super().pictures(environment, observation)}

    def action_names(
        self,
        counts: Sequence[int],  # noqa: ARG002
        first: Sequence[int],  # noqa: ARG002
    ) -> list[list[str]]:
        """Returns the directions of the push; see the base class."""
        return [["left", "right"]]

    def check_name(self, config: EnvironmentConfig) -> list[Problem]:
        """Refuses ids that are no CartPole."""
        known = [name for name in gymnasium.registry if name.startswith("CartPole-")]
        return [] if config.name in known else [unknown_name(config.name, known, "CartPole id")]


class CartPoleVector(gymnasium.Wrapper[Observation, np.ndarray, np.ndarray, Any]):
    """The cart's position and velocity, the pole's angle and angular velocity, as a vector.

    Args:
        name: id of the environment.
        mask_velocity: whether both velocities read 0.
    """

    env: gymnasium.Env[Any, Any]

    def __init__(self, name: str, mask_velocity: bool) -> None:
        super().__init__(gymnasium.make(name, disable_env_checker=True))
        self._masked = VELOCITIES if mask_velocity else []
        self.observation_space = observation_space({VECTOR: vector_space(4)})
        self.action_space = spaces.MultiDiscrete([2])

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode."""
        state, info = self.env.reset(seed=seed, options=options)
        return self._observation(state), info

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Pushes the cart left (0) or right (1)."""
        state, reward, terminated, truncated, info = self.env.step(action[0])
        return self._observation(state), float(reward), terminated, truncated, info

    def _observation(self, state: np.ndarray) -> Observation:
        state = state.astype(np.float32)
        state[self._masked] = 0.0
        return {VECTOR: state}
