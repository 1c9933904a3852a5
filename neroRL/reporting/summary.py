"""What a sweep came to, printed at its end."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table

from neroRL.records.results import FAILED, STATUSES, JobResult

MOST_ROWS = 5


def print_summary(results: Sequence[JobResult], sweep: str, stream: TextIO) -> None:
    """Prints counts, the best permutations and what failed.

    Args:
        results: of all jobs.
        sweep: the sweep's directory, as the user gave it.
        stream: where to.
    """
    # Values are a user's text, in which [x] is no markup.
    width = None if stream.isatty() else 160
    console = Console(file=stream, highlight=False, markup=False, emoji=False, width=width)
    counts = {status: sum(result.status == status for result in results) for status in STATUSES}
    shown = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    console.print(f"{len(results)} jobs: {shown or 'none'}")
    table = _best_permutations(results)
    if table.row_count:
        console.print(table)
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


def _best_permutations(results: Sequence[JobResult]) -> Table:
    scores: dict[int, list[float]] = {}
    overrides: dict[int, Mapping[str, Any]] = {}
    for result in results:
        if result.objective is not None:
            scores.setdefault(result.permutation, []).append(result.objective)
            overrides[result.permutation] = result.overrides
    best = sorted(scores, key=lambda number: -statistics.fmean(scores[number]))[:MOST_ROWS]
    table = Table("permutation", "objective", "runs", "values")
    for number in best:
        values = " ".join(f"{key}={value}" for key, value in overrides[number].items())
        objective = f"{statistics.fmean(scores[number]):.4g}"
        table.add_row(str(number), objective, str(len(scores[number])), values)
    return table
