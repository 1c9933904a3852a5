"""A decision diagram: numbers the points of a product of choices of which some are left out.

Its nodes are shared wherever the choices that remain are the same, so it stays small however many
points there are.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

Box = Mapping[int, frozenset[int]]
"""A part of the product: for each dimension that it restricts, the choices it has."""

# The cases that the choices so far are part of, each with the boxes that the point may still be in.
_Open = frozenset[tuple[int, frozenset[int]]]


@dataclass(frozen=True)
class Case:
    """A product of choices; the cases of a diagram are disjoint.

    Attributes:
        allowed: the choices of each dimension.
        boxes: indices of the boxes that can leave points of this case out.
    """

    allowed: tuple[frozenset[int], ...]
    boxes: frozenset[int]


@dataclass(frozen=True)
class _Node:
    """All points that share their choices of the first dimensions.

    Attributes:
        starts: for each choice of the next dimension, the number of points before its first one;
            then the number of all.
        below: the node after each choice; None without a point.
        case: of a leaf.
    """

    starts: Sequence[int]
    below: Sequence[_Node | None] = ()
    case: int = -1


class Diagram:
    """The points of some cases, numbered in the order of their choices; the last varies fastest.

    Args:
        cases: disjoint products of choices.
        boxes: parts of the product.
        is_left_out: tells from the indices of the boxes that a point is in whether it is left out.

    Example:
        >>> everything = Case((frozenset({0, 1}), frozenset({0, 1, 2})), frozenset({0}))
        >>> without = Diagram([everything], [{0: frozenset({1}), 1: frozenset({0, 2})}], bool)
        >>> [without.point(number)[0] for number in range(without.size)]
        [(0, 0), (0, 1), (0, 2), (1, 1)]
    """

    def __init__(
        self,
        cases: Sequence[Case],
        boxes: Sequence[Box],
        is_left_out: Callable[[frozenset[int]], bool],
    ) -> None:
        self._cases = cases
        self._boxes = boxes
        self._is_left_out = is_left_out
        self._nodes: dict[tuple[int, _Open], _Node | None] = {}
        self._depth = len(cases[0].allowed) if cases else 0
        self._root = self._node(0, frozenset((i, case.boxes) for i, case in enumerate(cases)))
        self._nodes.clear()

    @property
    def size(self) -> int:
        """The number of points, which may exceed the limit of ``len``."""
        return self._root.starts[-1] if self._root else 0

    def point(self, number: int) -> tuple[tuple[int, ...], int]:
        """Returns the choices of a point, and the index of its case.

        Raises:
            IndexError: there is no such point.
        """
        if not 0 <= number < self.size:
            raise IndexError(f"permutation {number} of {self.size}")
        digits = []
        node = _existing(self._root)
        while node.below:
            # Choices without a point have the start of the next one.
            digit = bisect.bisect_right(node.starts, number) - 1
            number -= node.starts[digit]
            digits.append(digit)
            node = _existing(node.below[digit])
        return tuple(digits), node.case

    def within(self, may: Callable[[int, int], bool]) -> Iterator[tuple[int, tuple[int, ...], int]]:
        """Yields number, choices and case of all points whose choices are wanted.

        Args:
            may: tells whether a choice, given by its dimension and index, is wanted.
        """

        def walk(
            node: _Node, number: int, digits: tuple[int, ...]
        ) -> Iterator[tuple[int, tuple[int, ...], int]]:
            if len(digits) == self._depth:
                yield number, digits, node.case
                return
            for digit, below in enumerate(node.below):
                if below is not None and may(len(digits), digit):
                    yield from walk(below, number + node.starts[digit], (*digits, digit))

        return walk(self._root, 0, ()) if self._root else iter(())

    def _node(self, depth: int, open_: _Open) -> _Node | None:
        """Makes the node after choices of the first dimensions; None if it has no points."""
        if depth == self._depth:
            ((case, inside),) = open_
            return None if self._is_left_out(inside) else _Node((0, 1), case=case)
        if (depth, open_) not in self._nodes:
            starts, below = [0], list[_Node | None]()
            for digit in range(1 + max(max(self._cases[i].allowed[depth]) for i, _ in open_)):
                left = self._left(depth, open_, digit)
                node = self._node(depth + 1, left) if left else None
                below.append(node)
                starts.append(starts[-1] + (node.starts[-1] if node else 0))
            self._nodes[depth, open_] = _Node(starts, below) if starts[-1] else None
        return self._nodes[depth, open_]

    def _left(self, depth: int, open_: _Open, digit: int) -> _Open:
        """Returns what a choice of a dimension leaves open."""
        return frozenset(
            (i, frozenset(b for b in inside if digit in self._boxes[b].get(depth, (digit,))))
            for i, inside in open_
            if digit in self._cases[i].allowed[depth]
        )


def _existing(node: _Node | None) -> _Node:
    assert node is not None
    return node
