"""Any environment registered with Gymnasium, as far as its spaces suit PPO with categoricals."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from neroRL.config.schema import EnvironmentConfig
from neroRL.environments.environment_type import SEEDS, EnvironmentType, unknown_name
from neroRL.environments.specification import (
    VECTOR,
    VISUAL,
    Observation,
    SingleEnvironment,
    observation_space,
    vector_space,
)
from neroRL.errors import ConfigError, Problem

NAME = "environment.name"
# Packages and modules of well-known namespaces.
_PACKAGES = {"ALE": "ale-py"}
_MODULES = {"ALE": "ale_py"}


class Registered(EnvironmentType):
    """Gymnasium's registered ids; reset parameters beside the seeds are arguments of the id."""

    def make(self, config: EnvironmentConfig, worker_id: int) -> SingleEnvironment:  # noqa: ARG002
        """Makes one environment; see the base class.

        Raises:
            ConfigError: its spaces are not supported.
        """
        made = gymnasium.make(config.name, disable_env_checker=True, **_arguments(config))
        return RegisteredEnvironment(made, config.name)

    def check_name(self, config: EnvironmentConfig) -> list[Problem]:
        """Refuses unknown ids, missing packages and unsuitable spaces."""
        return list(_check(config.name, repr(sorted(_arguments(config).items()))))

    def check_parameters(self, config: EnvironmentConfig) -> list[Problem]:
        """Checks the seeds; the environment itself refuses what it does not know."""
        seeds = {key: value for key, value in config.reset_params.items() if key in SEEDS}
        found = super().check_parameters(EnvironmentConfig(reset_params=seeds))
        if found or self.check_name(config):
            return found
        try:
            self.make(config, 0).close()
        except Exception as error:  # whatever the constructor of a foreign class raises
            shown = f"{type(error).__name__}: {error}".splitlines()[0]
            return [Problem("environment.reset_params", f"{config.name} refuses them: {shown}")]
        return []


def _arguments(config: EnvironmentConfig) -> dict[str, Any]:
    return {
        key.replace("-", "_"): value
        for key, value in config.reset_params.items()
        if key not in SEEDS
    }


@functools.lru_cache(maxsize=256)
def _check(name: str, arguments: str) -> tuple[Problem, ...]:  # noqa: ARG001 - part of the key
    namespace = name.rpartition("/")[0]
    if ":" not in name and namespace in _PACKAGES and name not in gymnasium.registry:
        message = (
            f"{name} needs a package that is not installed: pip install {_PACKAGES[namespace]}"
        )
        return (Problem(NAME, f"{message}; then name it {_MODULES[namespace]}:{name}"),)
    if ":" not in name and name not in gymnasium.registry:
        return (unknown_name(name, list(gymnasium.registry), "id registered with Gymnasium"),)
    try:
        made = gymnasium.make(name, disable_env_checker=True)
    except TypeError:
        return ()  # needs arguments: making it with them tells
    except (gymnasium.error.Error, ImportError) as error:
        return (Problem(NAME, f"{name} cannot be made: {str(error).splitlines()[0]}"),)
    try:
        RegisteredEnvironment(made, name)
    except ConfigError as error:
        return error.problems
    finally:
        made.close()
    return ()


class RegisteredEnvironment(gymnasium.Wrapper[Observation, np.ndarray, Any, Any]):
    """Sorts an environment's observation into an image and a vector, its actions into branches.

    Args:
        env: the environment.
        name: its id, for messages.

    Raises:
        ConfigError: its observations are no Box and no Dict of Boxes, several of them are images,
            or its actions are neither Discrete nor MultiDiscrete.
    """

    env: gymnasium.Env[Any, Any]

    def __init__(self, env: gymnasium.Env[Any, Any], name: str) -> None:
        super().__init__(env)
        self.action_space = spaces.MultiDiscrete(_branches(env.action_space, name))
        self._single = isinstance(env.action_space, spaces.Discrete)
        self._offset = _offset(env.action_space)
        space = env.observation_space
        boxes: Mapping[str, spaces.Space[Any]] = (
            space.spaces if isinstance(space, spaces.Dict) else {"": space}
        )
        self._plain_box = not isinstance(space, spaces.Dict)
        self._image = _image_key(boxes, name)
        self._vectors = [key for key in boxes if key != self._image]
        sorted_spaces: dict[str, spaces.Space[Any]] = {}
        if self._image is not None:
            sorted_spaces[VISUAL] = boxes[self._image]
        if self._vectors:
            length = sum(int(np.prod(boxes[key].shape or ())) for key in self._vectors)
            sorted_spaces[VECTOR] = vector_space(length)
        self.observation_space = observation_space(sorted_spaces)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode."""
        given, _ = self.env.reset(seed=seed, options=options)
        return self._sorted(given), {}

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Takes one choice a branch."""
        taken = action + self._offset
        given, reward, terminated, truncated, info = self.env.step(
            int(taken[0]) if self._single else taken
        )
        told = self._told(info)
        return self._sorted(given), float(reward), bool(terminated), bool(truncated), told

    def _told(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """What is kept of the environment's info."""
        return {"success": info["success"]} if "success" in info else {}

    def _sorted(self, given: Any) -> Observation:
        parts = {"": given} if self._plain_box else given
        observation: Observation = {}
        if self._image is not None:
            observation[VISUAL] = np.asarray(parts[self._image])
        if self._vectors:
            flat = [np.asarray(parts[key], np.float32).reshape(-1) for key in self._vectors]
            observation[VECTOR] = flat[0] if len(flat) == 1 else np.concatenate(flat)
        return observation


def _branches(space: spaces.Space[Any], name: str) -> list[int]:
    if isinstance(space, spaces.Discrete):
        return [int(space.n)]
    if isinstance(space, spaces.MultiDiscrete) and len(space.nvec.shape) == 1:
        return [int(count) for count in space.nvec]
    message = f"{name} has the action space {space}; only Discrete and MultiDiscrete are supported"
    raise ConfigError([Problem(NAME, message)])


def _offset(space: spaces.Space[Any]) -> np.ndarray:
    return np.asarray(getattr(space, "start", 0)).reshape(-1)


def _image_key(boxes: Mapping[str, spaces.Space[Any]], name: str) -> str | None:
    others = [key for key, space in boxes.items() if not isinstance(space, spaces.Box)]
    if others:
        shown = ", ".join(f"{key or 'the observation'}: {boxes[key]}" for key in others)
        message = f"{name} observes {shown}; only a Box or a Dict of Boxes is supported"
        raise ConfigError([Problem(NAME, message)])
    images = [
        key
        for key, space in boxes.items()
        if len(space.shape or ()) == 3 and space.dtype == np.uint8
    ]
    if len(images) > 1:
        message = f"{name} observes several images ({', '.join(images)}); one is supported"
        raise ConfigError([Problem(NAME, message)])
    return images[0] if images else None
