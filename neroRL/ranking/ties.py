"""Tells which permutations may be as good as the best, and how many repetitions would decide it.

The test is a paired t-test. Few repetitions say little about the variance of a difference, so it
borrows from the other differences as far as their variances agree ("moderated t", Smyth 2004,
"Linear Models and Empirical Bayes Methods for Assessing Differential Expression in Microarray
Experiments").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

POWER = 0.8
MOST_REPETITIONS = 10_000
# Two repetitions, or three differences, do not show how far variances agree.
LEAST_FREEDOM = 2
LEAST_DIFFERENCES = 3
# All differences share the best permutation's own noise, so together they know the variance less
# well than as many independent ones. What is borrowed is at most 1.5 times what a difference has.
DIFFERENCES_A_SHARE = 4
MOST_SHARES = 1.5
# What rounding makes of a difference of zero is less than this share of the values.
DUST = 1e-12

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Differences:
    """The differences of all permutations to the first, each of shape (permutations,).

    Attributes:
        shared: repetitions that a permutation shares with the first.
        mean: of the differences of objectives in them.
        variance: of one difference; never below that of the permutation's own.
        borrowed: degrees of freedom that the variance has from other permutations.
    """

    shared: NDArray[np.intp]
    mean: Values
    variance: Values
    borrowed: float


def differences(table: Values) -> Differences:
    """Returns the differences to the first permutation in repetitions, which share a seed.

    Args:
        table: objectives of shape (permutations, repetitions), NaN where there is none.
    """
    found = table[0] - table
    found[np.abs(found) <= DUST * np.abs(table)] = 0.0
    known = np.isfinite(found)
    shared = known.sum(axis=1)
    enough = np.maximum(shared, 2)
    mean = np.where(known, found, 0.0).sum(axis=1) / enough
    squares = np.where(known, (found - mean[:, None]) ** 2, 0.0).sum(axis=1)
    variance, freedom = squares / (enough - 1), enough - 1
    # Those that vary, of all repetitions.
    usual = (variance > 0.0) & (shared == shared[1:].max(initial=0))
    common, borrowed = _agreement(variance[usual], int(shared[1:].max(initial=0)) - 1)
    together = (borrowed * common + freedom * variance) / (borrowed + freedom)
    return Differences(shared, mean, np.maximum(variance, together), borrowed)


def _agreement(variances: Values, freedom: int) -> tuple[float, float]:
    """Returns what variances have in common, and how many degrees of freedom that is worth.

    Variances are those of a scaled F distribution, fitted by the moments of their logarithms.

    Args:
        variances: above zero, of shape (differences,).
        freedom: degrees of freedom of each.
    """
    from scipy.special import digamma, polygamma  # would delay the start of a sweep

    shares = min((len(variances) - LEAST_DIFFERENCES) / DIFFERENCES_A_SHARE, MOST_SHARES)
    if freedom < LEAST_FREEDOM or shares <= 0.0:
        return 0.0, 0.0
    logarithms = np.log(variances) - digamma(freedom / 2) + np.log(freedom / 2)
    surplus = float(logarithms.var(ddof=1) - polygamma(1, freedom / 2))
    if surplus <= 0.0:  # no more than chance
        return float(variances.mean()), shares * freedom
    half = _inverse_trigamma(surplus)
    common = np.exp(logarithms.mean() + digamma(half) - np.log(half))
    return float(common), min(2.0 * half, shares * freedom)


def _inverse_trigamma(value: float) -> float:
    """Returns where the trigamma function has a value, by Newton's method (Smyth 2004)."""
    from scipy.special import polygamma

    place = 0.5 + 1.0 / value
    for _ in range(50):
        trigamma = polygamma(1, place)
        step = trigamma * (1.0 - trigamma / value) / polygamma(2, place)
        place += step
        if -step < 1e-10 * place:
            break
    return float(place)


def ties(table: Values, level: float) -> list[bool]:
    """Returns for each permutation whether it may be as good as the first one.

    A permutation that shares fewer than two repetitions with the first is tied.

    Args:
        table: objectives of shape (permutations, repetitions), NaN where there is none.
        level: of each one-sided test.
    """
    from scipy.special import stdtr

    if not len(table):
        return []
    found = differences(table)
    enough = np.maximum(found.shared, 2)
    error = np.sqrt(found.variance / enough)
    freedom = enough - 1 + found.borrowed
    with np.errstate(divide="ignore", invalid="ignore"):
        chance = np.where(error > 0.0, stdtr(freedom, -found.mean / error), found.mean <= 0.0)
    tied = (found.shared < 2) | (chance > level)
    tied[0] = True
    return [bool(one) for one in tied]


def repetitions_missing(table: Values, level: float) -> int | None:
    """Returns the number of further repetitions that would part the first from its first tie.

    That is the first permutation that the test does not part from the first one. They suffice with
    a probability of 80 % if the mean and the spread of the differences stay the same. The mean is
    then as many standard errors from zero as the sum of two quantiles of Student's t: that of the
    level and that of the probability.

    Args:
        table: objectives of shape (permutations, repetitions), NaN where there is none.
        level: of the test.

    Returns:
        0 if the test parts it from all others already. None with fewer than two permutations or
        differences, if the mean is not above zero, or if it would take more than ten thousand.
    """
    from scipy.special import stdtrit

    if len(table) < 2:
        return None
    tied = np.flatnonzero(ties(table, level)[1:])
    if not len(tied):
        return 0
    found, row = differences(table), int(tied[0]) + 1
    shared, mean, variance = int(found.shared[row]), found.mean[row], found.variance[row]
    if shared < 2 or mean <= 0.0 or variance == 0.0:
        return None
    counts = np.arange(shared + 1, MOST_REPETITIONS + 1)
    freedom = counts - 1 + found.borrowed
    needed = stdtrit(freedom, 1.0 - level) + stdtrit(freedom, POWER)
    enough = mean * np.sqrt(counts / variance) >= needed
    return int(enough.argmax()) + 1 if enough.any() else None
