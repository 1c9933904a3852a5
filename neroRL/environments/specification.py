"""What a model needs to know of an environment: the shapes it sees and the actions it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium import spaces

VISUAL, VECTOR = "visual", "vector"

LIFE_LOST = "life_lost"
"""In the info of a step: it ends the episode for the learner, though the episode goes on."""

SUCCESS = "success"
"""In the info of an episode's last step: whether it succeeded, or to which share."""

RAW_REWARD = "raw_reward"
"""In the info of every step: the reward before ``reward_normalization`` and a type's scale."""

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


Simple = tuple[int, ...] | Continuous | Binary
"""The number of choices of each branch, or what the actions are instead."""


@dataclass(frozen=True)
class Mixed:
    """Actions of several kinds side by side.

    Attributes:
        parts: what stands side by side, real numbers last.
    """

    parts: tuple[Simple, ...]


Actions = Simple | Mixed


def has_numbers(actions: Actions) -> bool:
    """Returns whether actions have real numbers, which a Gaussian chooses."""
    if isinstance(actions, Mixed):
        return any(isinstance(part, Continuous) for part in actions.parts)
    return isinstance(actions, Continuous)


class Choices(spaces.MultiDiscrete):
    """Choices from 0, which their environment counts from other numbers.

    Args:
        counts: number of choices of each branch, shape (branches,).
        first: what the environment calls the first of each branch, shape (branches,).
    """

    def __init__(self, counts: np.ndarray, first: np.ndarray) -> None:
        super().__init__(counts)
        self.first = first.tolist()


class MixedSpace(spaces.Box):
    """Choices, bits and real numbers side by side, as one array of float64.

    >>> space = MixedSpace([spaces.Box(-1, 1, (2,)), spaces.MultiDiscrete([3])])
    >>> [part.shape for part in space.parts]  # real numbers are last
    [(1,), (2,)]
    >>> space.split(np.array([2, 0.5, -1]))
    [array([2]), array([ 0.5, -1. ], dtype=float32)]

    Args:
        parts: MultiDiscrete, MultiBinary and Box spaces of one dimension.

    Attributes:
        parts: in the order of the array: real numbers last, otherwise as given.
    """

    def __init__(self, parts: Sequence[spaces.Space[Any]]) -> None:
        self.parts = sorted(parts, key=lambda part: isinstance(part, spaces.Box))
        bounds = [_bounds(part) for part in self.parts]
        self._first = np.cumsum([0, *(len(low) for low, _ in bounds[:-1])])
        low, high = (np.concatenate(side, dtype=np.float64) for side in zip(*bounds, strict=True))
        super().__init__(low, high, dtype=np.float64)

    def split(self, action: np.ndarray) -> list[np.ndarray]:
        """Returns the parts of an action, each with its space's kind of numbers."""
        pieces = np.split(action, self._first[1:])
        return [piece.astype(part.dtype) for piece, part in zip(pieces, self.parts, strict=True)]

    def sample(self, mask: None = None, probability: None = None) -> np.ndarray:  # noqa: ARG002
        """Draws a sample of each part."""
        return np.concatenate([part.sample() for part in self.parts], dtype=np.float64)

    def seed(self, seed: Any = None) -> Any:
        """Seeds every part alike."""
        for part in self.parts:
            part.seed(seed)
        return super().seed(seed)


@dataclass(frozen=True)
class EnvironmentSpec:
    """Observations and actions of one environment.

    Attributes:
        visual: height, width and channels of the image; None without one.
        visual_dtype: uint8 images are divided by 255 by the encoder, float32 ones taken as they
            are.
        vector: length of the float32 vector; None without one.
        actions: number of choices of each action branch, one entry for a discrete space; or real
            numbers, bits, or several of these.
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
            them, and its actions are MultiDiscrete, MultiBinary, a Box or a :class:`MixedSpace`,
            of one dimension.
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
    if isinstance(space, MixedSpace):
        return Mixed(tuple(_simple(part) for part in space.parts))
    return _simple(space)


def _bounds(space: spaces.Space[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the smallest and the largest value of each number of an action."""
    if isinstance(space, spaces.Box):
        return space.low, space.high
    assert isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary)
    assert space.shape is not None
    high = space.nvec - 1 if isinstance(space, spaces.MultiDiscrete) else np.ones(space.shape)
    return np.zeros(space.shape), high


def _simple(space: spaces.Space[Any]) -> Simple:
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
