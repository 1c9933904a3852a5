"""What a sweep came to, printed at its end."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.table import Table

from neroRL.records.results import TABLE_FILE

MOST_ROWS = 5


class Result(Protocol):
    """What is read from a job's result; see :class:`neroRL.records.results.JobResult`."""

    @property
    def permutation(self) -> int:
        """Number of the grid point."""

    @property
    def status(self) -> str:
        """completed, failed or diverged."""

    @property
    def objective(self) -> float | None:
        """What the sweep compares."""

    @property
    def overrides(self) -> Mapping[str, Any]:
        """The swept keys and their values."""

    @property
    def directory(self) -> str:
        """Of the job, relative to the sweep's."""

    @property
    def error(self) -> str | None:
        """What ended the job."""


def print_summary(
    results: Sequence[Result], sweep: str, stream: TextIO, *, retries: bool = True
) -> None:
    """Prints counts, the best permutations and what failed.

    Args:
        results: of all jobs.
        sweep: the sweep's directory, as the user gave it.
        stream: where to.
        retries: whether the same command tries failed jobs again.
    """
    # Values are a user's text, in which [x] is no markup.
    width = None if stream.isatty() else 160
    console = Console(file=stream, highlight=False, markup=False, emoji=False, width=width)
    counts = {
        status: sum(result.status == status for result in results)
        for status in ("completed", "diverged", "failed")
    }
    shown = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    console.print(f"{len(results)} jobs: {shown or 'none'}")
    table = _best_permutations(results)
    if table.row_count:
        console.print(table)
    for result in results:
        if result.status == "failed":
            reason = (result.error or "").strip().splitlines()
            console.print(
                f"failed: {result.directory}: {reason[-1] if reason else 'no reason known'}"
            )
    if counts["failed"]:
        way = "the same command again" if retries else "it with hydra.sweeper.retry_failed=true"
        console.print(f"Run {way} to try the failed jobs again.")
        _print_command_for_one(results, sweep, console)
    if Path(sweep, TABLE_FILE).is_file():  # a full disk may have kept it from being written
        console.print(f"results: {sweep}/{TABLE_FILE}", soft_wrap=True)
    console.print(f"curves:  tensorboard --logdir {shlex.quote(sweep)}", soft_wrap=True)


def _print_command_for_one(results: Sequence[Result], sweep: str, console: Console) -> None:
    """Tells how to train one failed job alone; one that never began has no config for it."""
    for result in results:
        config = f"{sweep}/{result.directory}/.hydra/config.yaml"
        if result.status == "failed" and Path(config).is_file():
            command = f"ntrain --config={shlex.quote(config)}"
            console.print(f"One alone, outside of the sweep: {command}", soft_wrap=True)
            return


def _best_permutations(results: Sequence[Result]) -> Table:
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
