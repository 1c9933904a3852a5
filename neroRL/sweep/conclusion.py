"""Reports the outcome of a sweep: in print, to TensorBoard, and in the files of its ranking."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from neroRL.errors import NeroRLError
from neroRL.ranking.ranking import Ranking, rank
from neroRL.records.results import FAILED, JobResult
from neroRL.records.sweep_record import SweepRecord
from neroRL.records.sweeps import read_sweep
from neroRL.reporting.cells import run_name
from neroRL.reporting.race import saving, under_way
from neroRL.reporting.ranking_files import write_files
from neroRL.reporting.summary import (
    print_recorded_confirmation,
    print_summary,
    print_written,
    rank_confirmation,
)
from neroRL.reporting.sweep_report import trying_again
from neroRL.reporting.tensorboard import (
    SUMMARIES,
    metric_tags,
    write_interval,
    write_sweep_hparams,
)
from neroRL.sweep import ledger
from neroRL.sweep.jobs import JobPlan
from neroRL.sweep.plan import SweepPlan


def describe(plan: SweepPlan, record: SweepRecord, results: Collection[JobResult]) -> None:
    """Writes the columns of TensorBoard's table of the sweep, as far as results show them."""
    swept = {axis.key: axis.choices for axis in plan.space.axes}.get("evaluation.evaluate", ())
    evaluates = any(choice.value for choice in swept) or plan.base["evaluation"]["evaluate"]
    success = any(result.success_mean is not None for result in results)
    races = plan.options.races or any(result.rung is not None for result in results)
    metrics = metric_tags(
        evaluates=bool(evaluates) or any(one.evaluated for one in results),
        tells_success=success,
        repeats=record.repetitions > 1,
        races=races,
    )
    write_sweep_hparams(plan.directory, ledger.trained_axes(record), metrics)


def conclude(
    plan: SweepPlan, jobs: JobPlan, results: Sequence[JobResult], *, is_over: bool
) -> Ranking:
    """Prints the outcome of a sweep, and writes its ranking, also for TensorBoard, and its best.

    Args:
        plan: of the command.
        jobs: of the sweep.
        results: of the jobs that have ended.
        is_over: whether no race is left to decide; until then, it has saved nothing.
    """
    ranking = rank(results, len(jobs.valid))
    failed = [result.permutation for result in results if result.status == FAILED]
    asks_for_all, retries = all(map(plan.is_asked_for, failed)), plan.options.retry_failed
    again = trying_again("it", asks_for_all=asks_for_all, retries=retries)
    race = saving(results, plan.base, len(jobs))
    if not is_over:
        race = under_way(read_sweep(plan.directory))
    print_summary(results, ranking, str(plan.directory), sys.stdout, again=again, race=race)
    written = write_files(plan.directory, ranking, jobs.space.keys, results)
    report = f"nreport {shlex.quote(str(plan.directory))}"
    print_written(written, ranking, report, sys.stdout)
    if written.warning:
        print(f"warning: {written.warning}", file=sys.stderr)
    _write_intervals(plan, ranking, results)
    return ranking


def show_confirmation(directory: Path, tuned: Ranking) -> None:
    """Prints the confirmation that an earlier command has made.

    Args:
        directory: of the sweep.
        tuned: the ranking of the sweep by now.
    """
    try:
        sweep = read_sweep(directory)
        confirmed = rank_confirmation(sweep, tuned)
        print_recorded_confirmation(sweep, confirmed, tuned, sys.stdout)
    except NeroRLError as error:
        print(f"warning: {error}", file=sys.stderr)


def _write_intervals(plan: SweepPlan, ranking: Ranking, results: Sequence[JobResult]) -> None:
    """Gives each repetition that counts its permutation's interval, for TensorBoard's table."""
    intervals = {
        (row.standing.permutation, repetition): row.interval
        for row in ranking.ranked
        for repetition in row.standing.objectives
    }
    for result in results:
        run = plan.directory / result.directory / SUMMARIES / run_name(result.overrides)
        interval = intervals.get((result.permutation, result.repetition))
        write_interval(run, result.updates, interval)
