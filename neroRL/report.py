"""Ranks the permutations of a sweep: the entry point ``nreport``."""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from neroRL.boundary import guarded
from neroRL.errors import UsageError
from neroRL.files import expanded
from neroRL.records.exits import Exit

if TYPE_CHECKING:
    from neroRL.arguments import Parser
    from neroRL.records.sweeps import RecordedSweep


def main() -> int:
    """Reports on each sweep of the command line; they may be running or unfinished."""
    return guarded(_report_all)


def _report_all() -> int:
    from neroRL.records.sweeps import read_sweep  # an interrupt is handled while these are imported
    from neroRL.reporting.comparison import print_comparison
    from neroRL.reporting.live import keep_current
    from neroRL.reporting.optuna_study import check_study, write_study
    from neroRL.reporting.ranking_files import REPORT, REPORT_FILE
    from neroRL.reporting.sweep_report import report

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
    from neroRL.reporting.live import keep_current, serving

    running = threading.Event()
    running.set()
    with serving(pages, port, running.is_set) as address, contextlib.suppress(KeyboardInterrupt):
        print(f"serving: {address} until Ctrl-C", flush=True)
        keep_current(report_all, sweeps)
        running.clear()
        threading.Event().wait()


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
    from neroRL.arguments import Parser, an_integer
    from neroRL.ranking.ranking import CONFIDENCE
    from neroRL.reporting.live import PORT

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
