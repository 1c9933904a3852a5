"""Memory Gym (Pleines et al. 2023): Mortar Mayhem, Mystery Path, Searing Spotlights."""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import Any, ClassVar

import gymnasium
import numpy as np

from neroRL.config.schema import EnvironmentConfig
from neroRL.environments.environment_type import SEEDS, EnvironmentType, unknown_name
from neroRL.environments.registered import RegisteredEnvironment
from neroRL.environments.specification import Observation, SingleEnvironment
from neroRL.errors import Problem, did_you_mean

INSTALL = 'pip install "neroRL[memory-gym]" && pip install --no-deps memory-gym==1.0.2'
NAME = "environment.name"
# No display and no sound card are needed.
HEADLESS = {
    "SDL_VIDEODRIVER": "dummy",
    "SDL_AUDIODRIVER": "dummy",
    "PYGAME_HIDE_SUPPORT_PROMPT": "1",
}


class MemoryGym(EnvironmentType):
    """Memory Gym's ids; reset parameters beside the seeds are the environments' own options."""

    any_parameters: ClassVar[bool] = True

    def make(self, config: EnvironmentConfig, worker_id: int) -> SingleEnvironment:  # noqa: ARG002
        """Makes one environment; see the base class."""
        name = _full_name(config.name)
        return MemoryGymEnvironment(gymnasium.make(name, disable_env_checker=True), name, config)

    def check_name(self, config: EnvironmentConfig) -> list[Problem]:
        """Refuses unknown ids, and says how to install the package."""
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
        entry_point = gymnasium.spec(_full_name(config.name)).entry_point
        assert isinstance(entry_point, str)
        environment: Any = gymnasium.envs.registration.load_env_creator(entry_point)
        defaults = environment.default_reset_parameters
        for key in _options(config):
            if key not in defaults:
                message = f"unknown key; allowed are {', '.join(defaults)}"
                message += did_you_mean(key, defaults)
                found.append(Problem(f"environment.reset_params.{key}", message))
        if not found:
            try:
                environment.process_reset_params(_options(config))
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

    def __init__(self, env: gymnasium.Env[Any, Any], name: str, config: EnvironmentConfig) -> None:
        super().__init__(env, name)
        self._options = _options(config)

    def reset(
        self,
        *,
        seed: int | None = None,
        options: dict[str, Any] | None = None,  # noqa: ARG002 - the config's are used
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode."""
        return super().reset(seed=seed, options=dict(self._options))

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Takes one choice a branch."""
        observation, reward, terminated, truncated, info = super().step(action)
        if "success" in info:
            info = {"success": float(info["success"])}
        return observation, reward, terminated, truncated, info


def _options(config: EnvironmentConfig) -> dict[str, Any]:
    return {key: value for key, value in config.reset_params.items() if key not in SEEDS}


def _full_name(name: str) -> str:
    """The registered id; its version may be left out."""
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
