"""Search spaces that are more than a product equal their definition."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from neroRL.errors import ConfigError
from neroRL.sweep.building import one_at_a_time, union_of
from neroRL.sweep.grid import Grid
from neroRL.sweep.points import Exclusion, Permutation, Places, Product
from neroRL.sweep.space import Union, sampled
from tests.sweep.naive import axis, built, expected, products


def _built(written: list[Product]) -> Union:
    try:
        return built(written)
    except ConfigError:  # an exclusion that leaves nothing, or leaves nothing out
        assume(False)
        raise


@settings(max_examples=150)
@given(products())
def test_order_and_count_are_those_of_the_definition(written):
    space = _built(written)
    assert [permutation.values for permutation in space] == expected(written)
    assert [permutation.number for permutation in space] == list(range(space.size))


@settings(max_examples=100)
@given(products())
def test_a_permutation_is_found_by_its_values(written):
    space = _built(written)
    for permutation in space:
        numbers = space.matching(permutation.values)
        same = [n for n in numbers if space.permutation(n).values == permutation.values]
        assert same == [permutation.number]


@settings(max_examples=100)
@given(products(), st.integers(1, 30))
def test_a_permutation_of_a_sample_is_found_by_its_values(written, count):
    space = sampled(_built(written), count, seed=3)
    for permutation in space:
        numbers = space.matching(permutation.values)
        same = [n for n in numbers if space.permutation(n).values == permutation.values]
        assert same == [permutation.number]


@settings(max_examples=100)
@given(products(), st.integers(0, 5), st.integers(1, 30))
def test_samples_are_nested_and_in_grid_order(written, seed, count):
    space = _built(written)
    small, large = sampled(space, count, seed), sampled(space, count + 1, seed)
    assert small.size == min(count, space.size)
    whole = [permutation.values for permutation in space]
    drawn = [permutation.values for permutation in small]
    positions = [whole.index(values) for values in drawn]
    assert positions == sorted(set(positions))
    assert all(permutation.values in drawn or large.size > small.size for permutation in large)
    assert [values for values in drawn if values not in [p.values for p in large]] == []


def test_every_permutation_is_drawn_equally_often():
    """A chi-squared test over 2,000 samples of 3 from 10 permutations."""
    space = Union([Grid([axis("a", range(10))])])
    counts = [0] * 10
    for seed in range(2000):
        for permutation in sampled(space, 3, seed):
            counts[permutation.values["a"]] += 1
    statistic = sum((count - 600.0) ** 2 / 600.0 for count in counts)
    assert statistic < 27.9  # the 99.9th percentile of 9 degrees of freedom


def test_a_large_space_is_never_held_as_a_whole():
    """10^12 permutations with exclusions and keys that change together, and 10^6 without."""
    ties = (axis("x", range(10)), axis("y", range(10)))
    axes = [(axis(f"k{index}", range(10)),) for index in range(11)]
    exclude = (Exclusion({"x": [3], "k0": [1, 2]}), Exclusion({"k5": [9], "k10": [0]}))
    tracemalloc.start()
    space = union_of([Product((ties, *axes), exclude)], lambda _: Places())
    # By inclusion and exclusion.
    left_out = 2 * 10**10 + 10**10 - 2 * 10**8
    assert space.size == 10**12 - left_out
    drawn = sampled(space, 200, seed=1)
    values = [permutation.values for permutation in drawn]
    assert len({tuple(one.items()) for one in values}) == 200
    assert all(one["x"] == one["y"] for one in values)
    assert not any(exclusion.has(one) for exclusion in exclude for one in values)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5e6


def _one_at_a_time(written: list[Product], base: dict[str, object]) -> list[dict[str, object]]:
    def content(permutation: Permutation) -> dict[str, object]:
        return {**base, **{choice.key: choice.value for choice in permutation.choices}}

    def absent(permutation: Permutation, keys: list[str]) -> frozenset[str]:
        without = content(permutation).get("memory") == "none"
        return frozenset({"size"} & set(keys)) if without else frozenset()

    return [one.values for one in one_at_a_time(built(written), content, absent)]


def test_one_at_a_time_is_the_base_config_and_each_choice_alone():
    written = [Product(((axis("a", [1, 2, 3]),), (axis("b", [4, 5]),)))]
    assert _one_at_a_time(written, {"a": 2, "b": 9}) == [
        {"a": 2, "b": 9},
        {"a": 1, "b": 9},
        {"a": 3, "b": 9},
        {"a": 2, "b": 4},
        {"a": 2, "b": 5},
    ]


def test_one_at_a_time_moves_what_changes_together_together():
    written = [Product(((axis("a", [1, 2]), axis("b", [4, 5])),), (Exclusion({"b": [4]}),))]
    assert _one_at_a_time(written, {"a": 0, "b": 0}) == [{"a": 0, "b": 0}, {"a": 2, "b": 5}]


def test_one_at_a_time_leaves_out_of_a_grid_what_that_grid_excludes():
    shared = (axis("a", [1, 2]),)
    written = [
        Product((shared, (axis("b", [5]),))),
        Product((shared, (axis("c", [8]),)), (Exclusion({"a": [1]}),)),
    ]
    assert _one_at_a_time(written, {"a": 1, "b": 0, "c": 0}) == [
        {"a": 1, "b": 0, "c": 0},
        {"a": 2, "b": 0, "c": 0},
        {"a": 1, "b": 5, "c": 0},
    ]


def test_one_at_a_time_refuses_a_key_without_a_place():
    written = [Product(((axis("size", [1, 2]),), (axis("a", [1]),)))]
    with pytest.raises(ConfigError, match="has no place in the base config"):
        _one_at_a_time(written, {"memory": "none", "a": 1})
