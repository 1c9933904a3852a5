"""The sections of the page: which chart stands where, and what is said beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neroRL.ranking.ranking import Ranking
from neroRL.records.results import STOPPED
from neroRL.records.sweeps import RecordedSweep
from neroRL.reporting.analysis.analysis import Analysis
from neroRL.reporting.analysis.costs import Costs
from neroRL.reporting.page import charts
from neroRL.reporting.page.axis_sections import axis_sections
from neroRL.reporting.page.parts import MOST_ROWS, Section, Table, left_out, number, span
from neroRL.reporting.race import may_go_on
from neroRL.reporting.summary import gaps_of_confirmation
from neroRL.texts import counted


def sections(analysis: Analysis, confirmation: Ranking | None = None) -> list[Section]:
    """Returns the sections that the numbers of a sweep allow, in order."""
    again = analysis.sweep.confirmation
    found = []
    if confirmation is not None and again is not None and again.record.jobs:
        found.append(_confirmation(confirmation, again))
    if analysis.ranking.ranked:
        found += [
            _ranking(analysis),
            _curves(analysis),
            *axis_sections(analysis),
            *_beside(analysis),
        ]
    found += [_cost(analysis), _endings(analysis)]
    return found


def _confirmation(confirmed: Ranking, sweep: RecordedSweep) -> Section:
    head = ["permutation", "repetitions", "iqm", "interval", "mean", "std", "values"]
    rows = [
        [
            str(row.standing.permutation),
            str(row.standing.runs),
            number(row.standing.iqm),
            span(row.interval),
            number(row.mean),
            number(row.std),
            row.standing.values(),
        ]
        for row in confirmed.rows
    ]
    seeds = sweep.record.seeds
    text = f"The best permutations, trained again on seeds {seeds}, which no tuning job had."
    note = left_out(MOST_ROWS, len(rows), "permutations", "confirmation/results.csv")
    return Section(
        "confirmation",
        "Confirmation",
        [text, *gaps_of_confirmation(confirmed, sweep.jobs_left)],
        tables=[Table("Results on fresh seeds", head, rows[:MOST_ROWS], note)],
    )


def _ranking(analysis: Analysis) -> Section:
    rows = analysis.ranking.ranked
    confidence = f"{100 * analysis.ranking.confidence:g} %"
    told = "Each dot is what a permutation reached in one repetition."
    if any(row.interval for row in rows):
        told = (
            "Each dot is the interquartile mean of a permutation over its repetitions, its line "
            f"the {confidence} bootstrap interval."
        )
        if len(rows) > 1:
            told += (
                " Permutations that the best is not shown to be better than are blue: the paired "
                "test decides that, not whether intervals overlap."
            )
    texts = [told, *_names(analysis)]
    note = left_out(charts.MOST_RANKED, len(rows), "permutations")
    return Section(
        "ranking",
        "Ranking",
        texts,
        [charts.ranking_chart(analysis)],
        notes=[note] if note else [],
    )


def _names(analysis: Analysis) -> list[str]:
    """Says what the values beside a permutation's number are."""
    axes = analysis.observed.axes
    names = ", ".join(axis.name for axis in axes)
    return [f"A permutation's number is followed by its values of {names}."] if axes else []


def _curves(analysis: Analysis) -> Section:
    if not analysis.curves:
        text = "The event files of these jobs are not here, so there are no curves."
        return Section("curves", "Learning curves", [text])
    total = len(analysis.ranking.ranked)
    interval = ""
    if any(curve.repetitions > 1 for curve in analysis.curves):
        interval = ", and its Student's t interval over repetitions"
    texts = [
        f"Mean training reward over environment steps{interval}. The best six of those chosen are "
        "in colour."
    ]
    missing = total - len(analysis.curves)
    note = (
        f"{missing:,} of {total:,} permutations are not drawn; TensorBoard shows the curves of all."
        if missing
        else ""
    )
    return Section(
        "curves",
        "Learning curves",
        texts,
        [charts.curves_chart(analysis)],
        notes=[note] if note else [],
    )


def _beside(analysis: Analysis) -> list[Section]:
    """Returns the sections of comparisons with the best, and of success."""
    found = []
    if analysis.improvement:
        best = analysis.observed.permutations[0]
        others = len(analysis.improvement)
        table = "the table" if others <= MOST_ROWS else ""
        note = left_out(charts.MOST_RANKED, others, "permutations", table)
        found.append(
            Section(
                "improvement",
                "Probability of improvement",
                [
                    f"The chance that a run of permutation {best} does better than a run of "
                    "another: 50 % is a coin toss."
                ],
                [charts.improvement_chart(analysis)],
                notes=[note] if note else [],
            )
        )
    success = _means(analysis, "success_mean")
    if any(value is not None for value in success):
        chart = charts.scatter_chart(analysis, "success-chart", "success rate", success)
        text = f"The share of episodes that succeeded, beside {analysis.ranking.metric}."
        found.append(Section("success", "Success rate", [text], [chart]))
    return found


def _means(analysis: Analysis, name: str) -> list[float | None]:
    """Returns the mean of a number over the jobs that count of each ranked permutation."""
    standings = {row.standing.permutation: row.standing for row in analysis.ranking.ranked}
    told: dict[int, list[float]] = {number: [] for number in standings}
    for result in analysis.sweep.results:
        standing = standings.get(result.permutation)
        value = result.number(name)
        if value is not None and standing and result.repetition in standing.objectives:
            told[result.permutation].append(value)
    return [float(np.mean(values)) if values else None for values in told.values()]


def _cost(analysis: Analysis) -> Section:
    costs = analysis.costs
    shown = []
    if analysis.ranking.ranked:
        minutes = [None if v is None else v / 60.0 for v in _means(analysis, "wall_seconds")]
        shown = [charts.scatter_chart(analysis, "cost-chart", "minutes a job", minutes)]
    # Until a race is over, jobs that it stopped may go on.
    saved = [] if may_go_on(analysis.sweep) else _saved(costs)
    return Section("cost", "Cost", ["What the jobs took.", *saved], shown, [_sums(costs)])


def _saved(costs: Costs) -> list[str]:
    if not costs.updates_saved:
        return []
    return [
        f"Stopping {counted(costs.jobs[STOPPED], 'job')} early saved "
        f"{counted(costs.updates_saved, 'update')}, about {number(costs.hours_saved)} hours at "
        "the pace of these jobs."
    ]


def _sums(costs: Costs) -> Table:
    rows: list[Sequence[str]] = [
        ["environment steps", f"{costs.env_steps:,}"],
        ["hours, all jobs together", number(costs.hours)],
        ["steps per second (median job)", number(costs.steps_per_second)],
        *([f"jobs {status}", str(count)] for status, count in costs.jobs.items()),
    ]
    return Table("Sums over all jobs that have ended", ["what", "sum"], rows)


def _endings(analysis: Analysis) -> Section:
    some = analysis.endings[:MOST_ROWS]
    if not some:
        text = "No job failed, diverged or was stopped."
        return Section("endings", "Jobs that did not complete", [text])
    rows = [[one.job, one.status, str(one.updates), one.reason] for one in some]
    note = left_out(
        MOST_ROWS,
        len(analysis.endings),
        "jobs",
        "ranking.csv" if analysis.sweep.sweeper else "results.csv",
    )
    table = Table("Jobs and reasons", ["job", "status", "updates done", "reason"], rows, note)
    return Section("endings", "Jobs that did not complete", tables=[table])
