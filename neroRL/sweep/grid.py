"""A grid: the permutations of a product of axes, addressed by number and never held as a whole.

Usually a grid is the product of its axes. But some keys do not apply beside some choices of other
axes: a policy without memory has no ``hidden_state_size`` of a recurrence. Permutations that would
differ only in such a key are one permutation. Others are excluded.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from neroRL.sweep.diagram import Box, Case, Diagram
from neroRL.sweep.points import Axis, Choice, Exclusion, Permutation, Places, Tied

_Digits = tuple[int, ...]
_Keys = frozenset[str]


@dataclass(frozen=True)
class _Rule:
    """Leaves permutations out, or spares them from another rule.

    Attributes:
        box: the choices of these permutations.
        keys: must apply to them.
        whole: whether no other swept key may apply to them.
        unless: indices of the rules that spare permutations from this one; None if this rule only
            spares others.
    """

    box: Box
    keys: _Keys
    whole: bool = False
    unless: frozenset[int] | None = frozenset()

    def concerns(self, applying: _Keys) -> bool:
        """Returns whether permutations to which some keys apply can be among these."""
        return self.keys == applying if self.whole else self.keys <= applying


class Grid:
    """All permutations of a product; the last axis varies fastest.

    Args:
        axes: each with at least one choice; a tuple of axes changes together. Without axes the
            grid has one permutation.
        places: the keys that do not apply beside some choices.
        exclude: parts of the product that are left out.
        earlier: grids whose permutations are left out, too.

    Example:
        >>> from neroRL.sweep.points import Choice
        >>> def axis(key, *values):
        ...     return Axis(key, tuple(Choice(key, v, f"{key}={v}") for v in values))
        >>> grid = Grid([axis("gamma", 0.9, 0.99), axis("epochs", 2, 3, 4)])
        >>> grid.size, grid.permutation(4).overrides
        (6, ['gamma=0.99', 'epochs=3'])
        >>> places = Places(("memory",), {("memory=none",): frozenset({"size"})})
        >>> grid = Grid([axis("memory", "none", "gru"), axis("size", 64, 128)], places)
        >>> [grid.permutation(number).values for number in range(grid.size)]
        [{'memory': 'none'}, {'memory': 'gru', 'size': 64}, {'memory': 'gru', 'size': 128}]
        >>> tied, epochs = (axis("workers", 8, 16), axis("batches", 4, 8)), axis("epochs", 2, 3)
        >>> grid = Grid([tied, epochs], exclude=[Exclusion({"workers": [8], "epochs": [3]})])
        >>> [list(grid.permutation(number).values.values()) for number in range(grid.size)]
        [[8, 4, 2], [16, 8, 2], [16, 8, 3]]
    """

    def __init__(
        self,
        axes: Sequence[Axis | Tied],
        places: Places | None = None,
        exclude: Iterable[Exclusion] = (),
        earlier: Sequence[Grid] = (),
    ) -> None:
        self.dimensions = tuple((one,) if isinstance(one, Axis) else one for one in axes)
        self.axes = tuple(axis for dimension in self.dimensions for axis in dimension)
        self.keys = [axis.key for axis in self.axes]
        self.places = places or Places()
        self.exclude = tuple(exclude)
        self._deciding = [
            index
            for index, dimension in enumerate(self.dimensions)
            if any(axis.key in self.places.deciding for axis in dimension)
        ]
        self._cases = [case for case in self._combinations() if self._is_first(*case)]
        self._rules = [_Rule(self._box(one.values), frozenset(one.values)) for one in self.exclude]
        for grid in earlier:
            self._leave_out(grid)
        cases = []
        for digits, absent in self._cases:
            applying = frozenset(self.keys) - absent
            concerning = (i for i, rule in enumerate(self._rules) if rule.concerns(applying))
            cases.append(Case(self._allowed(digits, absent), frozenset(concerning)))
        boxes = [rule.box for rule in self._rules]
        self._diagram = Diagram(cases, boxes, self._is_left_out)

    @property
    def size(self) -> int:
        """The number of permutations, which may exceed the limit of ``len``."""
        return self._diagram.size

    @property
    def product(self) -> int:
        """The number of permutations if every key applied everywhere and none were left out."""
        return math.prod(len(dimension[0].choices) for dimension in self.dimensions)

    def permutation(self, number: int) -> Permutation:
        """Returns a permutation by its number.

        Raises:
            IndexError: there is none with this number.
        """
        digits, case = self._diagram.point(number)
        return self._permutation(number, digits, case)

    def matching(self, values: Mapping[str, Any]) -> Iterator[int]:
        """Yields the numbers of the permutations that agree with values of swept keys.

        Args:
            values: by swept key; those of keys that do not apply to a permutation do not matter.
        """
        conditional = frozenset[str]().union(*(absent for _, absent in self._cases))

        def agrees(choice: Choice) -> bool:
            return choice.key not in values or choice.is_of(values[choice.key])

        def may(index: int, digit: int) -> bool:
            taken = (axis.choices[digit] for axis in self.dimensions[index])
            return all(choice.key in conditional or agrees(choice) for choice in taken)

        for number, digits, case in self._diagram.within(may):
            if all(map(agrees, self._permutation(number, digits, case).choices)):
                yield number

    def without_repeats(self, earlier: Sequence[Grid] = ()) -> Grid:
        """Returns the grid of distinct permutations.

        Args:
            earlier: grids whose permutations are left out.
        """
        distinct = []
        for dimension in self.dimensions:
            first: dict[tuple[str, ...], int] = {}
            for digit in range(len(dimension[0].choices)):
                first.setdefault(_texts(dimension, digit), digit)
            distinct.append(
                tuple(
                    replace(axis, choices=tuple(axis.choices[i] for i in first.values()))
                    for axis in dimension
                )
            )
        return Grid(distinct, self.places, self.exclude, earlier)

    def beside(self, key: str) -> list[str]:
        """Returns the choices, or combinations of choices, beside which a key does not apply."""
        gone = {digits for digits, absent in self._cases if key in absent}
        found, rest = [], set(gone)
        for position in range(len(self._deciding)):
            for digit in sorted({digits[position] for digits, _ in self._cases}):
                having = {digits for digits, _ in self._cases if digits[position] == digit}
                if having <= gone:
                    found.append(" ".join(self._decided(position, digit)))
                    rest -= having
        found += [" ".join(self._overrides(digits)) for digits in sorted(rest)]
        return list(dict.fromkeys(found))

    def _permutation(self, number: int, digits: _Digits, case: int) -> Permutation:
        absent = self._cases[case][1]
        pairs = zip(self.dimensions, digits, strict=True)
        choices = (axis.choices[digit] for dimension, digit in pairs for axis in dimension)
        return Permutation(number, tuple(choice for choice in choices if choice.key not in absent))

    def _combinations(self) -> Iterator[tuple[_Digits, _Keys]]:
        """Yields all combinations of deciding choices, and the keys absent beside them."""
        for digits in itertools.product(
            *(range(len(self.dimensions[i][0].choices)) for i in self._deciding)
        ):
            yield digits, self._absent_beside(digits)

    def _absent_beside(self, digits: _Digits) -> _Keys:
        return self.places.absent.get(self._overrides(digits), frozenset())

    def _overrides(self, digits: _Digits) -> tuple[str, ...]:
        """Returns the overrides of a combination of deciding choices."""
        return tuple(itertools.chain(*itertools.starmap(self._decided, enumerate(digits))))

    def _decided(self, position: int, digit: int) -> list[str]:
        """Returns the overrides of a choice of a deciding dimension, the deciding ones alone."""
        axes = self.dimensions[self._deciding[position]]
        return [a.choices[digit].override for a in axes if a.key in self.places.deciding]

    def _is_first(self, digits: _Digits, absent: _Keys) -> bool:
        """Returns whether no smaller choice differs in nothing but keys that do not apply."""
        for position, index in enumerate(self._deciding):
            dimension, digit = self.dimensions[index], digits[position]
            if absent.isdisjoint(axis.key for axis in dimension):
                continue
            own = _texts(dimension, digit, absent)
            for smaller in range(digit):
                other = self._absent_beside((*digits[:position], smaller, *digits[position + 1 :]))
                if other == absent and _texts(dimension, smaller, absent) == own:
                    return False
        return True

    def _allowed(self, digits: _Digits, absent: _Keys) -> tuple[frozenset[int], ...]:
        """Returns the choices of each dimension beside a combination of deciding choices."""
        decided = dict(zip(self._deciding, digits, strict=True))
        allowed = []
        for index, dimension in enumerate(self.dimensions):
            size = len(dimension[0].choices)
            first = {_texts(dimension, i, absent): i for i in reversed(range(size))}
            if index in decided:
                allowed.append(frozenset({decided[index]}))
            elif absent.isdisjoint(axis.key for axis in dimension):
                allowed.append(frozenset(range(size)))
            else:  # choices that differ only in keys that do not apply are one choice
                allowed.append(frozenset(first.values()))
        return tuple(allowed)

    def _box(self, values: Mapping[str, Sequence[Any]]) -> Box:
        """Returns the choices whose keys have one of the values."""
        return {
            index: frozenset(
                digit
                for digit in range(len(dimension[0].choices))
                if all(
                    any(map(axis.choices[digit].is_of, values[axis.key]))
                    for axis in dimension
                    if axis.key in values
                )
            )
            for index, dimension in enumerate(self.dimensions)
            if any(axis.key in values for axis in dimension)
        }

    def _leave_out(self, grid: Grid) -> None:
        """Adds the rules that leave out the permutations of an earlier grid."""
        own = frozenset(self.keys)
        spared = [one for one in grid.exclude if own.issuperset(one.values)]
        first = len(self._rules)
        unless = frozenset(range(first, first + len(spared)))
        self._rules += [
            _Rule(self._box(one.values), frozenset(one.values), unless=None) for one in spared
        ]
        for digits, absent in grid._cases:
            applying = frozenset(grid.keys) - absent
            if applying <= own:
                for values in grid._products(grid._allowed(digits, absent), applying):
                    self._rules.append(_Rule(self._box(values), applying, True, unless))

    def _products(
        self, allowed: Sequence[frozenset[int]], applying: _Keys
    ) -> Iterator[dict[str, list[Any]]]:
        """Yields products of values by key that together are all permutations of a case."""
        options = []
        for dimension, digits in zip(self.dimensions, allowed, strict=True):
            axes = [axis for axis in dimension if axis.key in applying]
            alone = [[digit] for digit in sorted(digits)]
            together = alone if len(axes) > 1 else [sorted(digits)]
            options.append(
                [{a.key: [a.choices[i].value for i in some] for a in axes} for some in together]
            )
        for parts in itertools.product(*options):
            yield {key: values for part in parts for key, values in part.items()}

    def _is_left_out(self, inside: frozenset[int]) -> bool:
        unless = (self._rules[index].unless for index in inside)
        return any(spared is not None and inside.isdisjoint(spared) for spared in unless)


def _texts(dimension: Tied, digit: int, absent: _Keys = frozenset()) -> tuple[str, ...]:
    return tuple(axis.choices[digit].override for axis in dimension if axis.key not in absent)
