"""Counts how many permutations stay tied with the best in simulated sweeps with known truths.

Permutations share the noise of their seeds, with a standard deviation of 1; a run's own is 0.5.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neroRL.ranking.standing import interquartile_mean
from neroRL.ranking.ties import ties

LANDSCAPES = {
    "from 0 to 2, evenly": np.linspace(2, 0, 12),
    "two of 1, ten of 0": np.array([1.0, 1.0, *[0.0] * 10]),
    "all equal": np.zeros(12),
}
REPETITIONS = (3, 5, 10)
SWEEPS = 600
LEVEL = 0.05
NOISE = 0.5

Values = NDArray[np.float64]
Tied = NDArray[np.bool_]


def here(table: Values) -> Tied:
    """Returns the ties of a sweep's ranking."""
    return np.array(ties(table, LEVEL / (len(table) - 1)))


def paired(table: Values) -> Tied:
    """Returns those of a paired t-test alone, at the same level."""
    from scipy.stats import ttest_rel

    others = table[1:]
    chances = ttest_rel(table[:1], others, axis=1, alternative="greater").pvalue
    return np.array([True, *(chances > LEVEL / len(others))])


def known_noise(table: Values) -> Tied:
    """Returns those of a z-test that knows the noise, at the same level."""
    from scipy.stats import norm

    return _within(table, float(norm.isf(LEVEL / (len(table) - 1))))


def dunnett(table: Values) -> Tied:
    """Returns those of Dunnett's comparison with the best, which knows the noise."""
    return _within(table, _dunnett_bound(len(table) - 1))


def _within(table: Values, bound: float) -> Tied:
    """Returns which means are at most so many standard errors behind that of the first."""
    means = table.mean(axis=1)
    return np.asarray(means[0] - means <= bound * NOISE * np.sqrt(2.0 / table.shape[1]))


@functools.cache
def _dunnett_bound(others: int) -> float:
    """Returns what the largest of some differences to one mean exceeds as rarely as the level.

    ``scipy.stats.dunnett`` would estimate the noise, and with it that of the seeds, which the
    differences do not have.
    """
    from scipy.integrate import quad
    from scipy.optimize import brentq
    from scipy.stats import norm

    def surplus(bound: float) -> float:
        below = lambda z: norm.pdf(z) * norm.cdf(np.sqrt(2.0) * bound + z) ** others  # noqa: E731
        return float(quad(below, -9.0, 9.0)[0]) - (1.0 - LEVEL)

    return float(brentq(surplus, 0.0, 9.0))


TESTS: dict[str, Callable[[Values], Tied]] = {
    "here": here,
    "paired t-test alone": paired,
    "known noise, z-test": known_noise,
    "known noise, Dunnett": dunnett,
}


def simulated(means: Values, repetitions: int) -> dict[str, float]:
    """Returns the mean size of each test's tied set, and how often ours has the true best."""
    random = np.random.default_rng(3)
    sizes = dict.fromkeys(TESTS, 0.0)
    inside = 0.0
    for _ in range(SWEEPS):
        seeds = random.normal(size=(1, repetitions))
        noise = random.normal(size=(len(means), repetitions)) * NOISE
        drawn = means[:, None] + seeds + noise
        order = (-interquartile_mean(drawn)).argsort(kind="stable")
        for name, test in TESTS.items():
            tied = test(drawn[order])
            sizes[name] += tied.sum() / SWEEPS
            if name == "here":
                inside += float(0 in order[tied]) / SWEEPS
    return {**sizes, "inside": inside}


def run(rounds: int) -> dict[str, Any]:  # noqa: ARG001 - simulated sweeps are its rounds
    """Simulates sweeps of every landscape."""
    return {
        name: {str(count): simulated(means, count) for count in REPETITIONS}
        for name, means in LANDSCAPES.items()
    }


def table(results: dict[str, Any]) -> str:
    """Returns a table with a row for each landscape and number of repetitions."""
    rows = [
        f"| {'' if order else name} | {count} | "
        + " | ".join(f"{one[test]:.1f}" for test in TESTS)
        + f" | {100 * one['inside']:.0f} % |"
        for name, found in results.items()
        for order, (count, one) in enumerate(found.items())
    ]
    head = ["true means", "repetitions", *TESTS, "the true best is tied, here"]
    return "\n".join([f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *rows, ""])
