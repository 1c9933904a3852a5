"""Tests that the grid is the full product and that its last axis varies fastest."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neroRL.sweep.grid import Grid
from neroRL.sweep.jobs import JobPlan
from neroRL.sweep.points import Axis, Choice
from neroRL.sweep.space import Union


def _axis(key: str, values: list[int]) -> Axis:
    return Axis(key, tuple(Choice(key, value, f"{key}={value}") for value in values), label=key)


def _grid(axes: list[Axis]) -> Union:
    return Union([Grid(axes)])


def _values(grid: Union) -> list[tuple[int, ...]]:
    return [tuple(choice.value for choice in permutation.choices) for permutation in grid]


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=4), max_size=4))
def test_equals_itertools_product(choices):
    grid = _grid([_axis(f"k{index}", values) for index, values in enumerate(choices)])
    assert _values(grid) == list(itertools.product(*choices))
    assert len(grid) == len(list(itertools.product(*choices)))
    assert [permutation.number for permutation in grid] == list(range(len(grid)))


@given(st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4), max_size=3))
def test_dropping_repeats_keeps_first_occurrences(choices):
    grid = _grid([_axis(f"k{index}", values) for index, values in enumerate(choices)])
    distinct = list(dict.fromkeys(itertools.product(*choices)))
    assert _values(grid.without_repeats()) == distinct
    assert grid.without_repeats().size == len(distinct)


def test_repeats_are_reported_as_documented():
    grid = _grid([_axis("a", [1, 2] * 1), _axis("b", [5, 6, 6])])
    (notice,) = grid.notices(distinct=False)
    told = "b lists 6 twice: 2 of 6 permutations repeat another"
    assert notice.message == f"{told}; drop them with hydra.sweeper.duplicates=drop"
    (notice,) = grid.notices(distinct=True)
    assert notice.message == f"{told} and are dropped"


def test_a_huge_grid_costs_nothing_until_asked():
    grid = _grid([_axis(f"k{index}", list(range(1000))) for index in range(4)])
    assert len(grid) == 10**12
    assert [choice.value for choice in grid[123_456_789_012].choices] == [123, 456, 789, 12]
    with pytest.raises(IndexError):
        grid[10**12]


def test_jobs_run_lap_after_lap_with_a_seed_each():
    plan = JobPlan(
        _grid([_axis("a", [7, 8, 9])]), [0, 2], repetitions=2, seed=10, shared=lambda _: ["x=1"]
    )
    told = [(job.number, job.directory, job.seed) for job in plan]
    assert told == [(0, "0/0", 10), (1, "2/0", 10), (2, "0/1", 11), (3, "2/1", 11)]
    assert plan[3].overrides[:3] == ("x=1", "a=9", "seed=11")


def test_a_swept_seed_takes_the_place_of_the_base_seed():
    grid = _grid([_axis("seed", [3, -1, -2])])
    plan = JobPlan(grid, [0, 1, 2], repetitions=2, seed=50, drawn=[70, 80])
    assert [job.seed for job in plan] == [3, 70, 80, 4, 71, 81]
    undrawn = JobPlan(grid, [0, 1, 2], repetitions=2, seed=50)
    assert [job.seed for job in undrawn] == [3, -1, -1, 4, -1, -1]
