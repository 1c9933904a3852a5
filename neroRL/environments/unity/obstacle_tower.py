"""Environment type for Obstacle Tower 4 (Juliani et al. 2019); its Python package is not needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

from neroRL.config.schema import EnvironmentConfig
from neroRL.environments.environment_type import SEEDS, Parameter
from neroRL.environments.specification import (
    VECTOR,
    VISUAL,
    Observation,
    SingleEnvironment,
    observation_space,
    vector_space,
)
from neroRL.environments.unity.types import NAME, UnityExecutable, UnityScene, executable
from neroRL.errors import ConfigError, Problem

# The tower's own branches: forward and backward, rotate, jump, left and right.
TOWER_ACTIONS = (3, 3, 2, 3)
BRANCHES = [2, 3, 2]
# Forward, rotate, jump. Jumping is possible only while rotating.
FLAT = np.array(
    [
        (forward, rotate, jump)
        for forward in range(2)
        for rotate, jump in ((0, 0), (1, 0), (1, 1), (2, 0), (2, 1))
    ]
)
THEMES = ("ancient", "moorish", "industrial", "modern", "future")
KEYS = slice(0, 6)
TIME, FLOOR = 6, 7
MOST_TIME = 10000.0
LAST_TOWER_SEED = 99999
# The original's value for transformers; a real episode can be longer, as floors add time.
MAX_EPISODE_STEPS = 2560
RANDOM = -1


@dataclass(frozen=True)
class Switch(Parameter):
    """A reset parameter that is on or off, given as a boolean or as 0 or 1, as the tower does."""

    def problem(self, value: Any) -> str | None:
        """Returns why a value is not allowed; None if it is."""
        if isinstance(value, bool | int | float) and value in (0, 1):
            return None
        return f"{value!r} is not allowed; expected true, false, 1 or 0"


class ObstacleTower(UnityExecutable):
    """The tower's executable; the seed of an episode generates its tower."""

    last_seed: ClassVar[int] = LAST_TOWER_SEED
    parameters: ClassVar = {
        "retro-vis-obs": Parameter(False),
        "flat-action-space": Parameter(False),
        "tower-seed": Parameter(RANDOM, low=RANDOM, high=LAST_TOWER_SEED),
        "starting-floor": Parameter(0, low=0, high=99),
        "total-floors": Parameter(100, low=1, high=100),
        "dense-reward": Parameter(1, choices=(0, 1)),
        "lighting-type": Parameter(1, choices=(0, 1, 2)),
        "visual-theme": Parameter(1, choices=(0, 1, 2)),
        "agent-perspective": Parameter(1, choices=(0, 1)),
        "allowed-rooms": Parameter(2, choices=(0, 1, 2)),
        "allowed-modules": Parameter(2, choices=(0, 1, 2)),
        "allowed-floors": Parameter(2, choices=(0, 1, 2)),
        "default-theme": Parameter(0, choices=(0, 1, 2, 3, 4)),
        **{f"use-{theme}": Switch(True) for theme in THEMES},
        "train-mode": Switch(True),
    }

    def make(self, config: EnvironmentConfig, worker_id: int) -> SingleEnvironment:
        """Starts the tower; see the base class.

        Raises:
            ConfigError: the executable is not an Obstacle Tower.
            TransientError: the executable did not start.
        """
        params = self.reset_params(config)
        retro, flat = params.pop("retro-vis-obs"), params.pop("flat-action-space")
        del params["tower-seed"]  # each episode's seed takes its place
        sent = {key: float(value) for key, value in params.items() if key not in SEEDS}
        scene = UnityScene(executable(config.name), worker_id, sent, seed_parameter="tower-seed")
        try:
            return Tower(scene, retro=retro, flat=flat)
        except BaseException:
            scene.close()
            raise

    def max_episode_steps(self, config: EnvironmentConfig) -> int | None:  # noqa: ARG002
        """Returns the episode length from which the original neroRL computes positions."""
        return MAX_EPISODE_STEPS

    def cautions(self, config: EnvironmentConfig) -> list[Problem]:
        """Warns if ``tower-seed`` is set, which has no effect."""
        seed = config.reset_params.get("tower-seed", RANDOM)
        if seed == RANDOM:
            return []
        message = (
            f"{seed} has no effect: each episode's seed takes its place; to play one tower, "
            f"set start-seed to {seed} and num-seeds to 1"
        )
        return [Problem("environment.reset_params.tower-seed", message)]


class Tower(gymnasium.Wrapper[Observation, np.ndarray, Observation, np.ndarray]):
    """Shows keys and time as a vector or in the image, and leaves out backward and sideways steps.

    Args:
        env: the tower's scene.
        retro: whether keys and time are drawn into the image instead of given as a vector.
        flat: whether there is one branch of 10 actions instead of three branches.

    Raises:
        ConfigError: the scene is not an Obstacle Tower.
    """

    def __init__(self, env: SingleEnvironment, *, retro: bool, flat: bool) -> None:
        super().__init__(env)
        _check_spaces(env)
        self._retro, self._flat = retro, flat
        self.action_space = spaces.MultiDiscrete([len(FLAT)] if flat else BRANCHES)
        assert isinstance(env.observation_space, spaces.Dict)
        parts = {VISUAL: env.observation_space[VISUAL]}
        self.observation_space = observation_space(
            parts if retro else {**parts, VECTOR: vector_space(2)}
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode in a new tower."""
        observation, info = self.env.reset(seed=seed, options=options)
        return self._changed(observation), info

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Takes an action; the info of an episode's last step has the floor that it reached."""
        branches = FLAT[action[0]] if self._flat else action
        observation, reward, terminated, truncated, info = self.env.step(np.append(branches, 0))
        if terminated or truncated:
            info = {**info, "statistics": {"floor": float(observation[VECTOR][FLOOR])}}
        return self._changed(observation), float(reward), terminated, truncated, info

    def _changed(self, observation: Observation) -> Observation:
        told = observation[VECTOR]
        keys = int(told[KEYS].argmax())
        time = float(np.clip(told[TIME], 0.0, MOST_TIME)) / MOST_TIME
        if self._retro:
            return {VISUAL: with_status(observation[VISUAL], keys, time)}
        return {VISUAL: observation[VISUAL], VECTOR: np.array([keys, time], np.float32)}


def with_status(image: np.ndarray, keys: int, time: float) -> np.ndarray:
    """Returns the image with bars at its top: yellow if a key is held, green for the time left.

    Args:
        image: uint8 of shape (height, width, 3).
        keys: number of keys held.
        time: time left, from 0 to 1.
    """
    shown = image.copy()
    width = image.shape[1]
    shown[:20] = 0
    shown[10:20, : int(time * width), 1] = 255
    if keys:
        shown[:10, : width // 5, :2] = 255
    return shown


def _check_spaces(env: SingleEnvironment) -> None:
    assert isinstance(env.observation_space, spaces.Dict)
    parts, action_space = env.observation_space.spaces, env.action_space
    discrete = isinstance(action_space, spaces.MultiDiscrete)
    actions = tuple(action_space.nvec.tolist()) if discrete else action_space
    vector = parts.get(VECTOR)
    long_enough = vector is not None and vector.shape is not None and vector.shape[0] > FLOOR
    if actions != TOWER_ACTIONS or VISUAL not in parts or not long_enough:
        shown = ", ".join(f"{key} {space.shape}" for key, space in parts.items())
        message = (
            f"is no Obstacle Tower of version 4: it has actions {actions} and observes {shown}"
        )
        raise ConfigError([Problem(NAME, message)])
