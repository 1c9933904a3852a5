"""Any environment registered with Gymnasium, as far as its spaces are supported."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np

from neroRL.config.schema import EnvironmentConfig
from neroRL.environments.actions import action_form
from neroRL.environments.environment_type import (
    MINIGRID_IDS,
    SEEDS,
    EnvironmentType,
    unknown_name,
)
from neroRL.environments.observations import NAME, SortedObservations, shown
from neroRL.environments.pictures import rendered
from neroRL.environments.specification import SUCCESS, Observation, SingleEnvironment
from neroRL.errors import BrokenEnvironmentError, Problem

# The extra, and the module that registers its ids, of a well-known namespace.
_NAMESPACES = {"ALE": ("atari", "ale_py")}
# The extra, and the module that is missing without it, of Gymnasium's own environments.
_PACKAGES = {
    "gymnasium.envs.box2d": ("box2d", "Box2D"),
    "gymnasium.envs.mujoco": ("mujoco", "mujoco"),
}
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
        if self.is_foreign(config) and (here := str(Path.cwd())) not in sys.path:
            sys.path.append(here)  # last, so that it hides no other module
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
            return _missing_package(name)
        namespace = "ALE" if _ATARI.fullmatch(name) else name.rpartition("/")[0]
        if namespace not in _NAMESPACES:
            return [unknown_name(name, list(gymnasium.registry), "id registered with Gymnasium")]
        extra, module = _NAMESPACES[namespace]
        if importlib.util.find_spec(module) is not None:
            message = f"{name} is registered by {module}; name it {module}:{name}"
        else:
            message = f"{needs_extra(name, extra)}; then name it {module}:{name}"
        if name.startswith("ALE/"):
            message += ", or choose the environment type Atari, which adds the usual wrappers"
        return [Problem(NAME, message)]

    def check_parameters(self, config: EnvironmentConfig) -> list[Problem]:
        """Refuses two names of the same argument, one of which would win unseen."""
        given: dict[str, str] = {}
        found = super().check_parameters(config)
        for key in [key for key in config.reset_params if key not in SEEDS]:
            other = given.setdefault(key.replace("-", "_"), key)
            if other != key:
                message = f"is the same argument as {other}; expected one of them"
                found.append(Problem(f"environment.reset_params.{key}", message))
        return found

    def pictures(
        self, environment: SingleEnvironment, observation: Observation
    ) -> dict[str, np.ndarray]:
        """Returns what the environment renders beside the observation; see the base class."""
        return {**rendered(environment), **super().pictures(environment, observation)}

    def is_foreign(self, config: EnvironmentConfig) -> bool:
        """Returns whether the id names a module, whose code is not known."""
        return ":" in config.name


def _missing_package(name: str) -> list[Problem]:
    """Returns the problem that the package of one of Gymnasium's own ids is not installed."""
    entry_point = str(gymnasium.registry[name].entry_point)
    for prefix, (extra, module) in _PACKAGES.items():
        if entry_point.startswith(prefix) and importlib.util.find_spec(module) is None:
            return [Problem(NAME, needs_extra(name, extra))]
    return []


def needs_extra(name: str, extra: str) -> str:
    """Returns the message that an environment's package is not installed.

    Args:
        name: of the environment.
        extra: of neroRL that installs it.
    """
    return f'{name} needs a package that is not installed: pip install "neroRL[{extra}]"'


def _arguments(config: EnvironmentConfig) -> dict[str, Any]:
    return {
        key.replace("-", "_"): value
        for key, value in config.reset_params.items()
        if key not in SEEDS
    }


class RegisteredEnvironment(gymnasium.Wrapper[Observation, np.ndarray, Any, Any]):
    """Sorts an environment's observation into images and a vector, and flattens its actions.

    Args:
        env: the environment.
        name: its id, for messages.

    Attributes:
        image_channels: of each image, which are stacked.

    Raises:
        ConfigError: its spaces are not supported.
    """

    env: gymnasium.Env[Any, Any]

    def __init__(self, env: gymnasium.Env[Any, Any], name: str) -> None:
        super().__init__(env)
        self._name = name
        self._actions = action_form(env.action_space, name)
        self._observations = SortedObservations(env.observation_space, name)
        self.action_space = self._actions.space
        self.observation_space = self._observations.space
        self.image_channels = self._observations.image_channels

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode.

        Raises:
            BrokenEnvironmentError: the observation is not of the environment's own space.
        """
        given = self.env.reset(seed=seed, options=options)
        if not isinstance(given, tuple) or len(given) != _PAIR:
            raise self._broken(f"reset() gave {shown(given)}; expected (observation, info)")
        return self._observations.sorted(given[0]), {}

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Takes an action, of one dimension.

        Raises:
            BrokenEnvironmentError: the observation is not of the environment's own space, the
                reward is no number, or whether the episode ended is neither true nor false.
        """
        given = self.env.step(self._actions.given(action))
        if not isinstance(given, tuple) or len(given) != _QUINTUPLE:
            expected = "(observation, reward, terminated, truncated, info)"
            raise self._broken(f"step() gave {shown(given)}; expected {expected}")
        observed, reward, terminated, truncated, info = given
        if not isinstance(info, Mapping):
            raise self._broken(f"step() gave {shown(info)} as its info; expected a dict")
        observation, told = self._observations.sorted(observed), self._kept(info)
        if type(terminated) is not bool or type(truncated) is not bool:
            terminated = self._flag("terminated", terminated)
            truncated = self._flag("truncated", truncated)
        return observation, self._number(reward), terminated, truncated, told

    def _flag(self, name: str, given: Any) -> bool:
        if isinstance(given, bool | np.bool_ | int | np.integer) and given in (0, 1):
            return bool(given)
        raise self._broken(f"step() gave {given!r} as {name}; expected true or false")

    def _number(self, reward: Any) -> float:
        if isinstance(reward, str | bytes):  # of a number, float() would read it
            raise self._no_number(reward)
        try:
            return float(reward)
        except (TypeError, ValueError, RuntimeError, OverflowError):
            raise self._no_number(reward) from None

    def _no_number(self, reward: Any) -> BrokenEnvironmentError:
        return self._broken(f"step() gave a reward of {reward!r}; expected a number")

    def _kept(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the part of the environment's info that is kept."""
        return {SUCCESS: info[SUCCESS]} if SUCCESS in info else {}

    def _broken(self, message: str) -> BrokenEnvironmentError:
        return BrokenEnvironmentError(f"{self._name}: {message}")
