"""The permutations of a sweep: those of one or several grids, or a choice of them."""

from __future__ import annotations

import bisect
import itertools
import random
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from neroRL.errors import Problem
from neroRL.sweep.grid import Grid
from neroRL.sweep.points import Axis, Choice, Permutation


class Space(Sequence[Permutation]):
    """Permutations in grid order, numbered from 0 without gaps, made when asked for.

    Args:
        axes: the swept keys, each with all of its choices.
        deciding: the swept keys that decide which other keys exist.
        size: the number of permutations, which may exceed the limit of ``len``.
    """

    def __init__(self, axes: Sequence[Axis], deciding: frozenset[str], size: int) -> None:
        self.axes, self.deciding, self.size = tuple(axes), deciding, size

    @abstractmethod
    def _at(self, number: int) -> Permutation:
        """Returns a permutation that exists; its number does not matter."""

    @property
    def keys(self) -> list[str]:
        """The swept keys, in grid order."""
        return [axis.key for axis in self.axes]

    def permutation(self, number: int) -> Permutation:
        """Returns a permutation by its number.

        Raises:
            IndexError: there is none with this number.
        """
        if not 0 <= number < self.size:
            raise IndexError(f"permutation {number} of {self.size}")
        return replace(self._at(number), number=number)

    def matching(self, values: Mapping[str, Any]) -> Iterator[int]:
        """Yields the numbers of the permutations that agree with values of swept keys.

        Args:
            values: by swept key; those of keys that do not apply to a permutation do not matter.
        """
        return (one.number for one in self if _agrees(one, values))

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(len(self)))]
        return self.permutation(number)

    def __iter__(self) -> Iterator[Permutation]:
        return (self.permutation(number) for number in range(self.size))


class Union(Space):
    """The permutations of one grid after the other; one that several grids have counts once.

    Args:
        grids: at least one, each made with the grids before it.

    Example:
        >>> def axis(key, *values):
        ...     return Axis(key, tuple(Choice(key, v, f"{key}={v}") for v in values))
        >>> first = Grid([axis("activation", "relu")])
        >>> second = Grid([axis("activation", "relu", "gelu")], earlier=[first])
        >>> [permutation.overrides for permutation in Union([first, second])]
        [['activation=relu'], ['activation=gelu']]
    """

    def __init__(self, grids: Sequence[Grid]) -> None:
        self.grids = tuple(grids)
        self._starts = [0, *itertools.accumulate(grid.size for grid in grids)]
        axes = list(_merged(axis for grid in grids for axis in grid.axes))
        deciding = frozenset(key for grid in grids for key in grid.places.deciding)
        super().__init__(axes, deciding, self._starts[-1])

    @property
    def product(self) -> int:
        """The number of permutations if every key applied everywhere and none were left out."""
        return sum(grid.product for grid in self.grids)

    def _at(self, number: int) -> Permutation:
        index = bisect.bisect_right(self._starts, number) - 1
        return self.grids[index].permutation(number - self._starts[index])

    def matching(self, values: Mapping[str, Any]) -> Iterator[int]:
        """Finds permutations without making all of them; see :class:`Space`."""
        for start, grid in zip(self._starts, self.grids, strict=False):
            yield from (start + number for number in grid.matching(values))

    def without_repeats(self) -> Union:
        """Returns the union without the permutations that repeat another one."""
        distinct: list[Grid] = []
        for grid in self.grids:
            distinct.append(grid.without_repeats(distinct))
        return Union(distinct)

    def notices(self, *, distinct: bool) -> list[Problem]:
        """Warns of keys that do not apply everywhere, and of choices that are listed repeatedly.

        Args:
            distinct: whether permutations that repeat another are dropped.
        """
        return [*self._place_notices(), *self._repeat_notices(distinct=distinct)]

    def _repeat_notices(self, *, distinct: bool) -> list[Problem]:
        repeated = [
            (axis, choice)
            for axis in {id(axis): axis for grid in self.grids for axis in grid.axes}.values()
            for choice in axis.repeated()
            if not self._is_told_apart(axis, choice)
        ]
        if not repeated:
            return []
        repeats = self.size - self.without_repeats().size
        told = " and are dropped" if distinct else "; drop them with hydra.sweeper.duplicates=drop"
        notices = []
        for axis, choice in repeated:
            count = sum(other.override == choice.override for other in axis.choices)
            times = "twice" if count == 2 else f"{count} times"
            message = (
                f"{axis.name} lists {choice.value} {times}: {repeats} of {self.size} permutations "
                f"repeat another{told}"
            )
            notices.append(Problem("", message, axis.where))
        return notices

    def _is_told_apart(self, axis: Axis, choice: Choice) -> bool:
        """Returns whether axes that change together with this one tell equal choices apart."""
        dimensions = (d for grid in self.grids for d in grid.dimensions if axis in d)
        for dimension in dimensions:
            places = [i for i, c in enumerate(axis.choices) if c.override == choice.override]
            texts = [tuple(a.choices[i].override for a in dimension) for i in places]
            if len(set(texts)) < len(texts):
                return False
        return True

    def _place_notices(self) -> list[Problem]:
        counts = ""
        is_told = len(self.grids) == 1 and not self.grids[0].exclude
        if is_told and self.size != self.product:
            counts = f"; the grid has {self.size:,} permutations instead of {self.product:,}"
        told = f"has no place beside {{}} and is not set there{counts}"
        notices = [
            Problem("", f"{axis.name} {told.format(' or '.join(beside))}", axis.where)
            for grid in self.grids
            for axis in grid.axes
            for beside in [grid.beside(axis.key)]
            if beside
        ]
        return list(dict.fromkeys(notices))


class Subset(Space):
    """Some permutations of another space, in its order.

    Args:
        space: the other one.
        numbers: of the permutations in it, ascending.
    """

    def __init__(self, space: Space, numbers: Sequence[int]) -> None:
        super().__init__(space.axes, space.deciding, len(numbers))
        self._space, self._numbers = space, numbers

    def _at(self, number: int) -> Permutation:
        return self._space.permutation(self._numbers[number])

    def matching(self, values: Mapping[str, Any]) -> Iterator[int]:
        """Finds permutations without making all of them; see :class:`Space`."""
        for number in self._space.matching(values):
            place = bisect.bisect_left(self._numbers, number)
            if place < self.size and self._numbers[place] == number:
                yield place


class Listed(Space):
    """Permutations that are held as a list.

    Args:
        axes: the swept keys.
        deciding: the swept keys that decide which other keys exist.
        permutations: in order; their numbers do not matter.
    """

    def __init__(
        self, axes: Sequence[Axis], deciding: frozenset[str], permutations: Iterable[Permutation]
    ) -> None:
        self._permutations = tuple(permutations)
        super().__init__(axes, deciding, len(self._permutations))

    def _at(self, number: int) -> Permutation:
        return self._permutations[number]


def sampled(space: Space, count: int, seed: int) -> Space:
    """Returns permutations that are drawn without replacement, in grid order.

    The draws are the start of one random order of the space (a shuffle by Fisher and Yates that
    stops early), so a larger sample of the same seed contains a smaller one.

    Args:
        space: to draw from.
        count: of permutations; all of them if the space has no more.
        seed: of the draws, at least 0.
    """
    if count >= space.size:
        return space
    draw = random.Random(seed)
    moved: dict[int, int] = {}
    numbers = []
    for position in range(count):
        other = draw.randrange(position, space.size)
        numbers.append(moved.get(other, other))
        moved[other] = moved.get(position, position)
    return Subset(space, sorted(numbers))


def _agrees(permutation: Permutation, values: Mapping[str, Any]) -> bool:
    return all(
        key not in values or Choice(key, value, "").is_of(values[key])
        for key, value in permutation.values.items()
    )


def _merged(axes: Iterable[Axis]) -> Iterator[Axis]:
    """Yields one axis for each key, with the choices that any grid gives it."""
    by_key: dict[str, Axis] = {}
    for axis in axes:
        if axis.key in by_key:
            known = {choice.override for choice in by_key[axis.key].choices}
            new = tuple(choice for choice in axis.choices if choice.override not in known)
            axis = replace(by_key[axis.key], choices=by_key[axis.key].choices + new)
        by_key[axis.key] = axis
    yield from by_key.values()
