"""Reports on one sweep: prints its ranking, and writes its files."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from neroRL.composition.overrides import override_key, override_value
from neroRL.errors import OutputError, UsageError
from neroRL.files import check_place
from neroRL.ranking.ranking import rank
from neroRL.records.results import FAILED, NUMBERS, JobResult
from neroRL.records.sweeps import RecordedSweep
from neroRL.reporting.comparison import Reported
from neroRL.reporting.race import saving, under_way
from neroRL.reporting.ranking_files import REPORT, write_files
from neroRL.reporting.summary import (
    AGAIN,
    print_recorded_confirmation,
    print_summary,
    print_written,
    rank_confirmation,
)
from neroRL.texts import counted, did_you_mean


def report(sweep: RecordedSweep, out: Path | None, metric: str, confidence: float) -> Reported:
    """Prints the ranking of a sweep and writes its files.

    Args:
        sweep: as its files tell it.
        out: directory to write to; None for the sweep's own.
        metric: the number to compare.
        confidence: of intervals and ties.

    Raises:
        NeroRLError: the metric is none of the sweep's, or the report cannot be written.
    """
    from neroRL.reporting.report_files import write_report  # plotting libraries take a second

    directory = sweep.directory
    _check_metric(metric, sweep.results)
    check_place(out or directory)
    ranking = rank(sweep.results, sweep.jobs_a_lap, metric, confidence)
    confirmed = rank_confirmation(sweep, ranking)
    if sweep.sweeper:  # it does not tell how many jobs it will have
        have = "has" if len(sweep.results) == 1 else "have"
        jobs = f"{counted(len(sweep.results), 'job')} of Hydra's sweeper {sweep.sweeper} {have}"
    else:
        jobs = f"{len(sweep.results)} of {sweep.record.jobs} jobs have"
    print(f"{directory}: {jobs} ended")
    race = under_way(sweep) or saving(sweep.results, sweep.record.base, sweep.record.jobs)
    sweeper = sweep.sweeper
    again = _recorded_way(sweep)
    print_summary(
        sweep.results, ranking, str(directory), sys.stdout, again=again, sweeper=sweeper, race=race
    )
    try:
        written = write_files(directory, ranking, list(sweep.record.axes), sweep.results, out)
        page = write_report(out or directory / REPORT, sweep, ranking, written, confirmed)
    except OSError as error:
        raise OutputError(f"the report cannot be written: {error}") from error
    print_written(written, ranking, str(page), sys.stdout)
    print_recorded_confirmation(sweep, confirmed, ranking, sys.stdout)
    for problem in [*sweep.warnings(), *([written.warning] if written.warning else [])]:
        print(f"warning: {problem}", file=sys.stderr)
    return Reported(sweep, ranking, confirmed, written.config)


def _recorded_way(sweep: RecordedSweep) -> str:
    """Returns what to run to try the failed jobs of a sweep again."""
    options = {override_key(text): text for text in shlex.split(sweep.record.command or "")}
    only, retries = (
        override_value(options[key]) if "=" in options.get(key, "") else None
        for key in ("hydra.sweeper.only", "hydra.sweeper.retry_failed")
    )
    failed = {one.permutation for one in sweep.results if one.status == FAILED}
    asks_for_all = not isinstance(only, list) or failed.issubset(only)
    return trying_again("the same command", asks_for_all=asks_for_all, retries=retries is not False)


def trying_again(command: str, *, asks_for_all: bool, retries: bool) -> str:
    """Returns what to run to try failed jobs again.

    Args:
        command: names the last one.
        asks_for_all: whether it asks for all of them.
        retries: whether it tries failed jobs again.
    """
    ways = [] if asks_for_all else ["without hydra.sweeper.only"]
    ways += [] if retries else ["with hydra.sweeper.retry_failed=true"]
    return f"{command} {' and '.join(ways)}" if ways else AGAIN


def _check_metric(name: str, results: Sequence[JobResult]) -> None:
    """Refuses a metric that no result can have."""
    known = [*NUMBERS, *dict.fromkeys(key for result in results for key in result.statistics)]
    if name not in known:
        expected = f"expected one of {', '.join(known)}"
        raise UsageError(f"--metric: {name} is no metric; {expected}{did_you_mean(name, known)}")
