"""Tests which permutation is best, and that every place that names it agrees."""

from __future__ import annotations

import io
import random
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from neroRL.ranking.ranking import rank
from neroRL.ranking.standing import interquartile_mean, laps_that_count, standings
from neroRL.records.results import COMPLETED, DIVERGED, FAILED, STOPPED, JobResult
from neroRL.reporting.progress import PlainDisplay
from neroRL.reporting.summary import print_summary
from neroRL.sweep.jobs import Job
from neroRL.sweep.monitor import Monitor
from neroRL.sweep.points import Permutation


def _result(permutation: int, repetition: int, objective: float | None, status=COMPLETED):
    return JobResult(
        permutation,
        repetition,
        seed=repetition,
        status=status,
        overrides={"trainer.gamma": permutation / 10},
        objective=objective,
        directory=f"{permutation}/{repetition}",
    )


def _order(results, jobs_a_lap):
    return [(one.permutation, one.runs) for one in standings(results, jobs_a_lap)]


def _results(*objectives):
    """Makes jobs from a list of objectives for each permutation; None is a failed job."""
    return [
        _result(permutation, repetition, value, FAILED if value is None else COMPLETED)
        for permutation, values in enumerate(objectives)
        for repetition, value in enumerate(values)
    ]


def test_the_best_single_job_is_not_the_best_permutation():
    results = _results([0.99, 0.1, 0.2], [0.6, 0.5, 0.7])
    first, second = standings(results, 2)
    assert (first.permutation, first.runs, first.iqm) == (1, 3, pytest.approx(0.6))
    assert (second.permutation, second.objectives) == (0, {0: 0.99, 1: 0.1, 2: 0.2})


def test_a_permutation_that_misses_a_repetition_cannot_win():
    assert _order(_results([0.9, None], [0.1, 0.2], [None, None]), 3) == [(1, 2), (0, 1)]
    diverged = [_result(0, 0, 0.9), _result(0, 1, None, DIVERGED), *_results([], [0.1, 0.2])]
    assert _order(diverged, 2) == [(1, 2), (0, 1)]
    # A stopped job has an objective, but one of fewer updates.
    stopped = [_result(0, 0, 0.9, STOPPED), *_results([], [0.1])]
    assert _order(stopped, 2) == [(1, 1)]


def test_if_all_miss_a_repetition_those_with_most_are_compared():
    assert _order(_results([0.1, None], [None, 0.2]), 2) == [(1, 1), (0, 1)]


def test_being_early_in_a_lap_wins_nothing():
    """Permutation 1 is the best of the first lap, and 0 has begun the second."""
    results = _results([0.1, 0.3], [0.8], [0.5])
    assert _order(results, 3) == [(1, 1), (2, 1), (0, 1)]
    results += [_result(1, 1, 0.2), _result(2, 1, 0.9)]
    assert _order(results, 3) == [(2, 2), (1, 2), (0, 2)]


def test_the_first_lap_counts_from_its_first_job():
    assert _order(_results([0.1], [0.3]), 5) == [(1, 1), (0, 1)]
    assert standings([], 5) == []


def test_ties_go_to_the_lower_number():
    assert _order(_results([0.2], [0.3], [0.3]), 3) == [(1, 1), (2, 1), (0, 1)]


def test_laps_count_one_after_the_other():
    results = _results([0.1, 0.2, 0.3], [0.1, None, 0.3])
    assert laps_that_count(results, 2) == 3
    assert laps_that_count([one for one in results if one.repetition != 1], 2) == 1


@given(st.lists(st.lists(st.floats(-1e3, 1e3), min_size=9, max_size=9), min_size=1, max_size=4))
def test_the_interquartile_mean_is_scipys(rows):
    for length in range(1, 10):
        values = np.asarray(rows)[:, :length]
        np.testing.assert_allclose(
            interquartile_mean(values), stats.trim_mean(values, 0.25, axis=-1), atol=1e-12
        )


def _shown_best(monitor: Monitor, display: io.StringIO) -> tuple[int, str] | None:
    found = re.findall(r"best (\S+) in permutation (\d+)", display.getvalue())
    return (int(found[-1][1]), found[-1][0]) if found else None


def _first_row(results, jobs_a_lap) -> tuple[int, str] | None:
    printed = io.StringIO()
    print_summary(results, rank(results, jobs_a_lap), "out", printed)
    rows = [line.split("│") for line in printed.getvalue().splitlines() if line.startswith("│")]
    return (int(rows[0][1]), f"{float(rows[0][3]):.3g}") if rows else None


jobs = st.tuples(st.sampled_from([COMPLETED, COMPLETED, FAILED, DIVERGED]), st.integers(-5, 5))


@settings(max_examples=60)
@given(st.integers(1, 4), st.integers(1, 4), st.data())
def test_the_display_and_the_summary_name_the_same(tmp_path_factory, permutations, laps, data):
    """They agree in any order of the jobs and wherever the sweep stops, for files of real jobs."""
    sweep = Path(tmp_path_factory.mktemp("sweep"))
    told = data.draw(st.lists(jobs, min_size=permutations * laps, max_size=permutations * laps))
    order = list(range(len(told)))
    random.Random(data.draw(st.integers(0, 99))).shuffle(order)
    display = io.StringIO()
    monitor = Monitor(sweep, ["trainer.gamma"], len(told), permutations, {}, PlainDisplay(display))
    monitor.start()
    for number in order[: data.draw(st.integers(0, len(told)))]:
        status, objective = told[number]
        repetition, permutation = divmod(number, permutations)
        result = _result(
            permutation, repetition, objective / 4 if status == COMPLETED else None, status
        )
        point = Permutation(permutation, ())
        monitor.watch([Job(number, point, repetition, repetition, (), {})])
        (sweep / result.directory).mkdir(parents=True)
        result.write(sweep / result.directory)
    monitor.stop()
    assert _shown_best(monitor, display) == _first_row(monitor.results(), permutations)
