"""Compares a ranking's intervals and ties with scipy and with known truths."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special, stats

from neroRL.ranking.ranking import RESAMPLES, SEED, bootstrap_interval, rank
from neroRL.ranking.ties import POWER, differences, repetitions_missing, ties
from neroRL.records.results import COMPLETED, FAILED, STOPPED, JobResult
from neroRL.reporting.analysis.comparisons import probabilities


def _results(table: np.ndarray) -> list[JobResult]:
    """Makes a job of each number, shape (permutations, repetitions); it failed if not finite."""
    return [
        JobResult(
            permutation,
            repetition,
            seed=repetition,
            status=COMPLETED if np.isfinite(value) else FAILED,
            overrides={"trainer.gamma": permutation},
            objective=float(value) if np.isfinite(value) else None,
            directory=f"{permutation}/{repetition}",
            env_steps=100,
            wall_seconds=2.0,
        )
        for (permutation, repetition), value in np.ndenumerate(table)
    ]


def _sweep(random: np.random.Generator, means, repetitions: int) -> np.ndarray:
    """Draws objectives with noise of the seeds, which permutations share, and of each job."""
    seeds = random.normal(size=(1, repetitions))
    return np.asarray(means)[:, None] + seeds + random.normal(size=(len(means), repetitions)) / 2


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3, 4, 5, 8, 13, 40])
def test_intervals_are_those_of_a_naive_loop(size):
    samples = np.random.default_rng(size).normal(size=(3, size))
    drawn = np.random.default_rng(SEED).integers(size, size=(RESAMPLES, size))
    for sample, found in zip(samples, bootstrap_interval(samples, 0.9), strict=True):
        means = [stats.trim_mean(np.sort(sample)[positions], 0.25) for positions in drawn]
        np.testing.assert_allclose(found, np.quantile(means, [0.05, 0.95]), rtol=1e-12)


@pytest.mark.parametrize("size", [5, 10, 30])
def test_intervals_are_those_of_scipys_bootstrap(size):
    """Both resample at random, so each of our bounds must lie within scipy's spread."""
    (sample,) = np.random.default_rng(size).normal(size=(1, size))
    scipys = stats.bootstrap(
        (sample,),
        lambda values, axis: stats.trim_mean(values, 0.25, axis=axis),
        n_resamples=50_000,
        method="percentile",
        rng=np.random.default_rng(7),
    )
    ours = bootstrap_interval(sample[None], 0.95)[0]
    for bound, share in zip(ours, (0.025, 0.975), strict=True):
        error = 4 * np.sqrt(share * (1 - share) / RESAMPLES)
        room = np.quantile(scipys.bootstrap_distribution, [share - error, min(share + error, 1)])
        assert room[0] <= bound <= room[1]


def test_statistics_are_those_of_rliable():
    """Its numbers are recorded: tests/ranking/rliable_oracle.py tells how."""
    recorded = json.loads((Path(__file__).parent / "rliable.json").read_text())["found"]
    samples = [np.array(told["sample"]) for told in recorded]
    table = np.full((len(samples), max(map(len, samples))), np.nan)
    for row, sample in zip(table, samples, strict=True):
        row[: len(sample)] = sample
    for told, sample in zip(recorded, samples, strict=True):
        (ranked,) = rank(_results(sample[None]), 1).rows
        assert ranked.standing.iqm == pytest.approx(told["iqm"], abs=1e-12)
        assert probabilities(sample, table) == pytest.approx(told["improvement"], abs=1e-12)
        assert ranked.interval is not None
        for bound, (low, high) in zip(ranked.interval, told["room"], strict=True):
            assert low - 1e-12 <= bound <= high + 1e-12


@given(st.integers(2, 4), st.integers(2, 9), st.floats(0.001, 0.2), st.randoms())
def test_ties_of_few_permutations_are_those_of_scipys_paired_test(
    permutations, repetitions, level, random
):
    generator = np.random.default_rng(random.randrange(2**32))
    table = _sweep(generator, np.linspace(1.0, 0.0, permutations), repetitions)
    table[1:][generator.random((permutations - 1, repetitions)) < 0.2] = np.nan
    found = ties(table, level)
    assert found[0]
    for row, tied in zip(table[1:], found[1:], strict=True):
        shared = np.isfinite(row)
        if shared.sum() < 2:
            assert tied
        else:
            test = stats.ttest_rel(table[0][shared], row[shared], alternative="greater")
            assert tied == (test.pvalue > level)


@pytest.mark.parametrize(("permutations", "repetitions"), [(5, 3), (9, 4), (20, 3), (40, 8)])
@pytest.mark.parametrize("alike", [True, False])
def test_variances_are_shared_as_by_the_moderated_t_test(permutations, repetitions, alike):
    """By a naive reading of Smyth's formulas, with what is borrowed limited."""
    random = np.random.default_rng(permutations)
    spread = np.ones(permutations) if alike else np.geomspace(0.01, 10.0, permutations)
    table = random.normal(size=(permutations, repetitions)) * spread[:, None]
    found = differences(table)
    own = [float(np.var(table[0] - row, ddof=1)) for row in table[1:]]
    freedom = repetitions - 1
    offset = special.digamma(freedom / 2) - np.log(freedom / 2)
    logarithms = [np.log(one) - offset for one in own]
    surplus = np.var(logarithms, ddof=1) - special.polygamma(1, freedom / 2)
    most = freedom * min((len(own) - 3) / 4, 1.5)
    common, borrowed = float(np.mean(own)), most
    if surplus > 0:
        half = optimize.brentq(lambda x: special.polygamma(1, x) - surplus, 1e-6, 1e12)
        common = np.exp(np.mean(logarithms) + special.digamma(half) - np.log(half))
        borrowed = min(2 * half, most)
    assert found.borrowed == pytest.approx(borrowed)
    together = [(borrowed * common + freedom * one) / (borrowed + freedom) for one in own]
    expected = np.maximum(own, together)
    assert found.variance[1:] == pytest.approx(expected)
    errors = np.sqrt(expected / repetitions)
    chances = stats.t.sf((table[0] - table[1:]).mean(axis=1) / errors, freedom + borrowed)
    assert ties(table, 0.05)[1:] == list(chances > 0.05)


def test_ties_of_differences_without_spread():
    table = np.array([[0.5, 0.75, 1.0], [0.25, 0.5, 0.75], [0.5, 0.75, 1.0], [1.5, 1.75, 2.0]])
    assert ties(table, 0.05) == [True, False, True, True]


@pytest.mark.slow
@pytest.mark.parametrize("repetitions", [3, 5, 10])
@pytest.mark.parametrize("means", [np.zeros(12), np.linspace(0, 2, 12), [1.0, 1.0, *[0.0] * 10]])
def test_the_true_best_is_tied_with_the_best(means, repetitions):
    """This holds in at least 95 of 100 noisy sweeps, wherever the true best is."""
    random = np.random.default_rng(3)
    inside = 0
    for _ in range(200):
        ranking = rank(_results(_sweep(random, means, repetitions)), len(means))
        inside += int(np.argmax(means)) in ranking.tied
    assert inside >= 0.95 * 200


@pytest.mark.slow
@pytest.mark.parametrize("repetitions", [3, 5])
@pytest.mark.parametrize(
    "spread",
    [[2.0, *[0.1] * 11], [0.1, *[2.0] * 11], np.geomspace(2.0, 0.05, 12), np.ones(12)],
)
def test_the_true_best_is_tied_if_permutations_differ_in_noise(spread, repetitions):
    """The true best is ahead by nothing worth mentioning; the others have its mean."""
    random = np.random.default_rng(8)
    means = np.array([1e-9, *[0.0] * 11])
    inside = 0
    for _ in range(200):
        noise = random.normal(size=(12, repetitions)) * np.asarray(spread)[:, None]
        inside += 0 in rank(_results(means[:, None] + noise), 12).tied
    assert inside >= 0.95 * 200


@pytest.mark.slow
@pytest.mark.parametrize(
    ("means", "repetitions", "most"),
    [
        (np.linspace(0, 2, 12), 3, 1.7),
        (np.linspace(0, 2, 12), 5, 1.4),
        (np.linspace(0, 2, 12), 10, 1.2),
        ([1.0, 1.0, *[0.0] * 10], 3, 1.75),
        ([1.0, 1.0, *[0.0] * 10], 5, 1.85),
        ([1.0, 1.0, *[0.0] * 10], 10, 1.35),
    ],
)
def test_the_tied_set_is_not_much_larger_than_that_of_one_who_knows_the_noise(
    means, repetitions, most
):
    """A z-test with the true variance and the same correction is the best that can be done."""
    random = np.random.default_rng(3)
    ours = best_possible = 0
    for _ in range(200):
        table = _sweep(random, means, repetitions)
        ranking = rank(_results(table), 12)
        assert ranking.best is not None
        behind = table[ranking.best.standing.permutation].mean() - table.mean(axis=1)
        deviation = np.sqrt(2 * 0.5**2 / repetitions)  # of a difference of two means
        best_possible += int((behind <= stats.norm.isf(0.05 / 11) * deviation).sum())
        ours += len(ranking.tied)
    assert ours <= most * best_possible


def test_a_confirmation_is_unbiased_although_the_winners_own_mean_is_not():
    """All ten permutations have the mean 0.5, so the winner looks better than it is."""
    random = np.random.default_rng(5)
    own, confirmed = [], []
    for _ in range(200):
        best = rank(_results(random.normal(0.5, 1.0, size=(10, 5))), 10).best
        assert best is not None
        own.append(best.mean)
        again = _results(random.normal(0.5, 1.0, size=(1, 5)))
        ranked = rank(again, 1).best
        assert ranked is not None
        confirmed.append(ranked.mean)
    assert stats.ttest_1samp(own, 0.5).statistic > 10.0
    assert stats.ttest_1samp(confirmed, 0.5).pvalue > 0.05


def test_with_enough_repetitions_only_the_best_is_left():
    random = np.random.default_rng(4)
    alone = 0
    for _ in range(50):
        ranking = rank(_results(_sweep(random, [0.0, 0.5, 1.0, 2.0], 20)), 4)
        assert ranking.best is not None
        alone += ranking.tied == [3]
        assert ranking.more_repetitions == 0
    assert alone >= 49


def _missing(values: np.ndarray, level: float) -> int | None:
    return repetitions_missing(np.stack([values, np.zeros_like(values)]), level)


@pytest.mark.parametrize(("difference", "repetitions"), [(1.0, 3), (0.5, 5), (0.2, 8)])
@pytest.mark.parametrize("level", [0.05, 0.005])
def test_missing_repetitions_give_the_test_its_power(difference, repetitions, level):
    """The noncentral t distribution gives it, if later differences are like the first."""
    noise = np.random.default_rng(5).normal(size=repetitions)
    values = difference + (noise - noise.mean()) / noise.std(ddof=1)
    more = _missing(values, level)
    assert more
    count = repetitions + more

    def power(count: int) -> float:
        bound = stats.t.isf(level, count - 1)
        return float(stats.nct.sf(bound, count - 1, difference * np.sqrt(count)))

    assert power(count) == pytest.approx(POWER, abs=0.05)


def test_ties_that_more_repetitions_cannot_break():
    assert _missing(np.array([0.5]), 0.05) is None
    assert _missing(np.array([0.5, np.nan]), 0.05) is None
    assert _missing(np.array([-1.0, 0.5]), 0.05) is None
    assert _missing(np.array([0.5, 0.5]), 0.05) == 0
    assert _missing(np.array([0.0, 0.0]), 0.05) is None
    assert _missing(np.array([1.0, -0.9999]), 0.05) is None


def test_missing_repetitions_are_those_of_the_first_permutation_that_is_tied():
    """The second by rank is parted from the best, the third is not."""
    best, second = np.array([1.0, 1.1, 0.9, 1.0]), np.array([0.8, 0.9, 0.7, 0.8])
    tied = np.array([1.6, -0.4, 1.5, -0.3])
    alone = repetitions_missing(np.stack([best, tied]), 0.05)
    assert alone
    assert ties(np.stack([best, second, tied]), 0.05) == [True, False, True]
    assert repetitions_missing(np.stack([best, second, tied]), 0.05) == alone
    assert repetitions_missing(np.stack([best, second, second]), 0.05) == 0


def test_a_ranking_counts_all_jobs_and_ranks_what_completed():
    nan = np.nan
    results = _results(np.array([[1.0, 2.0], [3.0, nan], [nan, nan], [2.0, 2.5]]))
    stopped = JobResult(3, 2, 2, STOPPED, objective=9.0, directory="3/2", env_steps=50)
    ranking = rank([*results, stopped], 4)
    assert [(row.rank, row.standing.permutation) for row in ranking.rows] == [
        (1, 3), (2, 0), (3, 1), (None, 2)
    ]  # fmt: skip
    first, second, third, last = ranking.rows
    assert (first.standing.iqm, first.mean, first.std) == (2.25, 2.25, pytest.approx(0.5**0.5 / 2))
    assert first.jobs == {COMPLETED: 2, STOPPED: 1}
    assert (first.env_steps, first.wall_seconds) == (250, 4.0)
    assert second.interval == (1.0, 2.0)
    assert (third.interval, third.std, third.jobs) == (None, None, {COMPLETED: 1, FAILED: 1})
    assert third.tied_with_best
    assert (last.mean, last.jobs, last.tied_with_best) == (None, {FAILED: 2}, False)
    assert ranking.best is first
    nothing = rank(_results(np.array([[nan]])), 1)
    assert (nothing.best, nothing.more_repetitions, len(nothing.rows)) == (None, None, 1)
    assert rank([], 1).rows == []


def test_the_same_results_give_the_same_ranking_in_any_order():
    results = _results(_sweep(np.random.default_rng(6), [0.0, 0.3, 0.1], 6))
    shuffled = list(results)
    np.random.default_rng(7).shuffle(shuffled)
    assert rank(results, 3) == rank(shuffled, 3)


def test_a_difference_that_is_only_rounding_decides_nothing():
    assert ties(np.array([[0.1 + 0.2] * 5, [0.3] * 5, [0.2] * 5]), 0.05) == [True, True, False]
