"""Tests learning curves that are read from event files as jobs write them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from neroRL.reporting.analysis.curves import (
    MOST_JOBS,
    MOST_PERMUTATIONS,
    MOST_POINTS,
    REWARD,
    learning_curves,
    read_run,
)
from neroRL.reporting.tensorboard import SUMMARIES, Summaries
from tests.reporting.landscapes import ranking_of


def _places(sweep):
    return lambda permutation, repetition: sweep / f"{permutation}/{repetition}"


def _train(job, rewards, first=1, name="gamma=0.9"):
    """Writes events as a training does, with 10 steps in each update."""
    summaries = Summaries(job / SUMMARIES, name)
    summaries.begin(first - 1)
    for update, reward in enumerate(rewards, first):
        told = {} if reward is None else {REWARD: reward}
        summaries.scalars(update, 10 * update, {**told, "loss/loss": 1.0})
    summaries.close()


def test_a_continued_job_has_one_curve(tmp_path):
    """The job was cut off after update 5 and continued from the checkpoint of update 3."""
    _train(tmp_path, [None, 2.0, 3.0, 4.0, 5.0])
    _train(tmp_path, [40.0, np.nan, 60.0], first=4)
    files = list((tmp_path / SUMMARIES).rglob("events*"))
    assert len(files) == 2
    found = read_run(tmp_path)
    assert found == {2: (20.0, 2.0), 3: (30.0, 3.0), 4: (40.0, 40.0), 6: (60.0, 60.0)}


def test_an_incomplete_or_damaged_file_is_read_up_to_the_damage(tmp_path):
    _train(tmp_path, [1.0, 2.0, 3.0])
    (path,) = (tmp_path / SUMMARIES).rglob("events*")
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        assert len(read_run(tmp_path)) <= 3
    path.write_bytes(whole + b"\xff" * 40)
    assert len(read_run(tmp_path)) == 3


def test_mean_and_interval_over_repetitions(tmp_path):
    values = np.array([[3.0, 4.0, 5.0], [1.0, 2.0, np.nan]])
    ranking = ranking_of([{"a": 0}, {"a": 1}], values)
    rewards = np.random.default_rng(0).normal(size=(3, 4))
    for repetition, row in enumerate(rewards):
        # The first reward of the second repetition is missing: no episode had ended.
        told = list(row) if repetition != 1 else [None, *row[1:]]
        _train(tmp_path / f"0/{repetition}", told)
    (curve,) = learning_curves(_places(tmp_path), ranking)
    assert (curve.permutation, curve.repetitions) == (0, 3)
    assert list(curve.steps) == [20.0, 30.0, 40.0]
    np.testing.assert_allclose(curve.mean, rewards[:, 1:].mean(axis=0), rtol=1e-6)
    low, high = stats.t.interval(
        0.95, 2, rewards[:, 1:].mean(axis=0), stats.sem(rewards[:, 1:], axis=0)
    )
    np.testing.assert_allclose(curve.low, low, rtol=1e-5)
    np.testing.assert_allclose(curve.high, high, rtol=1e-5)


def test_only_so_much_is_read_as_takes_seconds(tmp_path, monkeypatch):
    for number in range(3):
        _train(tmp_path / f"{number}/0", [1.0, 2.0])
    ranking = ranking_of([{"a": number} for number in range(3)], np.array([[1.0], [3.0], [2.0]]))
    assert [curve.permutation for curve in learning_curves(_places(tmp_path), ranking)] == [1, 2, 0]
    (path,) = (tmp_path / "1/0" / SUMMARIES).rglob("events*")
    monkeypatch.setattr("neroRL.reporting.analysis.curves.MOST_BYTES", path.stat().st_size + 1)
    assert [curve.permutation for curve in learning_curves(_places(tmp_path), ranking)] == [1, 2]


def test_only_what_is_drawn_is_read(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(
        "neroRL.reporting.analysis.curves.read_run",
        lambda job: read.append(job) or {step: (float(step), 1.0) for step in range(5000)},
    )
    count = MOST_PERMUTATIONS + 10
    points = [{"a": number} for number in range(count)]
    values = np.random.default_rng(0).normal(size=(count, 4))
    ranking = ranking_of(points, values)
    curves = learning_curves(_places(tmp_path), ranking)
    best = [row.standing.permutation for row in ranking.rows[:MOST_PERMUTATIONS]]
    assert [curve.permutation for curve in curves] == best
    assert len(read) == 4 * MOST_PERMUTATIONS
    assert {len(curve.steps) for curve in curves} == {MOST_POINTS}
    assert curves[0].steps[-1] == 4999
    read.clear()
    learning_curves(_places(tmp_path), ranking_of(points, np.tile(values, 2)))
    assert len(read) == pytest.approx(MOST_JOBS, abs=4)
