"""Ranks the permutations of a sweep: the entry point ``nreport``."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from neroRL.arguments import Parser, an_integer
from neroRL.boundary import guarded
from neroRL.errors import OutputError, UsageError
from neroRL.files import check_place, expanded
from neroRL.ranking.ranking import CONFIDENCE, rank
from neroRL.records.exits import Exit
from neroRL.records.results import NUMBERS, JobResult
from neroRL.records.sweeps import RecordedSweep, read_sweep
from neroRL.reporting.comparison import Reported, print_comparison
from neroRL.reporting.live import PORT, keep_current, serving
from neroRL.reporting.optuna_study import check_study, write_study
from neroRL.reporting.race import saving, under_way
from neroRL.reporting.ranking_files import REPORT, REPORT_FILE, write_files
from neroRL.reporting.summary import (
    AGAIN,
    print_recorded_confirmation,
    print_summary,
    print_written,
    rank_confirmation,
)
from neroRL.texts import counted, did_you_mean


def main() -> int:
    """Reports on each sweep of the command line; they may be running or unfinished."""
    return guarded(_report_all)


def _report_all() -> int:
    arguments = _parser().parse_alone(sys.argv[1:])
    places = _places(arguments.sweeps, arguments.out)
    study = expanded(arguments.optuna) if arguments.optuna else None
    if study is not None:
        if len(places) > 1:
            raise UsageError("--optuna: one sweep at a time becomes a study")
        check_study(study)

    def report_all(sweeps: Sequence[RecordedSweep]) -> None:
        found = [
            report(sweep, places[sweep.directory], arguments.metric, arguments.confidence)
            for sweep in sweeps
        ]
        if len(found) > 1:
            print_comparison(found, sys.stdout)

    if arguments.serve:
        pages = [
            (path.resolve().name, (out or path / REPORT) / REPORT_FILE)
            for path, out in places.items()
        ]
        _serve(report_all, list(places), pages, arguments.port)
    elif arguments.watch:
        keep_current(report_all, list(places))
    else:
        report_all([read_sweep(path) for path in places])
    if study is not None:
        write_study(study, read_sweep(next(iter(places))), arguments.metric)
        print(f"study:   optuna-dashboard sqlite:///{study}")
    return Exit.WELL


def _serve(
    report_all: Callable[[Sequence[RecordedSweep]], None],
    sweeps: Sequence[Path],
    pages: Sequence[tuple[str, Path]],
    port: int,
) -> None:
    """Keeps reports current and serves them, until Ctrl-C."""
    running = threading.Event()
    running.set()
    with serving(pages, port, running.is_set) as address, contextlib.suppress(KeyboardInterrupt):
        print(f"serving: {address} until Ctrl-C", flush=True)
        keep_current(report_all, sweeps)
        running.clear()
        threading.Event().wait()


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
    again = _trying_again(sweep.record.command or "")
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


def _trying_again(command: str) -> str:
    """Returns what to run to try the failed jobs of a sweep again.

    Args:
        command: the last command line of the sweep.
    """
    ways = ["without hydra.sweeper.only"] if "hydra.sweeper.only=" in command else []
    ways += ["with hydra.sweeper.retry_failed=true"] if "retry_failed=false" in command else []
    return f"the same command {' and '.join(ways)}" if ways else AGAIN


def _places(sweeps: list[str], out: str | None) -> dict[Path, Path | None]:
    """Returns the directory of each sweep's report; None for the sweep's own."""
    directories = [expanded(name) for name in sweeps]
    if out is None:
        return dict.fromkeys(directories)
    base = expanded(out)
    if len(directories) == 1:
        return {directories[0]: base}
    places: dict[Path, Path | None] = {}
    for directory in directories:
        place = base / directory.resolve().name
        if place in places.values():
            raise UsageError(f"--out: two of the sweeps would be written to {place}")
        places[directory] = place
    return places


def _parser() -> Parser:
    parser = Parser(
        "nreport",
        "<sweep> [<sweep> ...] [options]",
        "Says which permutation of a sweep won and how sure that is.",
    )
    parser.add_argument("sweeps", metavar="<sweep>", nargs="+", help="directory of a sweep")
    parser.flag("--out", "<path>", "where to write [default: the sweep]")
    compared = "what is compared: objective, or a column of results.csv"
    parser.flag("--metric", "<name>", compared, "objective")
    parser.flag("--confidence", "<share>", "of intervals and ties", CONFIDENCE, _confidence)
    parser.flag("--optuna", "<file>", "also write the sweep as an Optuna study (SQLite)")
    parser.switch("--watch", "report again as jobs end, until all have ended")
    parser.switch("--serve", "the same, with the page on 127.0.0.1 until Ctrl-C")
    parser.flag("--port", "<n>", "of --serve", PORT, an_integer)
    return parser


def _check_metric(name: str, results: Sequence[JobResult]) -> None:
    """Refuses a metric that no result can have."""
    known = [*NUMBERS, *dict.fromkeys(key for result in results for key in result.statistics)]
    if name not in known:
        expected = f"expected one of {', '.join(known)}"
        raise UsageError(f"--metric: {name} is no metric; {expected}{did_you_mean(name, known)}")


def _confidence(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0.0 < share < 1.0:
        raise argparse.ArgumentTypeError(
            f"{text} is not allowed; expected a number between 0 and 1"
        )
    return share


if __name__ == "__main__":
    sys.exit(main())
