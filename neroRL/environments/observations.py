"""Sorts observations of Gymnasium's spaces into an image and a vector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from neroRL.environments.images import (
    ImageLayout,
    different_sizes,
    image_layout,
    stacked,
    stacked_space,
)
from neroRL.environments.specification import VECTOR, VISUAL, Observation, observation_space
from neroRL.errors import BrokenEnvironmentError, ConfigError, Problem

NAME = "environment.name"
# Longer vectors are a mistake, such as one-hot choices among millions.
MOST_NUMBERS = 2**20
_SUPPORTED = "Box, Discrete, MultiDiscrete, MultiBinary, and Dicts and Tuples of them are supported"


class Part:
    """One part of an observation, as numbers in the order of its space.

    Args:
        keys: under which the nested Dicts and Tuples have it; none if it is the whole observation.
        space: of the part: a Box or MultiBinary.
        name: of the environment, for messages.

    Attributes:
        low: smallest value of each number.
        high: largest value of each.
    """

    def __init__(self, keys: tuple[Any, ...], space: spaces.Space[Any], name: str) -> None:
        self.keys, self.space = keys, space
        self._name = name
        low, high = (space.low, space.high) if isinstance(space, spaces.Box) else (0, 1)
        with np.errstate(over="ignore"):  # bounds beyond float32 are none
            bounds = np.broadcast_arrays(low, high, np.empty(space.shape or ()))[:2]
            self.low, self.high = (bound.astype(np.float32).reshape(-1) for bound in bounds)

    @property
    def shown(self) -> str:
        """The part's name in messages."""
        return ".".join(map(str, self.keys))

    def array(self, given: Any) -> np.ndarray:
        """Returns the part of an observation, with its space's shape and kind of numbers.

        Raises:
            BrokenEnvironmentError: it is missing, or not of its space.
        """
        for key in self.keys:
            if not _has(given, key):
                raise self.broken(f"is missing in {shown(given)}")
            given = given[key]
        array = np.asarray(given)
        if array.shape != self.space.shape:
            raise self.broken(f"has shape {array.shape}; its space has {self.space.shape}")
        dtype: Any = self.space.dtype
        if array.dtype != dtype and not np.can_cast(array.dtype, dtype, "same_kind"):
            raise self.broken(f"is {array.dtype}; its space is {dtype}")
        return array

    def numbers(self, given: Any) -> np.ndarray:
        """Returns the part of an observation as numbers, float32 of shape (count,)."""
        with np.errstate(over="ignore"):  # numbers beyond float32 are refused as infinite
            return self.array(given).astype(np.float32).reshape(-1)

    def broken(self, message: str) -> BrokenEnvironmentError:
        """Returns the error of an observation that is not of its space."""
        observation = " ".join(filter(None, ["the observation", self.shown]))
        return BrokenEnvironmentError(f"{self._name}: {observation} {message}")


class OneHot(Part):
    """Choices of a Discrete or MultiDiscrete space, one-hot side by side.

    Args:
        keys: see the base class.
        space: Discrete or MultiDiscrete.
        name: see the base class.
    """

    def __init__(
        self, keys: tuple[Any, ...], space: spaces.Discrete | spaces.MultiDiscrete, name: str
    ) -> None:
        super().__init__(keys, space, name)
        counts = space.n if isinstance(space, spaces.Discrete) else space.nvec
        self._counts = np.reshape(counts, -1).astype(np.int64)
        self._start = np.reshape(space.start, -1).astype(np.int64)
        self._length = int(self._counts.sum())
        self._first = np.concatenate(([0], np.cumsum(self._counts)[:-1]))
        length = min(self._length, MOST_NUMBERS + 1)
        self.low, self.high = np.zeros(length, np.float32), np.ones(length, np.float32)

    def numbers(self, given: Any) -> np.ndarray:
        """Returns the choices one-hot, float32; see the base class."""
        choices = self.array(given).reshape(-1) - self._start
        if (choices < 0).any() or (choices >= self._counts).any():
            raise self.broken(f"is {given}; its space is {self.space}")
        numbers = np.zeros(self._length, np.float32)
        numbers[self._first + choices] = 1.0
        return numbers


class SortedObservations:
    """Sorts an environment's observations: images are stacked, all else is joined to a vector.

    Args:
        space: of the environment's observations.
        name: of the environment, for messages.

    Attributes:
        space: of the sorted observations.
        image_channels: of each image.

    Raises:
        ConfigError: the space is not supported, or has images of different sizes.
    """

    def __init__(self, space: spaces.Space[Any], name: str) -> None:
        parts = list(_parts(space, (), name))
        boxes = [(part, part.space) for part in parts if isinstance(part.space, spaces.Box)]
        found = {part: image_layout(box) for part, box in boxes}
        layouts = {part: layout for part, layout in found.items() if layout is not None}
        self._images: dict[Part, ImageLayout] = layouts
        self.image_channels = tuple(layout.shape[2] for layout in layouts.values())
        self._vectors = [part for part in parts if part not in layouts]
        length = sum(len(part.low) for part in self._vectors)
        if length > MOST_NUMBERS:
            raise _refused(f"{name} observes more than {MOST_NUMBERS} numbers: {space}")
        sorted_spaces: dict[str, spaces.Space[Any]] = {}
        if layouts:
            message = different_sizes([(part.shown, one.shape) for part, one in layouts.items()])
            if message is not None:
                raise _refused(f"{name} {message}")
            sorted_spaces[VISUAL] = stacked_space([one.space for one in layouts.values()])
        if length:
            low = np.concatenate([part.low for part in self._vectors])
            high = np.concatenate([part.high for part in self._vectors])
            sorted_spaces[VECTOR] = spaces.Box(low, high, dtype=np.float32)
        if not sorted_spaces:
            raise _refused(f"{name} observes nothing: {space}")
        self.space = observation_space(sorted_spaces)

    def sorted(self, given: Any) -> Observation:
        """Returns an observation's images, stacked along their channels, and its vector.

        Raises:
            BrokenEnvironmentError: the observation is not of the environment's own space.
        """
        observation: Observation = {}
        if self._images:
            images = [layout.image(part.array(given)) for part, layout in self._images.items()]
            observation[VISUAL] = stacked(images)
        if self._vectors:
            numbers = [part.numbers(given) for part in self._vectors]
            observation[VECTOR] = numbers[0] if len(numbers) == 1 else np.concatenate(numbers)
        return observation


def _parts(space: spaces.Space[Any], keys: tuple[Any, ...], name: str) -> Iterator[Part]:
    """Yields the parts of an observation, in the order of the keys of Dicts."""
    if isinstance(space, spaces.Dict):
        for key, below in space.spaces.items():
            yield from _parts(below, (*keys, key), name)
    elif isinstance(space, spaces.Tuple):
        for number, below in enumerate(space.spaces):
            yield from _parts(below, (*keys, number), name)
    elif isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        yield OneHot(keys, space, name)
    elif isinstance(space, spaces.Box | spaces.MultiBinary):
        yield Part(keys, space, name)
    else:
        where = ".".join(map(str, keys)) or "the observation"
        raise _refused(f"{name} observes {where}: {space}; only {_SUPPORTED}")


def _has(given: Any, key: Any) -> bool:
    if isinstance(given, Mapping):
        return key in given
    return isinstance(given, Sequence) and isinstance(key, int) and key < len(given)


def _refused(message: str) -> ConfigError:
    return ConfigError([Problem(NAME, message)])


def shown(given: Any) -> str:
    """Describes a returned value in few words."""
    if isinstance(given, tuple):
        return f"a tuple of {len(given)}"
    if isinstance(given, Mapping):
        return f"a dict of {', '.join(map(str, given))}"
    return f"a {type(given).__name__}"
