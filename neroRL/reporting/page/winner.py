"""The answer at the head of the page, the winner's config, and what it takes to do it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neroRL.config.documents import text_of_value
from neroRL.config.roles import PLACE
from neroRL.ranking.ranking import Ranked, Ranking, confirmed_best
from neroRL.records.results import COMPLETED, STOPPED
from neroRL.records.sweep_record import SweepRecord
from neroRL.records.sweeps import RecordedSweep
from neroRL.reporting.page.parts import MOST_ROWS, Table, left_out, number, span
from neroRL.reporting.summary import (
    CONFIRMING,
    REPEATING,
    SAME_EPISODES,
    certainty,
    is_evaluated,
    unfinished_confirmation,
)
from neroRL.texts import counted, listed

_NO_DIFFERENCE = (*PLACE, "seed")
MOST_CHOICES = 30
MOST_SEEDS = 50


@dataclass(frozen=True)
class Headline:
    """Says which permutation won.

    Attributes:
        title: in one sentence.
        number: what it reached.
        lines: how sure that is.
    """

    title: str
    number: str
    lines: list[str]


def headline(
    ranking: Ranking,
    confirmation: Ranking | None = None,
    again: RecordedSweep | None = None,
    repeating: str = REPEATING,
) -> Headline:
    """Returns the answer of a sweep: the permutation that the tuning jobs name the best.

    Its number is that of the confirmation, where there is one.

    Args:
        ranking: of the tuning jobs.
        confirmation: ranking of the best permutations on fresh seeds.
        again: that confirmation.
        repeating: option that adds repetitions to the sweep; empty if none can.
    """
    if ranking.best is None:
        return Headline("No permutation is ranked yet.", "No completed job has a result.", [])
    confirmed = confirmed_best(ranking, confirmation)
    best = confirmed or ranking.best
    told = confirmation if confirmation is not None and confirmed else ranking
    standing = best.standing
    interval = f", {100 * told.confidence:g} % interval {span(best.interval)}"
    runs = counted(standing.runs, "repetition")
    reached = (
        f"{told.metric}: interquartile mean {number(standing.iqm)}"
        f"{interval if best.interval else ''}, over {runs}{' on fresh seeds' if confirmed else ''}."
    )
    chosen = len(ranking.ranked) > 1 or any(row.jobs[STOPPED] for row in ranking.rows)
    lines = certainty(told, CONFIRMING if confirmed else repeating)
    if confirmed and again is not None:
        left = again.jobs_left
        lines = [
            *([unfinished_confirmation(left)] if left else []),
            *(f"On fresh seeds: {line}" for line in lines),
            _unchosen(confirmed, again),
        ]
    elif chosen:
        lines = [*lines, "The winner's own number is too good by selection; fresh seeds tell more."]
    others = len(ranking.tied) - 1
    tied = f"leads, tied with {others} other{'s' if others > 1 else ''}" if others else "won"
    if not chosen:
        tied = "is the only one with a result"
    title = f"Permutation {standing.permutation} {tied}"
    if confirmed and told.best is not None:
        title += " in the tuning"
        first = told.best.standing
        # One may come first only because it has completed more of its jobs.
        if first.permutation != standing.permutation and first.iqm > standing.iqm:
            title += f", but permutation {first.permutation} did better on fresh seeds"
    return Headline(title, reached, lines)


def _unchosen(confirmed: Ranked, again: RecordedSweep) -> str:
    """Returns in how far the number of a confirmation is free of selection."""
    told = "The sweep did not choose by these seeds"
    missing = confirmed.jobs.total() - confirmed.jobs[COMPLETED]
    if missing:
        return f"{told}; what {counted(missing, 'job')} would have reached is not in the number."
    if is_evaluated(confirmed, again):
        return f"{told}. {SAME_EPISODES}"
    return f"{told}, so the number is unbiased."


def difference(base: Mapping[str, Any], config: Mapping[str, Any]) -> Table:
    """Returns where the winner's config differs from the base config.

    Args:
        base: the base config.
        config: the winner's.
    """
    rows = [row for row in _differences(base, config) if row[0] not in _NO_DIFFERENCE]
    return Table("Difference to the base config", ["key", "base", "winner"], rows)


def _differences(
    base: Mapping[str, Any], config: Mapping[str, Any], prefix: str = ""
) -> Iterator[list[str]]:
    """Yields each key that differs with both values; a section that has gone is one of them."""
    for key in dict.fromkeys([*config, *base]):
        before, after = _shown(base, key), _shown(config, key)
        section = config.get(key, base.get(key))
        if isinstance(section, Mapping) and section:
            yield from _differences(_section(base, key), _section(config, key), f"{prefix}{key}.")
        elif before != after:
            yield [f"{prefix}{key}", before, after]


def _section(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = values.get(key)
    return found if isinstance(found, Mapping) else {}


def _shown(values: Mapping[str, Any], key: str) -> str:
    if _section(values, key):
        return "…"
    return text_of_value(values[key]) if key in values else "–"


def command(best: Path | None) -> str | None:
    """Returns the command that trains the winner."""
    return f"ntrain --config={shlex.quote(str(best))}" if best is not None else None


def search_space(sweep: RecordedSweep) -> Table:
    """Returns the axes and their choices; of another sweeper's, the values that jobs had."""
    rows = []
    for key, choices in sweep.record.axes.items():
        texts = [text_of_value(choice) for choice in choices]
        rows.append([key, listed(texts, MOST_CHOICES)])
    if sweep.sweeper:
        title, head, file = "Values of the jobs", "values", "ranking.csv"
    else:
        title, head, file = "Search space", "choices", "sweep.yaml"
    note = left_out(MOST_ROWS, len(rows), "axes", file)
    return Table(title, ["key", head], rows[:MOST_ROWS], note)


def checklist(sweep: RecordedSweep) -> Table:
    """Returns what somebody needs to know to run the sweep again."""
    record, again = sweep.record, sweep.confirmation
    seeds = sorted({result.seed for result in sweep.results})
    threads = sorted({result.threads for result in sweep.results if result.threads is not None})
    precisions = sorted({result.precision for result in sweep.results if result.precision})
    rows = [
        ["command line", record.command or "not recorded"],
        *_grid(sweep),
        ["seeds of the tuning jobs", listed(seeds, MOST_SEEDS) or "none yet"],
        *([["seeds of the confirmation", again.record.seeds]] if again is not None else []),
        ["torch threads a job", ", ".join(map(str, threads)) or "not recorded"],
        ["precision of a job", ", ".join(precisions) or "not recorded"],
        *([f"version of {name}", version] for name, version in record.versions.items()),
        *([f"hardware: {name}", value] for name, value in record.hardware.items()),
    ]
    if not record.hardware:
        by = "the sweeper" if sweep.sweeper else "the version that ran the sweep"
        rows.append(["hardware", f"not recorded by {by}"])
    return Table("What it takes to run the sweep again", ["what", "value"], rows)


def _grid(sweep: RecordedSweep) -> list[list[str]]:
    record = sweep.record
    if sweep.sweeper:
        return [["sweeper", sweep.sweeper]]
    return [
        ["tuning file", record.tune or "none"],
        [
            "grid",
            f"{permutations(sweep)} permutation{'' if record.permutations == 1 else 's'}, "
            f"{counted(record.repetitions, 'repetition')}",
        ],
        ["base seed", str(record.seed)],
    ]


def permutations(sweep: RecordedSweep) -> str:
    """Returns the number of permutations, and how many of them cannot work and were left out."""
    total = sweep.record.permutations
    left_out_ones = total - sweep.jobs_a_lap
    return f"{total:,} ({left_out_ones:,} cannot work)" if left_out_ones > 0 else f"{total:,}"


def base_config(record: SweepRecord) -> str:
    """Returns the base config as text."""
    return json.dumps(dict(record.base), indent=2, default=str)
