"""Compares the numbers of a report with naive loops, scipy and known landscapes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from neroRL.records.results import DIVERGED, FAILED, STOPPED, JobResult
from neroRL.reporting.analysis.comparisons import pairs, probabilities_of_improvement
from neroRL.reporting.analysis.costs import costs, endings
from neroRL.reporting.analysis.importance import importance
from neroRL.reporting.analysis.marginals import marginal_effects
from tests.reporting.landscapes import grid, jobs, landscape, observed, ranking_of

AXES = {"trainer.gamma": [0.9, 0.99], "model.activation": ["relu", "elu", "gelu"], "seed.a": [1, 2]}


def _effects(found, name):
    (marginal,) = [one for one in found if one.axis.name == name]
    return {effect.choice: effect for effect in marginal.effects}


def test_effects_on_a_full_grid_are_those_of_a_naive_loop():
    points = grid(AXES)
    values = np.random.default_rng(0).normal(size=(len(points), 3))
    for index, key in enumerate(AXES):
        blocks: dict[tuple, dict] = {}
        for point, row in zip(points, values, strict=True):
            others = tuple(value for other, value in point.items() if other != key)
            for repetition, value in enumerate(row):
                blocks.setdefault((others, repetition), {})[point[key]] = value
        marginal = marginal_effects(observed(AXES, points, values), 0.9)[index]
        assert marginal.full
        for choice, effect in zip(AXES[key], marginal.effects, strict=True):
            differences = [
                block[choice] - np.mean(list(block.values())) for block in blocks.values()
            ]
            assert effect.difference == pytest.approx(np.mean(differences))
            interval = stats.t.interval(
                0.9, len(differences) - 1, np.mean(differences), stats.sem(differences)
            )
            assert effect.interval == pytest.approx(interval)
            assert effect.blocks == len(differences)


def test_differences_that_are_only_rounding_are_zero():
    """All blocks have the same values, which no binary number is equal to."""
    points = grid(AXES)
    rewards = {0.9: 0.1, 0.99: 0.7}
    values = np.array([[rewards[point["trainer.gamma"]]] * 3 for point in points])
    gamma, *others = marginal_effects(observed(AXES, points, values), 0.95)
    assert [effect.difference for effect in gamma.effects] == pytest.approx([-0.3, 0.3])
    for marginal in others:
        assert [effect.difference for effect in marginal.effects] == [0.0] * len(marginal.effects)
        assert {effect.interval for effect in marginal.effects} == {(0.0, 0.0)}


def test_a_hole_in_the_grid_does_not_make_a_choice_look_better():
    """The worst choice of b is missing beside the first choice of a, so a plain mean is wrong."""
    axes = {"x.a": [0, 1], "x.b": [0, 1, 2]}
    points = [point for point in grid(axes) if point != {"x.a": 0, "x.b": 0}]
    values = np.array([[10.0 * point["x.b"] + point["x.a"]] * 2 for point in points])
    found = marginal_effects(observed(axes, points, values), 0.95)
    assert [e.difference for e in found[0].effects] == pytest.approx([-0.5, 0.5])
    assert [e.difference for e in found[1].effects] == pytest.approx([-10.0, 0.0, 10.0])
    assert not found[1].full
    assert found[1].effects[0].blocks == 2


def test_a_fit_of_a_grid_with_holes_is_that_of_a_dense_least_squares_solver():
    axes = {"x.a": [0, 1, 2, 3], "x.b": [0, 1, 2]}
    random = np.random.default_rng(1)
    points = [point for i, point in enumerate(grid(axes)) if i not in (0, 4, 11)]
    values = random.normal(size=(len(points), 1))
    design = np.array(
        [[*(p["x.a"] == a for a in range(4)), *(p["x.b"] == b for b in range(3))] for p in points],
        float,
    )
    solved = np.linalg.lstsq(design, values[:, 0], rcond=None)[0][:4]
    found = marginal_effects(observed(axes, points, values), 0.95)[0]
    assert [e.difference for e in found.effects] == pytest.approx(solved - solved.mean())


def test_a_key_that_applies_only_beside_some_choices():
    """Without a memory there is no size, so sizes are compared only under gru."""
    axes = {"model/memory": ["none", "gru"], "m.size": [32, 64], "t.gamma": [0.9, 0.99]}
    points = [
        {key: value for key, value in point.items() if memory == "gru" or key != "m.size"}
        for point in grid(axes)
        if (memory := point["model/memory"]) == "gru" or point["m.size"] == 32
    ]
    values = np.array(
        [
            [3.0 * (p["model/memory"] == "gru") + p.get("m.size", 0) / 32 + p["t.gamma"]] * 2
            for p in points
        ]
    )
    found = marginal_effects(observed(axes, points, values), 0.95)
    memory, size = _effects(found, "memory"), _effects(found, "size")
    assert memory["gru"].difference == pytest.approx((3.0 + 1.5) / 2)
    assert [size[choice].difference for choice in ("32", "64")] == pytest.approx([-0.5, 0.5])
    assert size["32"].blocks == 4
    assert _effects(found, "gamma")["0.99"].difference == pytest.approx(0.045)
    shares = importance(observed(axes, points, values), found)
    assert not shares.exact


def test_choices_that_no_block_connects_have_no_common_scale():
    points = [{"x.a": a, "x.b": a // 2, "x.c": a} for a in range(4)]
    axes = {"x.a": [0, 1, 2, 3], "x.b": [0, 1]}
    found = marginal_effects(observed(axes, points, np.arange(8.0).reshape(4, 2)), 0.95)
    known = [effect.difference for effect in found[0].effects]
    assert [one is None for one in known].count(True) == 2
    assert sorted(one for one in known if one is not None) == pytest.approx([-1.0, 1.0])


def test_keys_that_change_together_are_one_axis():
    axes = {"s.workers": [8, 16], "s.batches": [4, 8], "t.gamma": [0.9, 0.99]}
    points = [
        {"s.workers": 8 * i, "s.batches": 4 * i, "t.gamma": g} for i in (1, 2) for g in (0.9, 0.99)
    ]
    found = observed(axes, points, np.arange(8.0).reshape(4, 2))
    assert [axis.name for axis in found.axes] == ["workers & batches", "gamma"]
    assert found.axes[0].choices == ("8 & 4", "16 & 8")


@pytest.mark.parametrize("repetitions", [1, 4])
def test_functional_anova_is_that_of_a_naive_loop(repetitions):
    axes = {"a.x": [0, 1], "a.y": [0, 1, 2], "a.z": [0, 1, 2, 3]}
    points = grid(axes)
    values = np.random.default_rng(2).normal(size=(len(points), repetitions))
    found = observed(axes, points, values)
    shares = importance(found, marginal_effects(found, 0.95))
    means = {tuple(p.values()): row.mean() for p, row in zip(points, values, strict=True)}
    grand = np.mean(list(means.values()))

    def average(fixed):
        return np.mean(
            [m for key, m in means.items() if all(key[i] == value for i, value in fixed.items())]
        )

    total = np.var(values)
    for i, share in enumerate(shares.alone):
        naive = np.mean([(average({i: v}) - grand) ** 2 for v in axes[f"a.{'xyz'[i]}"]])
        assert share.share == pytest.approx(naive / total)
    for (i, j), share in zip(itertools.combinations(range(3), 2), shares.pairs, strict=True):
        naive = np.mean(
            [
                (average({i: p[i], j: p[j]}) - average({i: p[i]}) - average({j: p[j]}) + grand) ** 2
                for p in means
            ]
        )
        assert share.share == pytest.approx(naive / total)
    assert shares.exact
    assert shares.seeds == pytest.approx(np.mean(np.var(values, axis=1)) / total)
    every = [share.share for share in (*shares.alone, *shares.pairs)]
    assert sum(every) + shares.rest + shares.seeds == pytest.approx(1.0)


def test_the_share_due_to_chance_is_its_mean_over_many_draws():
    """No axis has an effect, and all permutations share their seeds."""
    axes = {"a.x": [0, 1], "a.y": [0, 1, 2]}
    points, random = grid(axes), np.random.default_rng(3)
    told, expected = [], []
    for _ in range(100):
        values = random.normal(size=(6, 4)) + 3 * random.normal(size=(1, 4))
        found = observed(axes, points, values)
        shares = importance(found, [])
        total = np.var(values)
        told.append([share.share * total for share in (*shares.alone, *shares.pairs)])
        expected.append([share.by_chance * total for share in (*shares.alone, *shares.pairs)])
    error = 4 * np.std(told, axis=0) / np.sqrt(len(told))
    assert (np.abs(np.mean(told, axis=0) - np.mean(expected, axis=0)) < error).all()


def test_what_axes_of_unknown_effect_explain_is_no_share_of_others():
    """No two of these permutations differ in y alone."""
    points = [{"a.x": 0, "a.y": 0}, {"a.x": 1, "a.y": 0}, {"a.x": 2, "a.y": 1}]
    values = np.array([[0.0, 0.2], [0.1, 0.1], [5.0, 5.2]])
    found = observed({"a.x": [0, 1, 2], "a.y": [0, 1]}, points, values)
    shares = importance(found, marginal_effects(found, 0.95))
    assert [share.axes for share in shares.alone] == [("x",)]
    assert not shares.complete
    assert shares.effective is None
    assert shares.rest > 0.9


def test_a_known_landscape_is_read_correctly():
    """One axis matters by itself, two only together, and one has no effect."""
    axes = {"k.alone": [0, 1, 2], "k.one": [0, 1], "k.two": [0, 1], "k.nothing": [0, 1]}
    points, values = landscape(
        axes, lambda p: 4.0 * p["k.alone"] + 6.0 * (p["k.one"] ^ p["k.two"]), 5, noise=0.5
    )
    found = observed(axes, points, values)
    effects = marginal_effects(found, 0.95)
    alone = [effect.difference for effect in effects[0].effects]
    assert alone == pytest.approx([-4.0, 0.0, 4.0], abs=0.5)
    for marginal in effects[1:]:
        for effect in marginal.effects:
            assert abs(effect.difference) < 4 * 0.5 / np.sqrt(len(points) * 5)
    shares = importance(found, effects)
    by_axes = {share.axes: share for share in (*shares.alone, *shares.pairs)}
    largest = sorted(by_axes, key=lambda axes: -by_axes[axes].share)[:2]
    assert set(largest) == {("alone",), ("one", "two")}
    assert by_axes["nothing",].share < 0.01
    assert by_axes["alone",].share == pytest.approx(32 / 3 / (32 / 3 + 9), abs=0.03)
    # Half of the variance is the pair's, so each of its axes matters half as much as the first.
    weights = np.array([32 / 3, 4.5, 4.5]) / (32 / 3 + 9)
    assert shares.effective == pytest.approx(np.exp(stats.entropy(weights)), rel=0.05)
    (pair,) = [p for p in pairs(found, 30) if (p.first.name, p.second.name) == ("one", "two")]
    assert pair.means[0, 1] - pair.means[0, 0] == pytest.approx(6.0, abs=0.5)
    assert (pair.counts == 6).all()


def test_probability_of_improvement_counts_all_pairs_of_runs():
    values = np.array([[3.0, 4, 5, 5], [3, 1, 2, 5], [0, 9, 4, np.nan]])
    found = observed({"a.x": [0, 1, 2]}, [{"a.x": i} for i in range(3)], values)
    best = values[found.permutations[0]]
    naive = []
    for number in found.permutations[1:]:
        other = values[number][np.isfinite(values[number])]
        wins = [float(x > y) + float(x == y) / 2 for x in best for y in other]
        naive.append(np.mean(wins))
    assert probabilities_of_improvement(found) == pytest.approx(naive)


def test_costs_and_what_a_race_saved():
    told = [
        JobResult(0, 0, 1, "completed", updates=100, env_steps=50, wall_seconds=3600.0,
                  steps_per_second=10.0),
        JobResult(1, 0, 1, STOPPED, updates=25, env_steps=10, wall_seconds=1800.0,
                  steps_per_second=30.0, planned_updates=100),
        JobResult(2, 0, 1, STOPPED, updates=50, wall_seconds=3600.0, planned_updates=60,
                  resume_at=25),
        JobResult(3, 0, 1, FAILED, error="ValueError: no\n\nsecond line", directory="3/0"),
    ]  # fmt: skip
    found = costs(told)
    assert (found.env_steps, found.hours, found.steps_per_second) == (60, 2.5, 20.0)
    assert found.updates_saved == 75 + 10
    assert found.hours_saved == pytest.approx(75 / 25 * 0.5 + 10 / 25)
    assert [(one.job, one.status, one.reason) for one in endings(told)][2] == (
        "3/0", "failed", "ValueError: no …",
    )  # fmt: skip


def test_why_a_job_stands_at_a_rung():
    told = [
        JobResult(0, 0, 1, STOPPED, rung=0.5, directory="0/0"),
        JobResult(1, 0, 1, STOPPED, rung=0.5, directory="1/0"),
        JobResult(1, 1, 2, DIVERGED, error="loss", directory="1/1"),
    ]
    assert [one.reason for one in endings(told)] == [
        "behind at rung 0.5 of the race", "another job of its permutation diverged", "loss",
    ]  # fmt: skip
    assert [one.reason for one in endings(told, is_open=True)] == [
        "at rung 0.5 of a race that is not over", "another job of its permutation diverged", "loss",
    ]  # fmt: skip


def test_a_sweep_without_a_ranked_permutation_has_no_numbers():
    empty = observed(AXES, [], np.zeros((0, 0)))
    assert list(probabilities_of_improvement(empty)) == []
    assert importance(empty, marginal_effects(empty, 0.95)) is None
    assert ranking_of([], np.zeros((0, 0))).best is None
    assert jobs([], np.zeros((0, 0))) == []


@pytest.mark.parametrize("value", [0.0, 0.1, 3.3, -0.7])
@pytest.mark.parametrize("holes", [0, 1])
def test_where_all_values_are_equal_no_axis_has_a_share(value, holes):
    points = grid(AXES)[holes:]
    found = observed(AXES, points, np.full((len(points), 5), value))
    assert importance(found, marginal_effects(found, 0.95)) is None
