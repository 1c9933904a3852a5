"""Sweeps side by side: what the best permutation of each reached."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from neroRL.config.nested import flat
from neroRL.config.objective import EVALUATE, changes_objective
from neroRL.ranking.ranking import Ranked, Ranking, confirmed_best, objectives_table
from neroRL.records.sweeps import RecordedSweep
from neroRL.reporting.analysis.comparisons import probabilities
from neroRL.reporting.summary import console_for, interval_text
from neroRL.reporting.tables import print_table


@dataclass(frozen=True)
class Reported:
    """A sweep and its rankings.

    Attributes:
        sweep: as its files tell it.
        ranking: of its permutations.
        confirmed: ranking of the best ones on fresh seeds, if there is one.
        config: of the best permutation, where it could be read.
    """

    sweep: RecordedSweep
    ranking: Ranking
    confirmed: Ranking | None = None
    config: Mapping[str, Any] | None = None

    @property
    def best(self) -> Ranked | None:
        """The best permutation, with its numbers on fresh seeds where it has some."""
        return confirmed_best(self.ranking, self.confirmed) or self.ranking.best


def print_comparison(reported: Sequence[Reported], stream: TextIO) -> None:
    """Prints the best permutations of several sweeps, and how far apart the first two are.

    Args:
        reported: the sweeps, at least two.
        stream: where to.
    """
    console = console_for(stream)
    console.print("Side by side, the best permutation of each sweep:")
    print_table(
        console,
        ["sweep", "permutation", "runs", "seeds", "iqm", "interval", "values"],
        [[str(one.sweep.directory), *_cells(one)] for one in reported],
        texts=["sweep", "values"],
        spare=["interval", "seeds", "runs", "permutation"],
    )
    for other in reported[1:]:
        for line in _differences(reported[0], other):
            console.print(line)


def difference_interval(ours: Ranked, theirs: Ranked, confidence: float) -> tuple[float, float]:
    """Returns Welch's interval of the difference of two means (Welch 1947).

    Args:
        ours: the minuend, with at least two repetitions.
        theirs: the subtrahend, with at least two repetitions.
        confidence: of the interval.
    """
    from scipy import stats

    samples = [list(row.standing.objectives.values()) for row in (ours, theirs)]
    with warnings.catch_warnings():  # scipy warns of equal values, whose interval is right
        warnings.simplefilter("ignore", RuntimeWarning)
        test = stats.ttest_ind(*samples, equal_var=False)
        low, high = test.confidence_interval(confidence)
    return float(low), float(high)


def _cells(one: Reported) -> list[str]:
    best = one.best
    if best is None:
        return ["none", "0", "", "", "", ""]
    standing = best.standing
    seeds = "tuning" if best is one.ranking.best else "fresh"
    iqm, interval = f"{standing.iqm:.4g}", interval_text(best)
    return [
        str(standing.permutation), str(standing.runs), seeds, iqm, interval, standing.values()
    ]  # fmt: skip


def _differences(first: Reported, other: Reported) -> list[str]:
    names = f"{first.sweep.directory} and {other.sweep.directory}"
    ours, theirs = first.best, other.best
    lines = []
    if ours is not None and theirs is not None:
        runs, others = objectives_table([ours.standing]), objectives_table([theirs.standing])
        better = 100.0 * probabilities(runs[0], others)[0]
        told = f"{names}: a run of the first one's best does better with a chance of {better:.0f} %"
        if ours.standing.runs > 1 and theirs.standing.runs > 1:
            share = first.ranking.confidence
            low, high = difference_interval(ours, theirs, share)
            told += f"; the means differ by {low:.4g} to {high:.4g} (Welch's {100 * share:g} %)"
        lines.append(f"{told}.")
        tuned = [one for one in (first, other) if one.best is one.ranking.best]
        ours_to_confirm = [str(one.sweep.directory) for one in tuned if not one.sweep.sweeper]
        if tuned:
            way = f"; confirm {' and '.join(ours_to_confirm)}" if ours_to_confirm else ""
            lines.append(f"Numbers of tuning seeds are too good by selection{way}.")
    differing = _measured_differently(first, other)
    if differing:
        lines.append(
            f"warning: {names} differ in {', '.join(differing)}; their objectives may not be "
            "comparable"
        )
    return lines


def _measured_differently(first: Reported, other: Reported) -> list[str]:
    """Returns the keys in which the bests' configs differ and that change the objective."""
    ours, theirs = _settings(first), _settings(other)
    evaluates = bool(ours.get(EVALUATE) or theirs.get(EVALUATE))
    return [
        key
        for key in dict.fromkeys([*ours, *theirs])
        if ours.get(key) != theirs.get(key) and changes_objective(key, evaluates=evaluates)
    ]


def _settings(one: Reported) -> dict[str, Any]:
    """Returns the values of the best permutation's config, by dotted path."""
    if one.config is not None:
        return flat(one.config)
    best = one.ranking.best
    return {**flat(one.sweep.record.base), **(best.standing.overrides if best else {})}
