"""Checks whether a model fits its environment, without building it."""

from __future__ import annotations

from neroRL.config import Config
from neroRL.config.convolutions import allowed_sizes, feature_map
from neroRL.config.schema import WHOLE_EPISODE, EnvironmentConfig
from neroRL.environments.specification import EnvironmentSpec
from neroRL.errors import Problem

TRANSFORMER = "model.transformer"
LENGTH, ENCODING = f"{TRANSFORMER}.memory_length", f"{TRANSFORMER}.positional_encoding"


def misfits(config: Config) -> list[Problem]:
    """Finds problems that keep the model from being built for the environment.

    Args:
        config: its environment is checked.
    """
    return _check_image(config) + _check_positions(config)


def position_cautions(config: Config) -> list[Problem]:
    """Finds notices on a transformer's memory length and positions in this environment."""
    transformer = config.model.transformer
    if transformer is None:
        return []
    found = []
    steps = max_episode_steps(config.environment)
    unknown = f"{config.environment.name} does not tell how long its episodes can be"
    if transformer.memory_length == WHOLE_EPISODE:
        length = f"of at most {steps} steps" if steps is not None else f"({unknown})"
        message = f"{WHOLE_EPISODE} attends to all past steps of the episode {length}"
        found.append(Problem(LENGTH, message))
    if steps is None and transformer.positional_encoding == "absolute":
        message = "positions are counted from an episode's first step, not from the longest's end"
        found.append(Problem(ENCODING, f"{unknown}: {message}"))
    if steps is None and transformer.positional_encoding == "learned":
        message = f"{transformer.memory_length} positions are learned, and longer episodes go round"
        found.append(Problem(ENCODING, f"{unknown}: {message}"))
    return found


def _check_image(config: Config) -> list[Problem]:
    width, height = config.environment.resize_vis_obs
    encoder = config.model.vis_encoder
    if feature_map(encoder, height, width) is not None:
        return []
    found = specification_of(config.environment)
    if found is None or found.visual is None:  # a process tells when it starts
        return []
    message = f"{width} x {height} is too small for {encoder}; expected {allowed_sizes(encoder)}"
    return [Problem("environment.resize_vis_obs", message)]


def _check_positions(config: Config) -> list[Problem]:
    transformer = config.model.transformer
    if transformer is None or transformer.positional_encoding != "learned":
        return []
    if (
        transformer.memory_length != WHOLE_EPISODE
        or max_episode_steps(config.environment) is not None
    ):
        return []
    message = (
        f"{WHOLE_EPISODE} leaves open how many positions are learned: {config.environment.name} "
        "does not tell how long its episodes can be; give a number of steps"
    )
    return [Problem(LENGTH, message)]


def specification_of(environment: EnvironmentConfig) -> EnvironmentSpec | None:
    """Returns the shapes of a checked environment; None where a process would have to start."""
    from neroRL.environments.factory import specification  # few configs need it

    return specification(environment)


def max_episode_steps(environment: EnvironmentConfig) -> int | None:
    """Returns the actions of a checked environment's longest episode; None where it tells none."""
    from neroRL.environments import factory

    return factory.max_episode_steps(environment)
