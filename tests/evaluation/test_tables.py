"""Means and intervals against a naive loop; tables that never replace others."""

from __future__ import annotations

import numpy as np
import pytest

from neroRL.acting.evaluator import Played
from neroRL.acting.player import Episode
from neroRL.environments.vector.interface import EpisodeEnd
from neroRL.evaluation.tables import estimates, table_text, write_table


def _episodes(rewards):
    """Rewards of shape (seeds, repetitions)."""
    return [
        Played(Episode(100 + seed, repetition), EpisodeEnd(0, float(reward), 5, None, {"floor": 2}))
        for seed, row in enumerate(rewards)
        for repetition, reward in enumerate(row)
    ]


def test_intervals_are_those_of_seeds_and_cover_the_mean_as_often_as_they_say():
    random = np.random.default_rng(3)
    covered = 0
    for _ in range(200):
        levels = random.normal(size=(30, 1))
        found = estimates(_episodes(levels + 0.1 * random.normal(size=(30, 4))))["reward"]
        covered += found.low <= 0.0 <= found.high
    # The percentile bootstrap of 30 values covers a little less than 95 %; an interval over single
    # episodes would cover about 65 %.
    assert covered >= 0.9 * 200


def test_estimates():
    found = estimates(_episodes([[1.0, 3.0], [2.0, 6.0]]))
    assert found["reward"].mean == 3.0
    assert (found["reward"].low, found["reward"].high) == (2.0, 4.0)
    assert found["floor"].mean == 2.0
    assert "success" not in found  # the environment does not tell
    assert estimates(_episodes([[1.0, 3.0]]))["reward"].low is None


def test_a_number_that_some_episodes_do_not_tell_is_the_mean_of_those_that_do():
    """As a training's ``success_mean`` of the same episodes."""
    told = [[1.0, 1.0, 1.0], [0.0, None, None], [None] * 3]
    episodes = [
        Played(Episode(seed, repetition), EpisodeEnd(0, 1.0, 5, success))
        for seed, row in enumerate(told)
        for repetition, success in enumerate(row)
    ]
    found = estimates(episodes)["success"]
    assert found.mean == 0.75
    # A resample of two seeds is the first twice, the second twice, or both.
    assert (found.low, found.high) == (0.0, 1.0)


def test_a_table_has_a_row_for_each_episode():
    rows = [({"seed": one.episode.seed}, one) for one in _episodes([[1.0], [0.5]])]
    text = "seed,reward,length,success,floor\n100,1.0,5,,2\n101,0.5,5,,2\n"
    assert table_text(rows) == text


@pytest.mark.parametrize("same", [True, False])
def test_a_table_that_was_there_is_kept_beside(tmp_path, same):
    path = tmp_path / "table.csv"
    for number in range(3):
        aside = write_table(path, "same" if same else f"{number}")
    assert path.read_text() == ("same" if same else "2")
    others = {} if same else {"table.0.csv": "0", "table.1.csv": "1"}
    assert {one.name: one.read_text() for one in tmp_path.iterdir() if one != path} == others
    assert aside == (None if same else tmp_path / "table.1.csv")
