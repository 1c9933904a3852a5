"""What a model needs to know of an environment: the shapes it sees and the actions it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces

VISUAL, VECTOR = "visual", "vector"

Observation = dict[str, np.ndarray]
SingleEnvironment = gymnasium.Env[Observation, np.ndarray]


@dataclass(frozen=True)
class Continuous:
    """Actions of real numbers.

    Attributes:
        low: smallest value of each number that the environment takes; infinite without a bound.
        high: largest value of each.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Binary:
    """Actions of bits.

    Attributes:
        count: number of bits.
    """

    count: int


Actions = tuple[int, ...] | Continuous | Binary
"""The number of choices of each branch, or what the actions are instead."""


@dataclass(frozen=True)
class EnvironmentSpec:
    """Observations and actions of one environment.

    Attributes:
        visual: height, width and channels of the image; None without one.
        visual_dtype: uint8 images are divided by 255 by the encoder, float32 ones taken as they
            are.
        vector: length of the float32 vector; None without one.
        actions: number of choices of each action branch, one entry for a discrete space; or real
            numbers or bits.
        max_episode_steps: actions of the longest episode; None where it is not known.
    """

    visual: tuple[int, int, int] | None
    visual_dtype: Literal["uint8", "float32"]
    vector: int | None
    actions: Actions
    max_episode_steps: int | None = None


def specification_of(environment: SingleEnvironment) -> EnvironmentSpec:
    """Reads the specification from an environment's spaces.

    Args:
        environment: its observations are a Dict of a ``visual`` and a ``vector`` Box, or of one of
            them, and its actions are MultiDiscrete, MultiBinary or a Box, of one dimension.
    """
    observations = environment.observation_space
    assert isinstance(observations, spaces.Dict)
    visual, vector = observations.get(VISUAL), observations.get(VECTOR)
    height_width_channels = None
    if visual is not None:
        assert visual.shape is not None
        height, width, channels = visual.shape
        height_width_channels = (height, width, channels)
    return EnvironmentSpec(
        visual=height_width_channels,
        visual_dtype="float32" if visual is not None and visual.dtype == np.float32 else "uint8",
        vector=vector.shape[0] if vector is not None and vector.shape else None,
        actions=_actions_of(environment.action_space),
    )


def _actions_of(space: spaces.Space[Any]) -> Actions:
    if isinstance(space, spaces.Box):
        return Continuous(tuple(space.low.tolist()), tuple(space.high.tolist()))
    if isinstance(space, spaces.MultiBinary):
        assert space.shape is not None
        return Binary(space.shape[0])
    assert isinstance(space, spaces.MultiDiscrete)
    return tuple(int(count) for count in space.nvec)


def told_max_episode_steps(environment: SingleEnvironment) -> int | None:
    """Reads the steps of the longest episode from an environment; None where it does not tell.

    Its time limit tells, as Gymnasium's specification has it, or its attribute
    ``max_episode_steps``.
    """
    limit = environment.spec.max_episode_steps if environment.spec is not None else None
    steps = getattr(environment.unwrapped, "max_episode_steps", None) if limit is None else limit
    return steps if isinstance(steps, int) and steps > 0 else None


def observation_space(boxes: Mapping[str, spaces.Space[Any]]) -> spaces.Space[Observation]:
    """Returns the Dict space of an observation's parts."""
    space: Any = spaces.Dict(dict(boxes))
    typed: spaces.Space[Observation] = space
    return typed


def image_space(
    height: int, width: int, channels: int, dtype: type[np.uint8 | np.float32] = np.uint8
) -> spaces.Box:
    """Returns the space of an image of 8 bits, from 0 to 255, or of floats from 0 to 1."""
    return spaces.Box(0, 255 if dtype is np.uint8 else 1, (height, width, channels), dtype)


def vector_space(length: int) -> spaces.Box:
    """Returns the space of a vector of any numbers."""
    return spaces.Box(-np.inf, np.inf, (length,), np.float32)
