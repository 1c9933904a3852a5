"""A search space the slow way: every permutation as a set of assignments."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from neroRL.sweep.building import union_of
from neroRL.sweep.points import Axis, Choice, Exclusion, Places, Product, Tied
from neroRL.sweep.space import Union

MEMORY, SIZE = "memory", "size"
# The keys that a test can sweep, and the choices they have.
CHOICES = {MEMORY: ["none", "gru", "lstm"], SIZE: [1, 2, 3], "a": [1, 2, 3], "b": [4, 5, 6]}
Values = dict[str, Any]


def axis(key: str, values: Sequence[Any]) -> Axis:
    """An axis whose overrides are as simple as can be."""
    return Axis(key, tuple(Choice(key, value, f"{key}={value}") for value in values), label=key)


def places_of(axes: Sequence[Axis]) -> Places:
    """``size`` does not apply beside ``memory=none``."""
    if MEMORY not in [one.key for one in axes]:
        return Places()
    return Places((MEMORY,), {(f"{MEMORY}=none",): frozenset({SIZE})})


def built(products: Sequence[Product]) -> Union:
    """The search space as the product builds it."""
    return union_of(products, places_of)


def expected(products: Sequence[Product]) -> list[Values]:
    """The search space by its definition, in order."""
    found: list[Values] = []
    for product in products:
        seen: list[Values] = []
        digits = (range(len(tied[0].choices)) for tied in product.dimensions)
        for point in itertools.product(*digits):
            values = {
                one.key: one.choices[digit].value
                for tied, digit in zip(product.dimensions, point, strict=True)
                for one in tied
            }
            if values.get(MEMORY) == "none":
                values.pop(SIZE, None)
            if values not in seen:
                seen.append(values)
        found += [v for v in seen if v not in found and not _is_excluded(v, product.exclude)]
    return found


def _is_excluded(values: Values, exclude: Sequence[Exclusion]) -> bool:
    return any(
        all(key in values and values[key] in named for key, named in one.values.items())
        for one in exclude
    )


@st.composite
def products(draw: st.DrawFn) -> list[Product]:
    """One to three grids of distinct choices, with keys that change together and exclusions."""
    count = draw(st.integers(1, 3))
    return [_product(draw) for _ in range(count)]


def _product(draw: st.DrawFn) -> Product:
    keys = draw(st.permutations(sorted(CHOICES)))[: draw(st.integers(1, 4))]
    dimensions: list[Tied] = []
    while keys:
        together = 2 if len(keys) > 1 and draw(st.booleans()) else 1
        some, keys = keys[:together], keys[together:]
        points = list(itertools.product(*(CHOICES[key] for key in some)))
        chosen = draw(st.lists(st.sampled_from(points), min_size=1, max_size=3, unique=True))
        dimensions.append(
            tuple(axis(key, [point[i] for point in chosen]) for i, key in enumerate(some))
        )
    swept = [one for tied in dimensions for one in tied]
    exclude = []
    for _ in range(draw(st.integers(0, 2))):
        named = draw(st.lists(st.sampled_from(swept), min_size=1, max_size=2, unique=True))
        values = {one.key: _some(draw, one) for one in named}
        exclude.append(Exclusion(values))
    return Product(tuple(dimensions), tuple(exclude))


def _some(draw: st.DrawFn, one: Axis) -> list[Any]:
    choices = [choice.value for choice in one.choices]
    return draw(st.lists(st.sampled_from(choices), min_size=1, unique=True))
