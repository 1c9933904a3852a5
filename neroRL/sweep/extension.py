"""Moves the directories of permutations to new places.

Another search space renumbers permutations. Their directories move in two phases: first all out of
the way, then all into place. What has no place any more moves below ``dropped/``. A journal lets a
later run finish what an interrupted one began.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from neroRL.files import write_text
from neroRL.records.results import JobResult, read_result, write_table
from neroRL.records.sweep_record import RECORD_FILE, SweepRecord, read_record, trial_id
from neroRL.records.sweeps import (
    RENUMBERING_FILE,
    confirmation_of,
    directory_of,
    dropped_results,
    whole_results,
)
from neroRL.reporting.cells import cells, keys_shown_as_text, run_name
from neroRL.reporting.tensorboard import SUMMARIES, change_trial

ASIDE = ".extension"


@dataclass(frozen=True)
class Move:
    """The new place of a permutation.

    Attributes:
        old: its number before; negative if it had been dropped.
        new: its number from now on; negative if it is dropped.
        values: the swept keys that apply to it, and their values.
    """

    old: int
    new: int
    values: Mapping[str, Any]


def renumber(
    sweep: Path,
    moves: Sequence[Move],
    record: SweepRecord,
    confirmation: tuple[Sequence[Move], SweepRecord] | None = None,
) -> None:
    """Moves the directories of permutations to their new places, and records the new sweep.

    Args:
        sweep: its directory, locked.
        moves: of all permutations that have a directory.
        record: of the sweep after the move.
        confirmation: moves of the sweep's confirmation, and its record after them, if it changes.
    """
    journal = _journal(sweep, moves, record)
    if confirmation is not None:
        journal["confirmation"] = _journal(confirmation_of(sweep), *confirmation)
    write_text(sweep / RENUMBERING_FILE, json.dumps(journal))
    finish(sweep)


def _journal(sweep: Path, moves: Sequence[Move], record: SweepRecord) -> dict[str, Any]:
    there = [move for move in moves if (sweep / directory_of(move.old)).is_dir()]
    return {
        "phase": 1,
        "pairs": [[move.old, move.new] for move in there],
        "values": {move.new: dict(move.values) for move in there},
        "shown_as_text": keys_shown_as_text(record.axes),
        "id": record.id,
        "record": record.text(),
    }


def is_unfinished(sweep: Path) -> bool:
    """Returns whether a :func:`renumber` was interrupted."""
    return (sweep / RENUMBERING_FILE).is_file()


def finish(sweep: Path) -> None:
    """Finishes an interrupted :func:`renumber`, if there is one.

    The journal of a sweep goes last: that of its confirmation is written once, and lies there only
    while the sweep's does.
    """
    if not is_unfinished(sweep):
        return
    journal = json.loads((sweep / RENUMBERING_FILE).read_text(encoding="utf-8"))
    below = confirmation_of(sweep)
    if "confirmation" in journal:
        write_text(below / RENUMBERING_FILE, json.dumps(journal.pop("confirmation")))
        write_text(sweep / RENUMBERING_FILE, json.dumps(journal))
    finish(below)
    aside = sweep / ASIDE
    aside.mkdir(exist_ok=True)
    if journal["phase"] == 1:
        for old, new in journal["pairs"]:
            if (sweep / directory_of(old)).is_dir() and not (aside / str(new)).exists():
                (sweep / directory_of(old)).rename(aside / str(new))
        write_text(sweep / RENUMBERING_FILE, json.dumps({**journal, "phase": 2}))
    for path in sorted(aside.iterdir()):
        _rewrite_results(path, journal)
        place = sweep / directory_of(int(path.name))
        place.parent.mkdir(exist_ok=True)
        path.rename(place)
    aside.rmdir()
    write_text(sweep / RECORD_FILE, journal["record"])
    written = read_record(sweep)
    assert written is not None
    write_table(sweep, list(written.axes), [*whole_results(sweep), *dropped_results(sweep)])
    (sweep / RENUMBERING_FILE).unlink()


def _rewrite_results(permutation: Path, journal: Mapping[str, Any]) -> None:
    """Gives a moved permutation's results and TensorBoard runs its new number and keys."""
    number = int(permutation.name)
    trial = trial_id(journal["id"], number)
    for job in _jobs_of(permutation):
        result = read_result(job)
        values = _resolved(journal["values"][permutation.name], result)
        change_trial(
            job / SUMMARIES, trial, run_name(values), cells(values, journal["shown_as_text"])
        )
        if result is not None:
            directory = f"{directory_of(number)}/{job.name}"
            replace(result, permutation=number, directory=directory, overrides=values).write(job)


def _resolved(values: Mapping[str, Any], result: JobResult | None) -> dict[str, Any]:
    """Returns the swept values of a job, with what it trained for those that are interpolations."""
    trained = {} if result is None else result.overrides
    return {
        key: trained.get(key, value) if isinstance(value, str) and "${" in value else value
        for key, value in values.items()
    }


def _jobs_of(permutation: Path) -> Iterator[Path]:
    return (path for path in permutation.iterdir() if path.is_dir())
