"""Compares schedules, advantages and pieces with closed forms and loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neroRL.config.schema import ScheduleConfig
from neroRL.environments.vector.interface import EpisodeEnd
from neroRL.training.advantages import generalised_advantages
from neroRL.training.batches import cut_into_pieces, mini_batches
from neroRL.training.rollout import Rollout
from neroRL.training.schedules import decayed
from neroRL.training.statistics import RecentEpisodes, as_scalars


@pytest.mark.parametrize(
    ("schedule", "update", "expected"),
    [
        (ScheduleConfig(initial=1.0, final=0.2), 0, 1.0),
        (ScheduleConfig(initial=1.0, final=0.2), 50, 0.6),
        (ScheduleConfig(initial=1.0, final=0.2), 100, 0.2),
        (ScheduleConfig(initial=1.0, final=0.2, max_decay_steps=10), 11, 0.2),
        (ScheduleConfig(initial=1.0, final=0.0, power=2.0), 50, 0.25),
        (ScheduleConfig(initial=0.3), 77, 0.3),
        (ScheduleConfig(initial=0.1, final=0.5), 50, 0.3),
    ],
)
def test_schedule(schedule, update, expected):
    assert decayed(schedule, update, 100) == pytest.approx(expected)


@given(st.integers(0, 10_000), st.integers(2, 9), st.sampled_from([0.0, 0.5, 1.0]))
def test_advantages_equal_their_definition(seed, steps, lamda):
    generator = np.random.default_rng(seed)
    rewards, values, next_values = generator.normal(size=(3, steps, 2))
    ended = generator.random((steps, 2)) < 0.3
    got = generalised_advantages(rewards, values, next_values, ended, 0.9, lamda)
    for worker in range(2):
        for t in range(steps):
            total, weight = 0.0, 1.0
            for k in range(t, steps):
                delta = rewards[k, worker] + 0.9 * next_values[k, worker] - values[k, worker]
                total += weight * delta
                weight *= 0.9 * lamda
                if ended[k, worker]:
                    break
            assert got[t, worker] == pytest.approx(total)


def test_lambda_one_gives_returns_minus_values():
    rewards = np.ones((4, 1))
    values = np.full((4, 1), 0.5)
    next_values = np.array([[0.5], [0.5], [0.5], [10.0]])
    got = generalised_advantages(rewards, values, next_values, np.zeros((4, 1), bool), 0.5, 1.0)
    returns = [1 + 0.5 * (1 + 0.5 * (1 + 0.5 * (1 + 0.5 * 10)))]
    assert got[0, 0] == pytest.approx(returns[0] - 0.5)


@given(
    st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=20),
    st.integers(-1, 6),
)
def test_pieces_cover_every_step_once_and_no_episodes_end(starts, sequence_length):
    starts = np.array(starts)
    pieces = cut_into_pieces(starts, sequence_length)
    seen = np.zeros_like(starts, dtype=int)
    for worker, first, length in zip(*pieces, strict=True):
        assert length >= 1
        assert sequence_length < 1 or length <= sequence_length
        assert not starts[first + 1 : first + length, worker].any()
        ends = first + length
        at_the_end = ends == len(starts) or starts[ends, worker]
        assert at_the_end or length == sequence_length
        seen[first:ends, worker] += 1
    assert (seen == 1).all()


@given(st.integers(1, 12), st.booleans())
def test_mini_batches_hold_every_step_once(count, distinct):
    generator = np.random.default_rng(count)
    starts = generator.random((10, 3)) < 0.3
    rows = generator.integers(0, 5, (10, 3))
    empty = torch.empty(0)
    rollout = Rollout({}, rows, distinct, starts, empty, empty, empty, empty, empty, [])
    pieces = cut_into_pieces(starts, 4)
    seen: list[int] = []
    sizes = []
    for batch in mini_batches(rollout, pieces, count, torch.Generator().manual_seed(0)):
        in_order = np.arange(len(batch.rows))
        real = in_order if batch.indices is None else batch.indices.reshape(-1)
        real = real if batch.steps is None else real[batch.steps]
        np.testing.assert_array_equal(batch.rows[real], rows.reshape(-1)[batch.transitions])
        if distinct:
            assert len(set(batch.rows.tolist())) == len(batch.rows)
        seen.extend(batch.transitions.tolist())
        sizes.append(len(batch.first))
    assert sorted(seen) == list(range(30))
    assert max(sizes) - min(sizes) <= 1
    assert sizes == sorted(sizes, reverse=True)


def test_statistics_of_the_last_hundred_episodes():
    recent = RecentEpisodes()
    assert recent.summaries() == {}
    recent.add(EpisodeEnd(0, float(n), n, None if n < 120 else 1.0) for n in range(150))
    scalars = as_scalars("episode", recent.summaries())
    assert scalars["episode/reward_mean"] == pytest.approx(99.5)
    assert scalars["episode/reward_min"] == 50.0
    assert scalars["episode/length_max"] == 149.0
    assert scalars["episode/success_mean"] == 1.0


def test_further_numbers_of_episodes_are_summarised_and_restored():
    recent = RecentEpisodes()
    recent.load_state_dict([[0, 1.0, 5, None]])  # as older checkpoints have it
    recent.add([EpisodeEnd(0, 2.0, 5, None, {"floor": floor}) for floor in (1.0, 4.0)])
    restored = RecentEpisodes()
    restored.load_state_dict(recent.state_dict())
    assert restored.summaries() == recent.summaries()
    floor, reward = recent.summaries()["floor"], recent.summaries()["reward"]
    assert (floor.mean, floor.min, floor.max) == (2.5, 1.0, 4.0)
    assert reward.mean == pytest.approx(5 / 3)
