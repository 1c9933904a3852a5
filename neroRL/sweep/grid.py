"""The grid: the product of all axes, addressed by number and never held as a whole."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from neroRL.errors import Problem


@dataclass(frozen=True)
class Choice:
    """One choice of an axis.

    Attributes:
        value: as it was written.
        override: the Hydra override that makes it, ``key=value``.
        where: ``FILE:LINE`` of the choice.
    """

    value: Any
    override: str
    where: str = ""


@dataclass(frozen=True)
class Axis:
    """A swept key and its choices.

    Attributes:
        key: the dotted path, or the name of a config group.
        choices: in the order they were written, repeated ones included.
        where: ``FILE:LINE`` of the key, or "command line".
        label: the key as it is called in messages, e.g. ``beta_schedule.initial``.
    """

    key: str
    choices: tuple[Choice, ...]
    where: str = ""
    label: str = ""

    def repeated(self) -> list[Choice]:
        """The choices that are listed more than once, once each."""
        counts = Counter(choice.override for choice in self.choices)
        first = {choice.override: choice for choice in reversed(self.choices)}
        return [first[text] for text, count in counts.items() if count > 1]

    def without_repeats(self) -> Axis:
        """This axis with the first of equal choices only."""
        unique = {choice.override: choice for choice in reversed(self.choices)}
        kept = tuple(choice for choice in self.choices if unique[choice.override] is choice)
        return replace(self, choices=kept)


@dataclass(frozen=True)
class Permutation:
    """One point of the grid: a choice of every axis."""

    number: int
    choices: tuple[Choice, ...]

    @property
    def overrides(self) -> list[str]:
        """The overrides that make this permutation."""
        return [choice.override for choice in self.choices]


class Grid(Sequence[Permutation]):
    """All permutations; the last axis varies fastest.

    Args:
        axes: at least one choice each. No axes make a grid of one permutation.
    """

    def __init__(self, axes: Sequence[Axis]) -> None:
        self.axes = tuple(axes)
        self._sizes = [len(axis.choices) for axis in self.axes]

    def __len__(self) -> int:
        return math.prod(self._sizes)

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        if not 0 <= number < len(self):
            raise IndexError(f"permutation {number} of {len(self)}")
        picked: list[Choice] = []
        rest = number
        for axis, size in zip(reversed(self.axes), reversed(self._sizes), strict=True):
            rest, digit = divmod(rest, size)
            picked.append(axis.choices[digit])
        return Permutation(number, tuple(reversed(picked)))

    def __iter__(self) -> Iterator[Permutation]:
        return (self[number] for number in range(len(self)))

    @property
    def keys(self) -> list[str]:
        """The swept keys, in grid order."""
        return [axis.key for axis in self.axes]

    def repeats(self) -> int:
        """How many permutations equal an earlier one."""
        return len(self) - math.prod(len(axis.without_repeats().choices) for axis in self.axes)

    def repeat_notices(self) -> list[Problem]:
        """What to say about choices that are listed more than once."""
        notices = []
        for axis in self.axes:
            for choice in axis.repeated():
                count = sum(other.override == choice.override for other in axis.choices)
                times = "twice" if count == 2 else f"{count} times"
                notices.append(
                    Problem(
                        "",
                        f"{axis.label or axis.key} lists {choice.value} {times}: {self.repeats()} "
                        f"of {len(self)} permutations repeat another; drop them with "
                        "hydra.sweeper.duplicates=drop",
                        axis.where,
                    )
                )
        return notices

    def without_repeats(self) -> Grid:
        """The grid of distinct permutations."""
        return Grid([axis.without_repeats() for axis in self.axes])
