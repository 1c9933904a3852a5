"""Tests the comparison of several sweeps."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from neroRL.ranking.ranking import rank
from neroRL.reporting.analysis.comparisons import probabilities
from neroRL.reporting.comparison import (
    Reported,
    difference_interval,
    print_comparison,
)
from tests.reporting.landscapes import grid, jobs, sweep_of


def _reported(directory, values, confirmed=None) -> Reported:
    directory.mkdir()
    sweep = sweep_of(directory, {"a.b": [1, 2]}, np.asarray(values))
    fresh = None
    if confirmed is not None:
        fresh = rank(jobs(grid({"a.b": [1, 2]}), np.asarray(confirmed)), 2)
    return Reported(sweep, rank(sweep.results, 2), fresh)


def test_two_sweeps_are_compared_by_their_best(tmp_path):
    random = np.random.default_rng(1)
    low, high = random.normal(0.0, 1.0, size=(2, 6)), random.normal(0.5, 2.0, size=(2, 6))
    first, second = _reported(tmp_path / "a", low), _reported(tmp_path / "b", high)
    ours, theirs = low[low.mean(axis=1).argmax()], high[high.mean(axis=1).argmax()]
    assert first.best is not None
    assert second.best is not None
    pairs = [(a > b) + 0.5 * (a == b) for a in ours for b in theirs]
    assert probabilities(ours, theirs[None]) == pytest.approx([np.mean(pairs)])
    # Welch's interval, by the formula.
    a, b = ours.var(ddof=1) / 6, theirs.var(ddof=1) / 6
    freedom = (a + b) ** 2 / (a**2 / 5 + b**2 / 5)
    width = stats.t.ppf(0.95, freedom) * np.sqrt(a + b)
    middle = ours.mean() - theirs.mean()
    found = difference_interval(first.best, second.best, 0.9)
    assert found == pytest.approx((middle - width, middle + width))
    stream = io.StringIO()
    print_comparison([first, second], stream)
    assert f"{first.best.standing.iqm:.4g}" in stream.getvalue()
    assert f"does better with a chance of {100.0 * np.mean(pairs):.0f} %" in stream.getvalue()
    told = f"too good by selection; confirm {tmp_path / 'a'} and {tmp_path / 'b'}."
    assert told in stream.getvalue().replace("\n", "")


def test_confirmed_numbers_take_the_place_of_tuning_ones(tmp_path):
    fresh = [[0.0] * 4, [1.5, 1.6, 1.7, 1.8]]
    first = _reported(tmp_path / "a", [[0.0] * 4, [3.0, 3.1, 3.2, 3.3]], fresh)
    assert first.best is not None
    assert list(first.best.standing.objectives.values()) == fresh[1]
    stream = io.StringIO()
    print_comparison([first, first], stream)
    assert "fresh" in stream.getvalue()
    assert "too good by selection" not in stream.getvalue()
    print_comparison([first, _reported(tmp_path / "b", [[1.0, 2.0]])], stream)
    assert f"by selection; confirm {tmp_path / 'b'}." in stream.getvalue()
    tuned = _reported(tmp_path / "c", [[1.0], [2.0]])
    of_optuna = replace(tuned, sweep=replace(tuned.sweep, sweeper="optuna"))
    stream = io.StringIO()
    print_comparison([first, of_optuna], stream)
    assert "too good by selection." in stream.getvalue()  # it cannot be confirmed


def test_sweeps_without_a_result_have_no_difference(tmp_path):
    first = _reported(tmp_path / "a", np.full((2, 1), np.nan))
    second = _reported(tmp_path / "b", [[1.0], [2.0]])
    stream = io.StringIO()
    print_comparison([first, second], stream)
    assert "none" in stream.getvalue()
    assert "chance" not in stream.getvalue()


@pytest.mark.parametrize(
    ("axes", "base", "warned"),
    [
        ({"a.b": [1, 2]}, {"environment": {"name": "Cart & Pole"}}, False),
        ({"a.b": [1, 2]}, {"environment": {"name": "Other"}}, True),
        ({"environment.name": ["Cart & Pole", "Other"]}, {"environment": {"name": "x"}}, True),
        ({"environment.name": ["Other", "Cart & Pole"]}, {"environment": {"name": "x"}}, False),
        (
            {"a.b": [1, 2]},
            {"environment": {"name": "Cart & Pole", "reset_params": {"view-size": 3}}},
            False,
        ),
    ],
)
def test_objectives_that_measure_something_else_are_told(tmp_path, axes, base, warned):
    """The configs of the best permutations count, here those of the second choices."""
    first = _reported(tmp_path / "a", [[1.0, 1.1], [2.0, 2.1]])
    (tmp_path / "b").mkdir()
    sweep = sweep_of(tmp_path / "b", axes, np.array([[1.0, 1.1], [2.0, 2.1]]))
    sweep = replace(sweep, record=replace(sweep.record, base=base))
    stream = io.StringIO()
    print_comparison([first, Reported(sweep, rank(sweep.results, 2))], stream)
    assert ("differ in environment.name" in stream.getvalue()) == warned
