"""The grid: all permutations of the axes' choices, addressed by number and never held as a whole.

Usually the grid is the product of its axes. But some keys do not apply beside some choices of other
axes: a policy without memory has no ``hidden_state_size`` of a recurrence. Permutations that would
differ only in such a key are one permutation.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from neroRL.errors import Problem


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

    def without_repeats(self) -> Axis:
        """Returns this axis without its repeated choices."""
        unique = {choice.override: choice for choice in reversed(self.choices)}
        kept = tuple(choice for choice in self.choices if unique[choice.override] is choice)
        return replace(self, choices=kept)


@dataclass(frozen=True)
class Permutation:
    """One point of the grid.

    Attributes:
        number: from 0, without gaps.
        choices: one of each axis that applies, in the order of the axes.
    """

    number: int
    choices: tuple[Choice, ...]

    @property
    def overrides(self) -> list[str]:
        """The overrides of this permutation."""
        return [choice.override for choice in self.choices]

    @property
    def values(self) -> dict[str, Any]:
        """The swept keys that apply, and their values."""
        return {choice.key: choice.value for choice in self.choices}


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

    def absent_in(self, permutation: Permutation) -> frozenset[str]:
        """Returns the keys that do not apply in a permutation."""
        return self.absent.get(self.decided(permutation), frozenset())

    def decided(self, permutation: Permutation) -> tuple[str, ...]:
        """Returns the overrides of a permutation's deciding choices."""
        return tuple(c.override for c in permutation.choices if c.key in self.deciding)


# Combinations of deciding choices that the first choices of a permutation still allow.
_Open = frozenset[tuple[int, ...]]


@dataclass(frozen=True)
class _Node:
    """All permutations that share their choices of the first axes.

    Attributes:
        starts: for each choice of the next axis, the number of permutations before its first one;
            then the number of all.
        below: the node after each choice.
        absent: of a leaf, the indices of the axes that do not apply.
    """

    starts: Sequence[int]
    below: Sequence[_Node | None] = ()
    absent: frozenset[int] = frozenset()

    @property
    def count(self) -> int:
        return self.starts[-1]


class Grid(Sequence[Permutation]):
    """All permutations; the last axis varies fastest.

    Args:
        axes: each with at least one choice. Without axes the grid has one permutation.
        places: the keys that do not apply beside some choices.

    Example:
        >>> def axis(key, *values):
        ...     return Axis(key, tuple(Choice(key, v, f"{key}={v}") for v in values))
        >>> grid = Grid([axis("gamma", 0.9, 0.99), axis("epochs", 2, 3, 4)])
        >>> len(grid), grid[4].overrides
        (6, ['gamma=0.99', 'epochs=3'])
        >>> places = Places(("memory",), {("memory=none",): frozenset({"size"})})
        >>> grid = Grid([axis("memory", "none", "gru"), axis("size", 64, 128)], places)
        >>> [permutation.values for permutation in grid]
        [{'memory': 'none'}, {'memory': 'gru', 'size': 64}, {'memory': 'gru', 'size': 128}]
    """

    def __init__(self, axes: Sequence[Axis], places: Places | None = None) -> None:
        self.axes = tuple(axes)
        self.places = places or Places()
        keys = self.keys
        self._deciding = [i for i, key in enumerate(keys) if key in self.places.deciding]
        self._absent: dict[tuple[int, ...], frozenset[int]] = {}
        for digits in itertools.product(*(range(len(axes[i].choices)) for i in self._deciding)):
            overrides = tuple(
                axes[i].choices[digit].override
                for i, digit in zip(self._deciding, digits, strict=True)
            )
            gone = self.places.absent.get(overrides, frozenset())
            self._absent[digits] = frozenset(i for i, key in enumerate(keys) if key in gone)
        self._nodes: dict[tuple[int, _Open], _Node] = {}
        self._root = self._node(0, frozenset(self._absent))

    def __len__(self) -> int:
        return self.size

    @property
    def size(self) -> int:
        """The number of permutations, which may exceed the limit of ``len``."""
        return self._root.count

    @property
    def product(self) -> int:
        """The number of permutations if every key applied everywhere."""
        return math.prod(len(axis.choices) for axis in self.axes)

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        digits, absent = self._find(number)
        choices = tuple(
            axis.choices[digit]
            for index, (axis, digit) in enumerate(zip(self.axes, digits, strict=True))
            if index not in absent
        )
        return Permutation(number, choices)

    def digits(self, number: int) -> tuple[int, ...]:
        """Returns the index of a permutation's choice on each axis; 0 where it does not apply."""
        return self._find(number)[0]

    def number(self, digits: Sequence[int]) -> int:
        """Returns a permutation's number; the digit of an axis that does not apply is ignored."""
        decided = tuple(digits[i] for i in self._deciding)
        absent = self._absent[decided]
        number, node = 0, self._root
        for index, digit in enumerate(digits):
            digit = 0 if index in absent else digit
            number += node.starts[digit]
            below = node.below[digit]
            assert below is not None
            node = below
        return number

    def __iter__(self) -> Iterator[Permutation]:
        return (self[number] for number in range(self.size))

    @property
    def keys(self) -> list[str]:
        """The swept keys, in grid order."""
        return [axis.key for axis in self.axes]

    def repeats(self) -> int:
        """Counts the permutations that equal an earlier one."""
        return self.size - self.without_repeats().size

    def repeat_notices(self) -> list[Problem]:
        """Warns of choices that are listed more than once."""
        notices = []
        for axis in self.axes:
            for choice in axis.repeated():
                count = sum(other.override == choice.override for other in axis.choices)
                times = "twice" if count == 2 else f"{count} times"
                notices.append(
                    Problem(
                        "",
                        f"{axis.name} lists {choice.value} {times}: {self.repeats()} "
                        f"of {self.size} permutations repeat another; drop them with "
                        "hydra.sweeper.duplicates=drop",
                        axis.where,
                    )
                )
        return notices

    def place_notices(self) -> list[Problem]:
        """Warns of swept keys that do not apply beside some choices."""
        notices = []
        for index, axis in enumerate(self.axes):
            beside = self._beside(index)
            if beside:
                message = (
                    f"{axis.name} has no place beside {' or '.join(beside)} and is not set there; "
                    f"the grid has {self.size:,} permutations instead of {self.product:,}"
                )
                notices.append(Problem("", message, axis.where))
        return notices

    def without_repeats(self) -> Grid:
        """Returns the grid of distinct permutations."""
        return Grid([axis.without_repeats() for axis in self.axes], self.places)

    def _beside(self, index: int) -> list[str]:
        """Returns the choices, or combinations of choices, beside which an axis does not apply."""
        gone = {digits for digits, absent in self._absent.items() if index in absent}
        found, rest = [], set(gone)
        for position, deciding in enumerate(self._deciding):
            for digit, choice in enumerate(self.axes[deciding].choices):
                having = {digits for digits in self._absent if digits[position] == digit}
                if having <= gone:
                    found.append(choice.override)
                    rest -= having
        for digits in sorted(rest):
            pairs = zip(self._deciding, digits, strict=True)
            found.append(" ".join(self.axes[i].choices[digit].override for i, digit in pairs))
        return list(dict.fromkeys(found))

    def _find(self, number: int) -> tuple[tuple[int, ...], frozenset[int]]:
        if not 0 <= number < self.size:
            raise IndexError(f"permutation {number} of {self.size}")
        digits = []
        node = self._root
        while node.below:
            # Choices without a permutation have the start of the next one.
            digit = bisect.bisect_right(node.starts, number) - 1
            number -= node.starts[digit]
            digits.append(digit)
            below = node.below[digit]
            assert below is not None
            node = below
        return tuple(digits), node.absent

    def _node(self, depth: int, open_: _Open) -> _Node:
        """Makes the node after choices of the first axes, which leave some combinations open."""
        if depth == len(self.axes):
            (decided,) = open_
            return _Node((0, 1), absent=self._absent[decided])
        if (depth, open_) not in self._nodes:
            starts, below = [0], list[_Node | None]()
            for digit in range(len(self.axes[depth].choices)):
                left = self._left(depth, open_, digit)
                node = self._node(depth + 1, left) if left else None
                below.append(node)
                starts.append(starts[-1] + (node.count if node else 0))
            self._nodes[depth, open_] = _Node(starts, below)
        return self._nodes[depth, open_]

    def _left(self, depth: int, open_: _Open, digit: int) -> _Open:
        """Returns the combinations that a choice of an axis leaves open."""
        # An axis that does not apply keeps its first choice only.
        left = [c for c in open_ if digit == 0 or depth not in self._absent[c]]
        if depth in self._deciding:
            position = self._deciding.index(depth)
            left = [combination for combination in left if combination[position] == digit]
        return frozenset(left)
