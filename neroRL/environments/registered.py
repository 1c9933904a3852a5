"""Any environment registered with Gymnasium, as far as its spaces suit PPO with categoricals."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

from neroRL.config.schema import EnvironmentConfig
from neroRL.environments.environment_type import (
    MINIGRID_IDS,
    SEEDS,
    EnvironmentType,
    unknown_name,
)
from neroRL.environments.images import image_layout
from neroRL.environments.pictures import rendered
from neroRL.environments.specification import (
    VECTOR,
    VISUAL,
    Observation,
    SingleEnvironment,
    observation_space,
)
from neroRL.errors import BrokenEnvironmentError, ConfigError, Problem

NAME = "environment.name"
# The package, and the module that registers its ids, of a well-known namespace.
_PACKAGES = {"ALE": ("ale-py", "ale_py")}
_ATARI = re.compile(r".+(NoFrameskip|Deterministic|-ram)-v\d+")
_PAIR, _QUINTUPLE = 2, 5


class Registered(EnvironmentType):
    """Gymnasium's registered ids; reset parameters beside the seeds are arguments of the id."""

    any_parameters: ClassVar[bool] = True

    def make(self, config: EnvironmentConfig, worker_id: int) -> SingleEnvironment:  # noqa: ARG002
        """Makes one environment; see the base class.

        Raises:
            ConfigError: its spaces are not supported.
        """
        made = gymnasium.make(config.name, disable_env_checker=True, **_arguments(config))
        return RegisteredEnvironment(made, config.name)

    def check_name(self, config: EnvironmentConfig) -> list[Problem]:
        """Refuses unknown ids; a module before a colon is imported when the id is tried."""
        name = config.name
        if ":" in name:
            return []
        if name.startswith(MINIGRID_IDS):
            message = f"{name} is a MiniGrid id; expected Minigrid or MinigridVec for it"
            return [Problem("environment.type", message)]
        if name in gymnasium.registry:
            return []
        namespace = "ALE" if _ATARI.fullmatch(name) else name.rpartition("/")[0]
        if namespace not in _PACKAGES:
            return [unknown_name(name, list(gymnasium.registry), "id registered with Gymnasium")]
        package, module = _PACKAGES[namespace]
        if importlib.util.find_spec(module) is not None:
            message = f"{name} is registered by {module}; name it {module}:{name}"
        else:
            message = f"{name} needs a package that is not installed: pip install {package}; "
            message += f"then name it {module}:{name}"
        return [Problem(NAME, message)]

    def pictures(
        self, environment: SingleEnvironment, observation: Observation
    ) -> dict[str, np.ndarray]:
        """Returns what the environment renders beside the observation; see the base class."""
        return {**rendered(environment), **super().pictures(environment, observation)}

    def is_foreign(self, config: EnvironmentConfig) -> bool:
        """Returns whether the id names a module, whose code is not known."""
        return ":" in config.name


def _arguments(config: EnvironmentConfig) -> dict[str, Any]:
    return {
        key.replace("-", "_"): value
        for key, value in config.reset_params.items()
        if key not in SEEDS
    }


class RegisteredEnvironment(gymnasium.Wrapper[Observation, np.ndarray, Any, Any]):
    """Sorts an environment's observation into an image and a vector, its actions into branches.

    The vector joins everything that is no image, in the order of the space's keys.

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
        self._name = name
        self.action_space = spaces.MultiDiscrete(_branches(env.action_space, name))
        self._single = isinstance(env.action_space, spaces.Discrete)
        self._offset = _offset(env.action_space)
        self._plain_box = not isinstance(env.observation_space, spaces.Dict)
        self._boxes = _boxes(env.observation_space, name)
        layouts = {key: image_layout(box) for key, box in self._boxes.items()}
        images = [key for key, layout in layouts.items() if layout is not None]
        if len(images) > 1:
            message = f"{name} observes several images ({', '.join(images)}); one is supported"
            raise ConfigError([Problem(NAME, message)])
        self._image = images[0] if images else None
        self._layout = layouts[images[0]] if images else None
        self._vectors = [key for key in self._boxes if key != self._image]
        sorted_spaces: dict[str, spaces.Space[Any]] = {}
        if self._layout is not None:
            sorted_spaces[VISUAL] = self._layout.space
        if self._vectors:
            sorted_spaces[VECTOR] = _joined([self._boxes[key] for key in self._vectors])
        self.observation_space = observation_space(sorted_spaces)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode.

        Raises:
            BrokenEnvironmentError: the observation is not of the environment's own space.
        """
        given = self.env.reset(seed=seed, options=options)
        if not isinstance(given, tuple) or len(given) != _PAIR:
            raise self._broken(f"reset() gave {_shown(given)}; expected (observation, info)")
        return self._sorted(given[0]), {}

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Takes one choice per branch.

        Raises:
            BrokenEnvironmentError: the observation is not of the environment's own space.
        """
        taken = action + self._offset
        given = self.env.step(int(taken[0]) if self._single else taken)
        if not isinstance(given, tuple) or len(given) != _QUINTUPLE:
            expected = "(observation, reward, terminated, truncated, info)"
            raise self._broken(f"step() gave {_shown(given)}; expected {expected}")
        observation, reward, terminated, truncated, info = given
        told = self._told(info)
        return self._sorted(observation), float(reward), bool(terminated), bool(truncated), told

    def _told(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the part of the environment's info that is kept."""
        return {"success": info["success"]} if "success" in info else {}

    def _sorted(self, given: Any) -> Observation:
        parts = {"": given} if self._plain_box else given
        observation: Observation = {}
        if self._image is not None and self._layout is not None:
            observation[VISUAL] = self._layout.image(self._part(parts, self._image))
        if self._vectors:
            flat = [self._part(parts, key).astype(np.float32).reshape(-1) for key in self._vectors]
            observation[VECTOR] = flat[0] if len(flat) == 1 else np.concatenate(flat)
        return observation

    def _part(self, parts: Any, key: str) -> np.ndarray:
        """Returns one part of an observation, with its space's shape and kind of numbers."""
        box = self._boxes[key]
        shown = f"observation {key}" if key else "observation"
        if not isinstance(parts, Mapping) or key not in parts:
            raise self._broken(f"the {shown} is missing in {_shown(parts)}")
        array = np.asarray(parts[key])
        if array.shape != box.shape:
            message = f"the {shown} has shape {array.shape}; its space has {box.shape}"
            raise self._broken(message)
        if array.dtype != box.dtype and not np.can_cast(array.dtype, box.dtype, "same_kind"):
            raise self._broken(f"the {shown} is {array.dtype}; its space is {box.dtype}")
        return array

    def _broken(self, message: str) -> BrokenEnvironmentError:
        return BrokenEnvironmentError(f"{self._name}: {message}")


def _branches(space: spaces.Space[Any], name: str) -> list[int]:
    if isinstance(space, spaces.Discrete):
        return [int(space.n)]
    if isinstance(space, spaces.MultiDiscrete) and len(space.nvec.shape) == 1:
        return [int(count) for count in space.nvec]
    message = f"{name} has the action space {space}; only Discrete and MultiDiscrete are supported"
    raise ConfigError([Problem(NAME, message)])


def _offset(space: spaces.Space[Any]) -> np.ndarray:
    return np.asarray(getattr(space, "start", 0)).reshape(-1)


def _boxes(space: spaces.Space[Any], name: str) -> dict[str, spaces.Box]:
    """Returns the parts of an observation; a Box alone is the part with the empty name."""
    parts = space.spaces if isinstance(space, spaces.Dict) else {"": space}
    others = [key for key, part in parts.items() if not isinstance(part, spaces.Box)]
    if others:
        shown = ", ".join(f"{key or 'the observation'}: {parts[key]}" for key in others)
        message = f"{name} observes {shown}; only a Box or a Dict of Boxes is supported"
        raise ConfigError([Problem(NAME, message)])
    return {key: part for key, part in parts.items() if isinstance(part, spaces.Box)}


def _joined(boxes: Sequence[spaces.Box]) -> spaces.Box:
    """Returns the space of the vector that joins some Boxes."""
    low = np.concatenate([box.low.reshape(-1) for box in boxes])
    high = np.concatenate([box.high.reshape(-1) for box in boxes])
    return spaces.Box(low.astype(np.float32), high.astype(np.float32), dtype=np.float32)


def _shown(given: Any) -> str:
    """Describes a returned value in few words."""
    if isinstance(given, tuple):
        return f"a tuple of {len(given)}"
    if isinstance(given, Mapping):
        return f"a dict of {', '.join(map(str, given))}"
    return f"a {type(given).__name__}"
