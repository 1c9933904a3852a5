"""Replays races on grids that were trained to the end, and compares rules for stopping early.

The learning curves of three grids are kept in ``results/racing``; ``benchmarks.racing_grids``
trains them anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.racing_grids import CURVES
from neroRL.config.budget import updates_at
from neroRL.ranking.standing import interquartile_mean
from neroRL.ranking.ties import ties
from neroRL.sweep.options import SweepOptions
from neroRL.sweep.race import Rule, survivors

# Of the repetitions, at most; the others judge.
TUNED = 5
REPLAYS = 1000
CONFIDENCE = 0.95

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Replay:
    """The outcome of a rule.

    Attributes:
        winner: the best permutation of those that were trained to the end.
        steps: share of the steps of the whole grid.
    """

    winner: int
    steps: float


RuleOf = Callable[[Values], Replay]


def best(final: Values, among: Sequence[int]) -> int:
    """Returns the permutation with the best interquartile mean, as a sweep ranks them."""
    return max(among, key=lambda one: (interquartile_mean(final[one]), -one))


def _replay(curves: Values, done: NDArray[np.intp]) -> Replay:
    """Returns the outcome, given the updates that each permutation was trained for."""
    updates = curves.shape[2]
    ended = np.flatnonzero(done == updates).tolist()
    return Replay(best(curves[:, :, -1], ended), float(done.mean() / updates))


def by_rank(objectives: Values, rule: Rule) -> NDArray[np.bool_]:
    """Keeps the share of a rule by rank alone."""
    ranks = (-objectives.mean(axis=1)).argsort(kind="stable").argsort()
    return np.asarray(ranks < rule.count(len(objectives)))


def staged(curves: Values, shares: Sequence[float], keep: Callable[[Values], Any]) -> Replay:
    """Stops permutations at rungs.

    Args:
        curves: objectives, shape (permutations, repetitions, updates).
        shares: of the updates, ascending, at which to decide.
        keep: returns which permutations go on, from objectives of shape (permutations,
            repetitions).
    """
    permutations, _, updates = curves.shape
    alive = np.arange(permutations)
    done = np.full(permutations, updates)
    for share in shares:
        at = updates_at(share, updates)
        goes_on = np.array(keep(curves[alive, :, at - 1]), bool)
        done[alive[~goes_on]] = at
        alive = alive[goes_on]
    return _replay(curves, done)


def race(rule: Rule, curves: Values) -> Replay:
    """Races by the rule of neroRL."""
    return staged(curves, rule.rungs, partial(survivors, rule=rule))


def halving(factor: int, curves: Values) -> Replay:
    """Keeps one of ``factor`` by rank at each rung (successive halving), down to one."""
    rungs: list[float] = []
    share = 1.0 / factor
    while share * curves.shape[2] >= 1.0 and factor ** len(rungs) < len(curves):
        rungs.insert(0, share)
        share /= factor
    rule = Rule(tuple(rungs), 1.0 / factor, least=1, confidence=CONFIDENCE)
    return staged(curves, rungs, partial(by_rank, rule=rule))


def median_pruner(curves: Values, warm_up: float = 0.1, first: int = 5) -> Replay:
    """Prunes as Optuna's ``MedianPruner``: one permutation after the other.

    One is stopped at the first update at which the best mean so far is below the median of the
    earlier permutations' means at that update. The first ones are never stopped.
    """
    means = curves.mean(axis=1)
    permutations, updates = means.shape
    done = np.full(permutations, updates)
    for one in range(first, permutations):
        for update in range(int(warm_up * updates), updates - 1):
            earlier = means[:one, update][done[:one] > update]
            if len(earlier) and means[one, : update + 1].max() < np.median(earlier):
                done[one] = update + 1
                break
    return _replay(curves, done)


def friedman(objectives: Values) -> Values:
    """Keeps what irace's test keeps: ranks over repetitions, compared with the best rank sum.

    Conover 1999, "Practical Nonparametric Statistics", section 5.8.
    """
    from scipy.stats import friedmanchisquare, rankdata
    from scipy.stats import t as student

    count, blocks = objectives.shape
    everything = np.ones(count, bool)
    if count < 3 or not objectives.std():
        return everything
    if not friedmanchisquare(*objectives).pvalue < 1.0 - CONFIDENCE:
        return everything
    ranks = rankdata(-objectives, axis=0)
    sums = ranks.sum(axis=1)
    total = (ranks**2).sum()
    between = (sums**2).sum() / blocks
    freedom = (blocks - 1) * (count - 1)
    error = np.sqrt(2.0 * blocks * max(total - between, 0.0) / freedom)
    return sums - sums.min() <= student.ppf(1.0 - (1.0 - CONFIDENCE) / 2.0, freedom) * error


def short(share: float, curves: Values) -> Replay:
    """Trains everything for a share of the updates, and takes the best there."""
    at = max(round(share * curves.shape[2]), 1)
    return Replay(best(curves[:, :, at - 1], range(len(curves))), at / curves.shape[2])


def ours(**changed: Any) -> Rule:
    """Returns the rule of the sweeper's defaults, with some of them changed."""
    options = SweepOptions()
    values = {
        "rungs": tuple(options.race_rungs),
        "keep": options.race_keep,
        "least": options.race_min_permutations,
        "confidence": options.race_confidence,
    }
    return Rule(**{**values, **changed})


RULES: Mapping[str, RuleOf] = {
    "no race": partial(staged, shares=(), keep=lambda _: ()),
    "neroRL's race": partial(race, ours()),
    "the same, by rank alone": partial(
        staged, shares=ours().rungs, keep=partial(by_rank, rule=ours())
    ),
    "successive halving, factor 2": partial(halving, 2),
    "successive halving, factor 3": partial(halving, 3),
    "successive halving, factor 4": partial(halving, 4),
    "Optuna's median pruner": median_pruner,
    "irace's Friedman test": partial(staged, shares=ours().rungs, keep=friedman),
    "all for 30 % of the updates": partial(short, 0.3),
}


def replayed(curves: Values, rule: RuleOf, replays: int = REPLAYS) -> dict[str, float]:
    """Replays a rule on some repetitions at a time, and judges its winner on the others.

    Returns:
        ``steps``: share of the grid's steps. ``regret``: how much worse the winner's fresh
        return is than that of the whole grid's winner. ``missed``: how often the winner is none of
        those that all repetitions together cannot tell from the best. ``as_good``: how often the
        winner's return over all repetitions is not below the 95 % t interval of the whole grid's
        winner's.
    """
    from scipy.special import stdtrit

    generator = np.random.default_rng(0)
    repetitions = curves.shape[1]
    final = curves[:, :, -1]
    order = (-interquartile_mean(final)).argsort(kind="stable")
    tied = ties(final[order], (1.0 - CONFIDENCE) / (len(final) - 1))
    best_set = {int(one) for one, is_tied in zip(order, tied, strict=True) if is_tied}
    found = []
    for _ in range(replays):
        drawn = generator.permutation(repetitions)
        tuned, fresh = np.split(drawn, [min(TUNED, repetitions - 2)])
        shuffled = generator.permutation(len(curves))  # no rule may gain by the order of the grid
        told = rule(curves[np.ix_(shuffled, tuned)])
        winner = int(shuffled[told.winner])
        whole = best(final[:, tuned], range(len(final)))
        error = final[whole].std(ddof=1) / np.sqrt(repetitions)
        low = final[whole].mean() - stdtrit(repetitions - 1, 0.5 + CONFIDENCE / 2.0) * error
        regret = final[whole, fresh].mean() - final[winner, fresh].mean()
        as_good = final[winner].mean() >= low
        found.append((told.steps, regret, winner not in best_set, as_good))
    names = ("steps", "regret", "missed", "as_good")
    return dict(zip(names, map(float, np.mean(found, axis=0)), strict=True))


def load() -> dict[str, Values]:
    """Returns the curves of each task, of shape (permutations, repetitions, updates)."""
    found = {}
    for path in sorted(CURVES.glob("*.npz")):
        with np.load(path) as content:
            found[str(content["title"])] = np.asarray(content["curves"], np.float64)
    return found


def run(rounds: int) -> dict[str, Any]:  # noqa: ARG001 - repetitions are its rounds
    """Replays every rule on every task."""
    results: dict[str, Any] = {}
    for task, curves in load().items():
        spread = np.ptp(interquartile_mean(curves[:, :, -1]))
        rules = {name: replayed(curves, rule) for name, rule in RULES.items()}
        results[task] = {"shape": list(curves.shape), "spread": float(spread), "rules": rules}
        print(f"racing: {task} is replayed", flush=True)
    return results


def table(results: dict[str, Any]) -> str:
    """Returns a table for each task, with a row for each rule."""
    parts = []
    for task, of_task in results.items():
        permutations, repetitions, updates = of_task["shape"]
        parts += [
            f"{task}: {permutations} permutations, {repetitions} repetitions, {updates} updates; "
            f"returns at the end differ by up to {of_task['spread']:.3g}.\n",
            "| rule | steps | regret | best set missed | as good |",
            "|---|---|---|---|---|",
            *(
                f"| {name} | {one['steps']:.0%} | {one['regret']:.3g} | {one['missed']:.1%} "
                f"| {one['as_good']:.1%} |"
                for name, one in of_task["rules"].items()
            ),
            "",
        ]
    return "\n".join(parts)
