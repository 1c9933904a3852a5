"""Renumbers the jobs of a sweep for a larger grid.

Adding choices or keys renumbers permutations. Their directories move in two phases: first all out
of the way, then all into place. A journal lets a later run finish what an interrupted one began.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from neroRL.config.checks import flat
from neroRL.errors import OutputError
from neroRL.files import write_text
from neroRL.records.results import read_result
from neroRL.records.sweep_record import RECORD_FILE, SweepRecord, trial_id
from neroRL.records.sweeps import RENUMBERING_FILE
from neroRL.reporting.cells import cells, keys_shown_as_text, run_name
from neroRL.reporting.tensorboard import SUMMARIES, change_trial
from neroRL.sweep.grid import Axis, Grid, Permutation

ASIDE = ".extension"


def new_numbers(
    old: Grid, grid: Grid, content: Callable[[Grid, Permutation], Mapping[str, Any]]
) -> dict[int, int]:
    """Returns the number in a larger grid of each permutation of a smaller one.

    Args:
        old: the grid so far.
        grid: has all of its keys and choices, and additional ones.
        content: returns the whole config of a permutation, in which a new key has the value that
            permutations have had so far.

    Raises:
        OutputError: keys or choices are missing, or a new key does not list its value so far.
    """
    gone = [key for key in old.keys if key not in grid.keys]
    if gone:
        raise _refused(f"{', '.join(gone)} is not swept any more")
    kept = {axis.key: axis for axis in old.axes}
    places = {axis.key: _places(axis, kept[axis.key]) for axis in grid.axes if axis.key in kept}
    numbers = {}
    for permutation in old:
        digits = dict(zip(old.keys, old.digits(permutation.number), strict=True))
        known = [
            [places[axis.key][digits[axis.key]]] if axis.key in kept else range(len(axis.choices))
            for axis in grid.axes
        ]
        found = dict.fromkeys(grid.number(moved) for moved in itertools.product(*known))
        numbers[permutation.number] = _same_config(old, permutation, grid, list(found), content)
    return numbers


def renumber(
    sweep: Path, numbers: Mapping[int, int], values: Mapping[int, Any], record: SweepRecord
) -> None:
    """Moves the directories of all permutations to their new numbers, and records the new grid.

    Args:
        sweep: its directory, locked.
        numbers: new ones by old ones.
        values: of the swept keys, by new number.
        record: of the sweep after the move.
    """
    moved = [[was, now] for was, now in numbers.items() if (sweep / str(was)).is_dir()]
    journal = {
        "phase": 1,
        "pairs": moved,
        "values": {now: values[now] for _, now in moved},
        "shown_as_text": keys_shown_as_text(record.axes),
        "id": record.id,
        "record": record.text(),
    }
    write_text(sweep / RENUMBERING_FILE, json.dumps(journal))
    finish(sweep)


def is_unfinished(sweep: Path) -> bool:
    """Returns whether a :func:`renumber` was interrupted."""
    return (sweep / RENUMBERING_FILE).is_file()


def finish(sweep: Path) -> None:
    """Finishes an interrupted :func:`renumber`, if there is one."""
    if not is_unfinished(sweep):
        return
    journal = json.loads((sweep / RENUMBERING_FILE).read_text(encoding="utf-8"))
    aside = sweep / ASIDE
    aside.mkdir(exist_ok=True)
    if journal["phase"] == 1:
        for old, new in journal["pairs"]:
            if (sweep / str(old)).is_dir() and not (aside / str(new)).exists():
                (sweep / str(old)).rename(aside / str(new))
        write_text(sweep / RENUMBERING_FILE, json.dumps({**journal, "phase": 2}))
    for path in sorted(aside.iterdir()):
        _rewrite_results(path, journal)
        path.rename(sweep / path.name)
    aside.rmdir()
    write_text(sweep / RECORD_FILE, journal["record"])
    (sweep / RENUMBERING_FILE).unlink()


def _places(axis: Axis, smaller: Axis) -> list[int]:
    """Finds the place in an axis of each choice of the smaller grid."""
    left = list(enumerate(choice.value for choice in axis.choices))
    places = []
    for choice in smaller.choices:
        found = next((item for item in left if _same(item[1], choice.value)), None)
        if found is None:
            raise _refused(f"{axis.key} does not list {choice.value!r} any more")
        left.remove(found)
        places.append(found[0])
    return places


def _same_config(
    old: Grid,
    permutation: Permutation,
    grid: Grid,
    candidates: Sequence[int],
    content: Callable[[Grid, Permutation], Mapping[str, Any]],
) -> int:
    """Returns the candidate whose permutation has the same config."""
    if len(candidates) == 1 and old.keys == grid.keys:
        return candidates[0]
    there = content(old, permutation)
    for number in candidates:
        if content(grid, grid[number]) == there:
            return number
    values = flat(there)
    missing = [
        f"{axis.key} is new and does not list {values.get(axis.key, 'its value')!r}"
        for axis in grid.axes
        if axis.key not in old.keys
        and not any(_same(choice.value, values.get(axis.key)) for choice in axis.choices)
    ]
    reason = "; ".join(missing) or "no permutation of the new keys is the same"
    raise _refused(f"{reason}, which permutation {permutation.number} has")


def _refused(reason: str) -> OutputError:
    return OutputError(f"cannot extend: {reason}; keep it, or use another --run-id or --out")


def _rewrite_results(permutation: Path, journal: Mapping[str, Any]) -> None:
    """Gives a moved permutation's results and TensorBoard runs its new number and keys."""
    number = int(permutation.name)
    values = journal["values"][permutation.name]
    trial, row = trial_id(journal["id"], number), cells(values, journal["shown_as_text"])
    for job in permutation.iterdir():
        change_trial(job / SUMMARIES, trial, run_name(values), row)
        result = read_result(job)
        if result is not None:
            directory = f"{permutation.name}/{job.name}"
            replace(result, permutation=number, directory=directory, overrides=values).write(job)


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and a == b
