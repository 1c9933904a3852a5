"""The parts of a search space: axes and their choices, exclusions, permutations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Choice:
    """One choice of an axis.

    Attributes:
        key: of the axis.
        value: as written.
        override: the Hydra override that sets it, ``key=value``.
        where: ``FILE:LINE`` of the choice.
    """

    key: str
    value: Any
    override: str
    where: str = ""

    def is_of(self, value: Any) -> bool:
        """Returns whether the choice has a value: 1 and 1.0 are the same, 1 and True are not."""
        return same_value(self.value, value)


@dataclass(frozen=True)
class Axis:
    """A swept key and its choices.

    Attributes:
        key: the dotted path, or the name of a config group.
        choices: in the order of the file, repeated ones included.
        where: ``FILE:LINE`` of the key, or "command line".
        label: the name of the key in messages, e.g. ``beta_schedule.initial``.
    """

    key: str
    choices: tuple[Choice, ...]
    where: str = ""
    label: str = ""

    @property
    def name(self) -> str:
        """The name of the key in messages."""
        return self.label or self.key

    def repeated(self) -> list[Choice]:
        """Returns each choice that is listed more than once."""
        counts = Counter(choice.override for choice in self.choices)
        first = {choice.override: choice for choice in reversed(self.choices)}
        return [first[text] for text, count in counts.items() if count > 1]


Tied = tuple[Axis, ...]
"""Axes that change together: they have equally many choices, and move through them in step."""


@dataclass(frozen=True)
class Exclusion:
    """A part of a search space that is left out: all permutations with certain values.

    Attributes:
        values: for each key, the values that it names; a permutation must have one of them.
        where: ``FILE:LINE`` of the exclusion.
    """

    values: Mapping[str, Sequence[Any]]
    where: str = ""

    def has(self, values: Mapping[str, Any]) -> bool:
        """Returns whether a permutation with some values is left out."""
        return all(
            key in values and any(same_value(values[key], one) for one in named)
            for key, named in self.values.items()
        )


@dataclass(frozen=True)
class Permutation:
    """One point of a search space.

    Attributes:
        number: from 0, without gaps.
        choices: one of each axis that applies, in the order of the axes.
        unchanged: values that the base config gives to swept keys that have no choice here.
    """

    number: int
    choices: tuple[Choice, ...]
    unchanged: Mapping[str, Any] = field(default_factory=dict)

    @property
    def overrides(self) -> list[str]:
        """The overrides of this permutation."""
        return [choice.override for choice in self.choices]

    @property
    def values(self) -> dict[str, Any]:
        """The swept keys that apply, and their values."""
        return {**self.unchanged, **{choice.key: choice.value for choice in self.choices}}


@dataclass(frozen=True)
class Places:
    """The keys that do not apply beside some choices.

    Attributes:
        deciding: keys of the axes that decide which other keys exist, in grid order.
        absent: maps the overrides of their choices, in that order, to the keys that do not apply;
            combinations beside which all keys apply are left out.
    """

    deciding: tuple[str, ...] = ()
    absent: Mapping[tuple[str, ...], frozenset[str]] = field(default_factory=dict)


def same_value(a: Any, b: Any) -> bool:
    """Returns whether two values are the same: 1 and 1.0 are, 1 and True are not."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same_value, a, b))
    numbers = all(isinstance(x, int | float) and not isinstance(x, bool) for x in (a, b))
    return bool(a == b) and (numbers or type(a) is type(b))


@dataclass(frozen=True)
class Product:
    """A grid as it is written, before it is known where its keys apply.

    Attributes:
        dimensions: the axes; those that change together are one dimension.
        exclude: what is left out.
    """

    dimensions: tuple[Tied, ...] = ()
    exclude: tuple[Exclusion, ...] = ()

    @property
    def axes(self) -> list[Axis]:
        """All axes, in order."""
        return [axis for dimension in self.dimensions for axis in dimension]

    def __add__(self, other: Product) -> Product:
        return Product(self.dimensions + other.dimensions, self.exclude + other.exclude)
