"""Tests that the sections of the page say what is true of the sweep at hand."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest

from neroRL.ranking.ranking import rank
from neroRL.reporting import figures
from neroRL.reporting.analysis.analysis import analyse
from neroRL.reporting.analysis.curves import Curve
from neroRL.reporting.page import charts
from neroRL.reporting.page.sections import sections
from tests.reporting.landscapes import sweep_of


def analyse_of(directory, axes, values):
    sweep = sweep_of(directory, axes, values)
    return analyse(sweep, rank(sweep.results, sweep.jobs_a_lap))


def _sections(directory, axes, values):
    return {section.id: section for section in sections(analyse_of(directory, axes, values))}


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
    found = analyse_of(tmp_path, {"a.b": [1, 2]}, np.array([[1.0], [2.0]]))
    steps, mean = np.arange(float(count)), np.full(count, 0.5)
    curves = [Curve(number, steps, mean, mean, mean, 1) for number in (1, 0)]
    analysis = dataclasses.replace(found, curves=curves)
    drawn = charts.curves_chart(analysis).figure["data"]
    assert [one["mode"] for one in drawn if one["meta"]["role"] == "line"] == [mode, mode]
    (axes,) = figures._curves(analysis).axes
    assert [line.get_marker() for line in axes.lines] == [marker, marker]


@pytest.mark.parametrize(
    ("choices", "repetitions", "told"),
    [
        (2, 1, []),
        (1, 3, ["bootstrap interval"]),
        (2, 3, ["bootstrap interval", "the paired test decides", "paired t interval"]),
    ],
)
def test_only_what_a_sweep_has_is_explained(tmp_path, choices, repetitions, told):
    values = np.arange(float(choices * repetitions)).reshape(choices, repetitions)
    found = _sections(tmp_path, {"a.b": list(range(choices))}, values)
    text = " ".join(" ".join(section.texts) for section in found.values())
    phrases = ["bootstrap interval", "the paired test decides", "paired t interval"]
    assert [phrase for phrase in phrases if phrase in text] == told
    assert ("reached in one repetition" in text) == (repetitions == 1)


@pytest.mark.parametrize("repetitions", [1, 3])
def test_the_interval_of_curves_is_explained_if_one_has_it(tmp_path, repetitions):
    found = analyse_of(tmp_path, {"a.b": [1, 2]}, np.array([[1.0], [2.0]]))
    steps = np.arange(3.0)
    curve = Curve(1, steps, steps, steps - 1, steps + 1, repetitions)
    analysis = dataclasses.replace(found, curves=[curve])
    (text,) = next(one for one in sections(analysis) if one.id == "curves").texts
    assert ("Student's t interval" in text) == (repetitions > 1)


def test_a_permutation_of_no_axes_is_its_number(tmp_path):
    analysis = analyse_of(tmp_path, {"a.b": [1]}, np.array([[1.0]]))
    assert analysis.observed.brief(0) == "0"
    assert charts.ranking_chart(analysis).figure["layout"]["meta"]["wide"] == ["0"]
    figure = figures._ranking(analysis)
    assert figure.get_suptitle() == "permutation"
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["0"]


def test_letters_that_the_font_lacks_are_no_warnings(tmp_path):
    analysis = analyse_of(tmp_path, {"a.b": ["日本語", "x"]}, np.array([[1.0], [2.0]]))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        figures.write_figures(tmp_path / "figures", analysis)
        warnings.warn("another", UserWarning, stacklevel=1)
    assert [str(one.message) for one in told] == ["another"]
    assert (tmp_path / "figures/marginals.pdf").is_file()
