"""Memory Gym (Pleines et al. 2023): Mortar Mayhem, Mystery Path, Searing Spotlights."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Mapping
from typing import Any, ClassVar
from weakref import WeakSet

import gymnasium
import numpy as np

from neroRL.config.schema import EnvironmentConfig
from neroRL.environments.environment_type import SEEDS, EnvironmentType, unknown_name
from neroRL.environments.registered import RegisteredEnvironment
from neroRL.environments.specification import Observation, SingleEnvironment
from neroRL.errors import Problem
from neroRL.texts import did_you_mean

INSTALL = 'pip install "neroRL[memory-gym]" && pip install --no-deps memory-gym==1.0.2'
TOLD_ANYWAY = ("reward", "length", "success")
# No display and no sound card are needed.
HEADLESS = {
    "SDL_VIDEODRIVER": "dummy",
    "SDL_AUDIODRIVER": "dummy",
    "PYGAME_HIDE_SUPPORT_PROMPT": "1",
}

# Options of Mortar Mayhem, in the order in which its longest episode is computed from them.
MORTAR_TIMES = (
    "command_count",
    "command_show_duration",
    "command_show_delay",
    "explosion_delay",
    "explosion_duration",
)


class MemoryGym(EnvironmentType):
    """Memory Gym's ids; reset parameters beside the seeds are the environments' own options."""

    any_parameters: ClassVar[bool] = True

    def make(self, config: EnvironmentConfig, worker_id: int) -> SingleEnvironment:  # noqa: ARG002
        """Makes one environment; see the base class."""
        name = _full_name(config.name)
        return MemoryGymEnvironment(gymnasium.make(name, disable_env_checker=True), name, config)

    def max_episode_steps(self, config: EnvironmentConfig) -> int | None:
        """Computes the length of the longest episode; environments know it after a reset only."""
        environment = _class(config)
        options = _options(config, environment.default_reset_parameters)
        params = environment.process_reset_params(options)
        if "max_steps" in params:
            return params["max_steps"] if params["max_steps"] > 0 else None
        assets = importlib.import_module("memory_gym.pygame_assets")
        # The B variants show no commands.
        times = [int(np.max(params.get(key, 0))) for key in MORTAR_TIMES]
        steps: int = assets.calc_max_episode_steps(*times)
        return steps

    def check_name(self, config: EnvironmentConfig) -> list[Problem]:
        """Refuses unknown ids; says how to install a missing package."""
        if importlib.util.find_spec("memory_gym") is None:
            message = f"MemoryGym needs a package that is not installed: {INSTALL}"
            return [Problem("environment.type", message)]
        known = _registered_names()
        if _full_name(config.name) in known:
            return []
        return [unknown_name(config.name, known, "Memory Gym id")]

    def check_parameters(self, config: EnvironmentConfig) -> list[Problem]:
        """Checks the seeds, and options by the environment's own rules."""
        found = super().check_parameters(config)
        if self.check_name(config):
            return found
        environment = _class(config)
        defaults = environment.default_reset_parameters
        options = _options(config, defaults)
        for key in options:
            if key not in defaults:
                message = f"unknown key; allowed are {', '.join(defaults)}"
                message += did_you_mean(key, defaults)
                found.append(Problem(f"environment.reset_params.{key}", message))
        if not found:
            try:
                environment.process_reset_params(options)
            except Exception as error:  # each environment checks its options in its own way
                reason = str(error) or "a value is out of range"
                found.append(Problem("environment.reset_params", f"refused: {reason}"))
        return found


class MemoryGymEnvironment(RegisteredEnvironment):
    """An image, and with the B variants a vector, reset with the config's options.

    Args:
        env: the environment.
        name: its id.
        config: has the options.
    """

    _open: ClassVar[WeakSet[MemoryGymEnvironment]] = WeakSet()

    def __init__(self, env: gymnasium.Env[Any, Any], name: str, config: EnvironmentConfig) -> None:
        super().__init__(env, name)
        unwrapped: Any = env.unwrapped
        self._options = _options(config, unwrapped.default_reset_parameters)
        self._open.add(self)

    def reset(
        self,
        *,
        seed: int | None = None,
        options: dict[str, Any] | None = None,  # noqa: ARG002 - the config's are used
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode."""
        return super().reset(seed=seed, options=dict(self._options))

    def close(self) -> None:
        """Closes the last open environment only: that ends pygame for the whole process."""
        self._open.discard(self)
        if not self._open:
            super().close()

    def _kept(self, info: Mapping[str, Any]) -> dict[str, Any]:
        """Success, and the environment's own numbers of an episode: commands completed, fails, …"""
        success = {"success": float(info["success"])} if "success" in info else {}
        others = {
            name: float(value)
            for name, value in info.items()
            if name not in TOLD_ANYWAY and isinstance(value, bool | int | float | np.number)
        }
        return {**success, "statistics": others} if others else success


def _class(config: EnvironmentConfig) -> Any:
    """Returns the class of a registered environment."""
    entry_point = gymnasium.spec(_full_name(config.name)).entry_point
    assert isinstance(entry_point, str)
    return gymnasium.envs.registration.load_env_creator(entry_point)


def _options(config: EnvironmentConfig, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the environment's own options.

    Choices an episode draws from are lists; the package's first versions knew one number instead.
    """
    options = {key: value for key, value in config.reset_params.items() if key not in SEEDS}
    for key, value in options.items():
        if isinstance(defaults.get(key), list) and isinstance(value, int | float):
            options[key] = [value]
    return options


def _full_name(name: str) -> str:
    """Returns the registered id; its version may be left out."""
    _register()
    return name if name in gymnasium.registry else f"{name}-v0"


def _registered_names() -> list[str]:
    _register()
    return [
        name
        for name, spec in gymnasium.registry.items()
        if str(spec.entry_point).startswith("memory_gym.")
    ]


def _register() -> None:
    if importlib.util.find_spec("memory_gym") is not None:
        for key, value in HEADLESS.items():
            os.environ.setdefault(key, value)
        importlib.import_module("memory_gym")
