"""Prints the outcome of a sweep: the ranking of its permutations, and the failed jobs."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from rich.console import Console

from neroRL.ranking.ranking import OBJECTIVE, TRUSTED_RUNS, Ranked, Ranking, confirmed_best, rank
from neroRL.records.results import (
    COMPLETED,
    FAILED,
    STATUSES,
    STOPPED,
    TABLE_FILE,
    JobResult,
)
from neroRL.records.sweeps import RecordedSweep
from neroRL.reporting.ranking_files import Written
from neroRL.reporting.tables import print_table
from neroRL.texts import counted, in_one_line, listed

# Completes "Run …" where failed jobs are tried again by
AGAIN = "the same command again"
MOST_ROWS = 10
MOST_FAILURES = 20
# The options that add repetitions to a sweep, and to its confirmation.
REPEATING, CONFIRMING = "--num-repetitions", "hydra.sweeper.confirm_repetitions"
SAME_EPISODES = "Its evaluations played the same episodes as the tuning's; neval plays others."


def print_summary(
    results: Sequence[JobResult],
    ranking: Ranking,
    sweep: str,
    stream: TextIO,
    *,
    again: str = AGAIN,
    sweeper: str = "",
    race: str = "",
) -> None:
    """Prints the counts, the ranking and the failed jobs.

    Args:
        results: of all jobs that ended.
        ranking: of their permutations.
        sweep: the sweep's directory, as the user gave it.
        stream: to print to.
        again: what to run to try failed jobs again.
        sweeper: the other sweeper of Hydra that ran them, if it was not neroRL's own.
        race: what a race has saved, or where its jobs stand if it is not over.
    """
    console = console_for(stream)
    counts = {status: sum(result.status == status for result in results) for status in STATUSES}
    shown = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    console.print(f"{counted(len(results), 'job')}: {shown}" if results else "no job has ended")
    if race:
        console.print(race)
    ranked = ranking.ranked
    if ranked:
        console.print(f"{ranking.metric} of the best permutations, over their repetitions:")
        _print_ranked(ranked[:MOST_ROWS], ranking, console)
        for line in certainty(ranking, "" if sweeper else REPEATING):
            console.print(line)
    elif counts[COMPLETED] and ranking.metric == OBJECTIVE:
        console.print("No episode ended in the completed jobs, so they have no objective.")
    elif counts[COMPLETED]:
        console.print(f"No completed job has a {ranking.metric}.")
    without = [one for one in results if one.status == COMPLETED and one.objective is None]
    if ranked and without:
        told = counted(len({one.permutation for one in without}), "permutation")
        jobs = counted(len(without), "completed job")
        console.print(f"No episode ended in {jobs} of {told}, so there is no objective.")
    failed = [result for result in results if result.status == FAILED]
    for result in failed[:MOST_FAILURES]:
        reason = in_one_line(result.error or "") or "no reason known"
        console.print(f"failed: {result.directory}: {reason}")
    if len(failed) > MOST_FAILURES:
        more = len(failed) - MOST_FAILURES
        where = "the report" if sweeper else f"{sweep}/{TABLE_FILE}"
        console.print(f"{more} more failed; {where} has the reasons")
    if failed and not sweeper:
        console.print(f"Run {again} to try the failed jobs again.")
    if failed:
        _print_command_for_one(results, sweep, console)
    if Path(sweep, TABLE_FILE).is_file():  # a full disk may have kept it from being written
        console.print(f"results: {sweep}/{TABLE_FILE}", soft_wrap=True)
    console.print(f"curves:  tensorboard --logdir {shlex.quote(sweep)}", soft_wrap=True)


def print_confirmation(
    confirmed: Ranking, tuned: Ranking, again: RecordedSweep, stream: TextIO
) -> None:
    """Prints how the best permutations did on seeds that no tuning job had.

    Args:
        confirmed: the ranking of these permutations on those seeds.
        tuned: the ranking that they were chosen by.
        again: the confirmation.
        stream: to print to.
    """
    console, left = console_for(stream), again.jobs_left
    ranked = confirmed.ranked
    for line in gaps_of_confirmation(confirmed, left):
        console.print(line)
    if not ranked:
        console.print(f"Confirmation: {_why_unranked(again, confirmed.metric)}.")
        return
    console.print(f"Confirmation, on seeds {again.record.seeds}, which no tuning job had:")
    _print_ranked(ranked[:MOST_ROWS], confirmed, console)
    for line in certainty(confirmed, option=CONFIRMING):
        console.print(line)
    best = confirmed_best(tuned, confirmed)
    if best is not None and not left:
        interval = f" ({interval_text(best)})" if best.interval else ""
        console.print(
            f"Report {best.standing.iqm:.4g}{interval} for permutation "
            f"{best.standing.permutation}, the best of the sweep: it was not chosen by these "
            "results."
        )
        if is_evaluated(best, again):
            console.print(SAME_EPISODES)


def _why_unranked(again: RecordedSweep, metric: str) -> str:
    if not again.record.jobs:
        return "its permutations are no part of the sweep any more"
    if any(one.status == COMPLETED for one in again.results):
        return f"no completed job has a value of {metric}"
    return "no job has completed"


def is_evaluated(best: Ranked, sweep: RecordedSweep) -> bool:
    """Returns whether evaluations gave the objectives of a permutation of a sweep."""
    number = best.standing.permutation
    if any(one.evaluated for one in sweep.results if one.permutation == number):
        return True
    # Results of earlier versions do not tell.
    base = sweep.record.base.get("evaluation", {}).get("evaluate", False)
    return bool(best.standing.overrides.get("evaluation.evaluate", base))


def rank_confirmation(sweep: RecordedSweep, tuned: Ranking) -> Ranking | None:
    """Ranks the confirmation of a sweep as its tuning was ranked; None if it has none."""
    again = sweep.confirmation
    if again is None:
        return None
    return rank(again.results, again.jobs_a_lap, tuned.metric, tuned.confidence)


def print_recorded_confirmation(
    sweep: RecordedSweep, confirmed: Ranking | None, tuned: Ranking, stream: TextIO
) -> None:
    """Prints the confirmation that a sweep has, if any; see :func:`print_confirmation`."""
    if sweep.confirmation is not None and confirmed is not None:
        print_confirmation(confirmed, tuned, sweep.confirmation, stream)


def gaps_of_confirmation(confirmed: Ranking, left: int) -> list[str]:
    """Returns sentences about the jobs that the numbers of a confirmation leave out.

    Args:
        confirmed: its ranking.
        left: number of its jobs that have not ended.
    """
    found = [unfinished_confirmation(left)] if left else []
    if confirmed.incomplete:
        found.append(
            f"{counted(confirmed.incomplete, 'job')} of the confirmation did not complete, and the "
            f"numbers leave them out; confirmation/{TABLE_FILE} has the reasons."
        )
    return found


def unfinished_confirmation(left: int) -> str:
    """Returns a sentence about the jobs of a confirmation that have not ended."""
    have = "has" if left == 1 else "have"
    return f"{counted(left, 'job')} of the confirmation {have} not ended."


def console_for(stream: TextIO) -> Console:
    """Returns a console that prints values as they are, whatever is in them."""
    # Values are the user's text, so [x] is not markup.
    width = None if stream.isatty() else 160
    return Console(
        file=stream, highlight=False, markup=False, emoji=False, width=width, soft_wrap=True
    )


def interval_text(row: Ranked) -> str:
    """Returns the bounds of a permutation's interval; empty if it has none."""
    return " to ".join(f"{bound:.4g}" for bound in row.interval or ())


def _print_command_for_one(results: Sequence[JobResult], sweep: str, console: Console) -> None:
    """Prints the command that trains one failed job alone, if a failed job has a config."""
    for result in results:
        config = f"{sweep}/{result.directory}/.hydra/config.yaml"
        if result.status == FAILED and Path(config).is_file():
            command = f"ntrain --config={shlex.quote(config)}"
            console.print(f"One alone, outside of the sweep: {command}", soft_wrap=True)
            return


def print_written(written: Written, ranking: Ranking, page: str, stream: TextIO) -> None:
    """Prints the files of a ranking, and how to train its best permutation again.

    Args:
        written: the files.
        ranking: that they hold.
        page: where the page is, or the command that writes it.
        stream: to print to.
    """
    hidden = len(ranking.ranked) - MOST_ROWS
    if hidden > 0:
        told = f"{hidden} of {len(ranking.ranked)} permutations are not shown"
        print(f"{told}; {written.table} has all", file=stream)
    print(f"ranking: {written.table}", file=stream)
    if written.best is not None:
        print(f"best:    ntrain --config={shlex.quote(str(written.best))}", file=stream)
    print(f"report:  {page}", file=stream)


def certainty(ranking: Ranking, option: str = REPEATING) -> list[str]:
    """Returns sentences on the certainty of a ranking's first place, one per line.

    Args:
        ranking: of a sweep or of a confirmation.
        option: adds repetitions to it; empty if none can.
    """
    best = ranking.best
    if best is None:
        return []
    lines = [] if ranking.uncounted is None else [_uncounted(*ranking.uncounted)]
    if best.standing.runs > 1:
        if len(ranking.rows) > 1:
            lines += _compared(ranking, best)
        if best.standing.runs < TRUSTED_RUNS:
            few = f"Intervals of fewer than {TRUSTED_RUNS} repetitions are not to be trusted."
            lines.append(few)
    elif len(ranking.rows) > 1:
        one = "One repetition cannot tell a better permutation from a lucky seed"
        adds = option and not lines
        more = f"; ntune adds seeds with {option}={TRUSTED_RUNS}" if adds else ""
        lines.append(f"{one}{more}.")
    return lines


def _uncounted(waiting: int, lap: int, lacking: int) -> str:
    """Returns a sentence on results that do not count yet; see ``standing.uncounted``."""
    do = "does" if waiting == 1 else "do"
    return (
        f"{counted(waiting, 'result')} of later repetitions {do} not count yet, since repetition "
        f"{lap} lacks {counted(lacking, 'job')}."
    )


def _compared(ranking: Ranking, best: Ranked) -> list[str]:
    """Returns sentences on which permutations may be as good as the best."""
    share = f"{100 * ranking.confidence:g} %"
    number = best.standing.permutation
    others = [other for other in ranking.tied if other != number]
    if others:
        told = listed(others, MOST_ROWS)
        return [
            f"Permutation {number} is not shown to be better than {told} (at {share}).",
            _missing(ranking.more_repetitions, f"{number} from {others[0]}"),
        ]
    unranked = [row for row in ranking.rows if row.rank is None]
    lacking = sum(not row.jobs[STOPPED] for row in unranked)
    if len(ranking.ranked) == 1:
        whole = " of a whole training" if lacking < len(unranked) else ""
        return [f"No other permutation has a result{whole} to compare with."]
    rest = " with a result" if lacking else ""
    if lacking < len(unranked):
        rest = " that were trained to the end"
    are = "is" if lacking == 1 else "are"
    aside = f"; {counted(lacking, 'permutation')} without a result {are} not compared"
    told = f"Permutation {number} is better than all others{rest} (at {share})"
    return [f"{told}{aside if lacking else ''}."]


def _missing(count: int | None, apart: str) -> str:
    """Returns a sentence on how many repetitions would tell one permutation from another."""
    if count is None:
        return f"How many repetitions would tell {apart} cannot be foreseen from these results."
    return f"About {counted(count, 'more repetition')} would tell {apart}, if they go on like this."


def _print_ranked(rows: Sequence[Ranked], ranking: Ranking, console: Console) -> None:
    """Prints the table of rows, with the columns that their numbers of repetitions allow."""
    repeated = any(row.interval for row in rows)
    interval = f"{100 * ranking.confidence:g} % interval"
    spread = [interval, "mean", "std", "tied"] if repeated else []
    cells = []
    for row in rows:
        standing = row.standing
        told = [str(standing.permutation), str(standing.runs), f"{standing.iqm:.4g}"]
        if repeated:
            std = "" if row.std is None else f"{row.std:.2g}"
            tied = "yes" if row.tied_with_best else "no"
            told += [interval_text(row), f"{row.mean:.4g}", std, tied]
        cells.append([*told, standing.values()])
    print_table(
        console,
        ["permutation", "runs", "iqm", *spread, "values"],
        cells,
        texts=["values"],
        spare=[interval, "runs", "tied", "mean", "std"],
    )
