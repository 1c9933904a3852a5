"""Tests that the choices and axes of a sweep can be told apart by their labels in charts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from neroRL.ranking.ranking import rank
from neroRL.reporting import figures
from neroRL.reporting.analysis.analysis import analyse
from neroRL.reporting.page import axis_charts
from neroRL.reporting.page.parts import distinct
from tests.reporting.landscapes import landscape, sweep_of

DOORS = [f"MiniGrid-DoorKey-{size}-v0" for size in ("5x5", "6x6", "8x8")]


@pytest.mark.parametrize(
    ("texts", "shown"),
    [
        (DOORS, ["MiniGri…5x5-v0", "MiniGri…6x6-v0", "MiniGri…8x8-v0"]),
        (["2.1544346900318843e-05", "0.0001"], ["2.15443…43e-05", "0.0001"]),
        (["a\n b", "a  c"], ["a b", "a c"]),
        (
            ["MiniGrid-DoorKey-5x5-v0", "MiniGrid-Unlock-5x5-v0", "x"],
            ["…DoorKe…5x5-v0", "…Unlock-5x5-v0", "x"],
        ),
    ],
)
def test_long_choices_are_shortened_where_they_do_not_differ(texts, shown):
    assert distinct(texts, 14) == shown


def test_any_different_texts_have_different_labels_of_at_most_that_length():
    texts = ["".join(one) for one in itertools.product(["a" * 9, "b" * 9], repeat=5)]
    shown = distinct(texts, 14)
    assert len(set(shown)) == len(texts) == 32
    assert max(map(len, shown)) <= 14
    assert distinct(texts, 45) == texts


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    axes = {
        "environment.name": DOORS,
        "trainer.learning_rate_schedule.initial": [0.1, 0.2],
        "trainer.learning_rate_schedule.final": [0.01, 0.02],
    }
    _, values = landscape(axes, lambda point: point["trainer.learning_rate_schedule.final"], 2, 0.1)
    sweep = sweep_of(tmp_path_factory.mktemp("doors"), axes, np.asarray(values))
    return analyse(sweep, rank(sweep.results, sweep.jobs_a_lap))


SHOWN = ["MiniGri…5x5-v0", "MiniGri…6x6-v0", "MiniGri…8x8-v0"]


def test_the_page_tells_choices_and_axes_apart(analysis):
    charts = axis_charts.marginal_charts(analysis), axis_charts.pair_charts(analysis)
    marginals, pairs = [[one.figure["layout"] for one in some] for some in charts]
    assert marginals[0]["xaxis"]["ticktext"] == SHOWN
    assert pairs[0]["yaxis"]["ticktext"] == SHOWN
    (lines,) = axis_charts.parallel_chart(analysis).figure["data"]
    assert lines["dimensions"][0]["ticktext"] == SHOWN
    assert len({one["label"] for one in lines["dimensions"]}) == 4
    bars = axis_charts.importance_chart(analysis.importance).figure["layout"]["meta"]
    for names in bars.values():
        assert len(set(names)) == len(names) == 3 + 3 + 2


def test_the_figures_tell_choices_apart_and_break_names_between_words(analysis):
    axes = figures._marginals(analysis).axes
    ticks = [label.get_text() for label in axes[0].get_xticklabels()]
    assert ticks == ["MiniGrid…-5x5-v0", "MiniGrid…-6x6-v0", "MiniGrid…-8x8-v0"]
    titles = [one.get_title() for one in axes]
    assert titles == ["name", "learning_rate_schedule.\ninitial", "learning_rate_schedule.\nfinal"]
