"""What a sweep came to, printed at its end."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table

from neroRL.records.results import COMPLETED, FAILED, STATUSES, JobResult
from neroRL.reporting.standing import Standing, standings

MOST_ROWS = 10


def print_summary(
    results: Sequence[JobResult], jobs_a_lap: int, sweep: str, stream: TextIO
) -> None:
    """Prints counts, the best permutations and what failed.

    Args:
        results: of all jobs.
        jobs_a_lap: how many jobs a lap of the sweep has.
        sweep: the sweep's directory, as the user gave it.
        stream: where to.
    """
    # Values are a user's text, in which [x] is no markup.
    width = None if stream.isatty() else 160
    console = Console(file=stream, highlight=False, markup=False, emoji=False, width=width)
    counts = {status: sum(result.status == status for result in results) for status in STATUSES}
    shown = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    console.print(f"{len(results)} jobs: {shown or 'none'}")
    ranked = standings(results, jobs_a_lap)
    if ranked:
        console.print("objectives of the best permutations, over their repetitions:")
        console.print(_table(ranked[:MOST_ROWS]))
    elif counts[COMPLETED]:
        console.print("No episode ended in the completed jobs, so they have no objective.")
    hidden = len(ranked) - MOST_ROWS
    if hidden > 0:
        of = f"{hidden} of {len(ranked)} permutations are not shown"
        console.print(f"{of}; {sweep}/results.csv has all jobs", soft_wrap=True)
    for result in results:
        if result.status == FAILED:
            reason = (result.error or "").strip().splitlines()
            console.print(
                f"failed: {result.directory}: {reason[-1] if reason else 'no reason known'}"
            )
    if counts[FAILED]:
        console.print("Run the same command again to try the failed jobs again.")
        first = next(result for result in results if result.status == FAILED)
        config = shlex.quote(f"{sweep}/{first.directory}/.hydra/config.yaml")
        console.print(f"One alone, outside of the sweep: ntrain --config={config}", soft_wrap=True)
    console.print(f"results: {sweep}/results.csv", soft_wrap=True)
    console.print(f"curves:  tensorboard --logdir {shlex.quote(sweep)}", soft_wrap=True)


def _table(shown: Sequence[Standing]) -> Table:
    table = Table("permutation", "runs", "iqm", "mean", "std", "values")
    for one in shown:
        objectives = list(one.objectives.values())
        spread = f"{statistics.stdev(objectives):.2g}" if len(objectives) > 1 else ""
        mean = f"{statistics.fmean(objectives):.4g}"
        row = [str(one.permutation), str(one.runs), f"{one.iqm:.4g}", mean, spread, one.values()]
        table.add_row(*row)
    return table
