"""Everything a report shows of a sweep, computed once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from neroRL.ranking.ranking import OBJECTIVE, Ranking, rank
from neroRL.records.results import STOPPED
from neroRL.records.sweeps import RecordedSweep
from neroRL.reporting.analysis.comparisons import Pair, pairs, probabilities_of_improvement
from neroRL.reporting.analysis.costs import Costs, Ending, costs, endings
from neroRL.reporting.analysis.curves import Curve, learning_curves
from neroRL.reporting.analysis.importance import Importance, importance
from neroRL.reporting.analysis.marginals import Marginal, marginal_effects
from neroRL.reporting.analysis.observations import Observations, observe
from neroRL.reporting.race import at_first_rung, may_go_on

# Heat maps of axes with more choices than this cannot be read.
MOST_CHOICES_OF_PAIRS = 30


@dataclass(frozen=True)
class Analysis:
    """All numbers of a report.

    Attributes:
        sweep: as its files tell it.
        ranking: of its permutations.
        observed: the ranked ones as arrays.
        compared: those whose axes are compared, as arrays: the ranked ones, or in a race all
            permutations at the first rung.
        stopped: number of permutations that a race has stopped early.
        marginals: the effect of each axis alone.
        pairs: of axes.
        importance: of axes; None where nothing varies.
        improvement: how likely the best does better than each other ranked permutation.
        costs: of the jobs that ended.
        endings: the jobs that did not complete.
        curves: learning curves of the best permutations.
    """

    sweep: RecordedSweep
    ranking: Ranking
    observed: Observations
    compared: Observations
    stopped: int
    marginals: Sequence[Marginal]
    pairs: Sequence[Pair]
    importance: Importance | None
    improvement: Sequence[float]
    costs: Costs
    endings: Sequence[Ending]
    curves: Sequence[Curve]


def analyse(sweep: RecordedSweep, ranking: Ranking) -> Analysis:
    """Returns what a sweep came to.

    Args:
        sweep: as its files tell it.
        ranking: of its permutations.
    """
    observed = observe(ranking, sweep.record.axes, joins=not sweep.sweeper)
    compared, stopped = observed, [row for row in ranking.rows if row.jobs[STOPPED]]
    early = at_first_rung(sweep) if ranking.metric == OBJECTIVE else []
    if early:
        then = rank(early, sweep.jobs_a_lap, confidence=ranking.confidence)
        compared = observe(then, sweep.record.axes)
    marginals = marginal_effects(compared, ranking.confidence)
    return Analysis(
        sweep=sweep,
        ranking=ranking,
        observed=observed,
        compared=compared,
        stopped=len(stopped),
        marginals=marginals,
        pairs=pairs(compared, MOST_CHOICES_OF_PAIRS),
        importance=importance(compared, marginals),
        improvement=probabilities_of_improvement(observed),
        costs=costs(sweep.results),
        endings=endings(sweep.results, is_open=may_go_on(sweep)),
        curves=learning_curves(sweep.job_directory, ranking),
    )
