"""Tests that the sections of the page say what is true of the sweep at hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from neroRL.ranking.ranking import rank
from neroRL.reporting import figures
from neroRL.reporting.analysis.analysis import analyse
from neroRL.reporting.analysis.curves import Curve
from neroRL.reporting.page import charts
from neroRL.reporting.page.sections import sections
from tests.reporting.landscapes import sweep_of


def _sections(directory, axes, values):
    sweep = sweep_of(directory, axes, np.asarray(values))
    found = sections(analyse(sweep, rank(sweep.results, sweep.jobs_a_lap)))
    return {section.id: section for section in found}


@pytest.mark.parametrize(("count", "has"), [(41, "; the table has all"), (251, "")])
def test_what_is_left_out_is_where_the_page_says(tmp_path, count, has):
    values = np.random.default_rng(0).normal(size=(count, 1))
    found = _sections(tmp_path, {"a.b": list(range(count))}, values)["improvement"]
    left = f"{count - 31} of {count - 1} permutations are not shown here"
    assert found.notes == [f"{left}{has}."]
    (chart,) = found.charts
    if has:
        assert len(chart.table.rows) == count - 1
        assert chart.table.note == ""
    else:
        assert chart.table.note == "50 of 250 permutations are not shown here."


@pytest.mark.parametrize(("count", "mode", "marker"), [(1, "markers", "o"), (2, "lines", "None")])
def test_a_curve_of_one_point_is_a_marker(tmp_path, count, mode, marker):
    sweep = sweep_of(tmp_path, {"a.b": [1, 2]}, np.array([[1.0], [2.0]]))
    steps, mean = np.arange(float(count)), np.full(count, 0.5)
    curves = [Curve(number, steps, mean, mean, mean, 1) for number in (1, 0)]
    found = analyse(sweep, rank(sweep.results, sweep.jobs_a_lap))
    analysis = dataclasses.replace(found, curves=curves)
    drawn = charts.curves_chart(analysis).figure["data"]
    assert [one["mode"] for one in drawn if one["meta"]["role"] == "line"] == [mode, mode]
    (axes,) = figures._curves(analysis).axes
    assert [line.get_marker() for line in axes.lines] == [marker, marker]
