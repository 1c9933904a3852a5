"""The environment types by name. A new type is one line here, one file, and one YAML."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from neroRL.config.schema import EnvironmentConfig
from neroRL.environments.environment_type import EnvironmentType
from neroRL.errors import ConfigError, Problem
from neroRL.texts import did_you_mean

# Modules are imported when a type is used: none of their packages has to be installed for others.
TYPES = {
    "Atari": "neroRL.environments.atari:Atari",
    "CartPole": "neroRL.environments.cartpole.types:CartPole",
    "Gymnasium": "neroRL.environments.registered:Registered",
    "MemoryGym": "neroRL.environments.memory_gym:MemoryGym",
    "Minigrid": "neroRL.environments.minigrid.types:Minigrid",
    "MinigridVec": "neroRL.environments.minigrid.types:MinigridVec",
    "ObstacleTower": "neroRL.environments.unity.obstacle_tower:ObstacleTower",
    "Unity": "neroRL.environments.unity.types:Unity",
}

# The original's other types, of all its versions.
_NOT_HERE = (
    "Ballet",
    "MarioOdyssey",
    "Pendulum",
    "PoCMemoryEnv",
    "PokeRed",
    "PokeRedV2",
    "POPGym",
    "Procgen",
    "RandomMaze",
)


def environment_type(name: str) -> EnvironmentType:
    """Returns the type of a name.

    Raises:
        ConfigError: there is no such type, with the nearest names.
    """
    if name in TYPES:
        module, attribute = TYPES[name].split(":")
        made: EnvironmentType = getattr(importlib.import_module(module), attribute)()
        return made
    if name in _NOT_HERE:
        message = f"{name} is not available here"
    else:
        message = f"{name} is no environment type{did_you_mean(name, TYPES)}"
    raise ConfigError([Problem("environment.type", f"{message}; allowed are {', '.join(TYPES)}")])


def check(environment: EnvironmentConfig, evaluated: Sequence[int] = ()) -> list[Problem]:
    """Finds everything that keeps an environment's config from working.

    Args:
        environment: the config.
        evaluated: seeds of the evaluation, if there is one.
    """
    try:
        found = environment_type(environment.type)
        seeds = found.check_seeds("evaluation.seeds", evaluated) if evaluated else []
        return found.check(environment) + seeds
    except ConfigError as error:
        return list(error.problems)


def cautions(environment: EnvironmentConfig) -> list[Problem]:
    """Finds what works but is most likely not meant, in a config without problems."""
    return environment_type(environment.type).cautions(environment)


def reset_params(environment: EnvironmentConfig) -> dict[str, Any]:
    """Returns the reset parameters with the documented defaults of the type filled in.

    Raises:
        ConfigError: there is no such type.
    """
    return environment_type(environment.type).reset_params(environment)
