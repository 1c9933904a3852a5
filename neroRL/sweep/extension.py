"""Gives the jobs of a sweep the numbers they have in a larger grid.

Adding choices renumbers permutations. Directories move in two phases, first all out of the way,
then all into place; a journal tells a later run which moves of an interrupted one are left.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from neroRL.errors import OutputError
from neroRL.files import write_text
from neroRL.reporting.tensorboard import change_trial
from neroRL.sweep.grid import Grid
from neroRL.sweep.ledger import SweepRecord
from neroRL.sweep.results import read_result

JOURNAL, ASIDE = ".extension.json", ".extension"


def new_numbers(old: SweepRecord, grid: Grid) -> dict[int, int]:
    """The number in a larger grid of each permutation of a smaller one.

    Args:
        old: the sweep so far.
        grid: has the same keys in the same order, with choices added.

    Raises:
        OutputError: keys differ, or choices are gone.
    """
    if list(old.axes) != grid.keys:
        raise OutputError(f"cannot extend: keys there {list(old.axes)}, now {grid.keys}")
    places = []
    for axis in grid.axes:
        left = list(enumerate(choice.value for choice in axis.choices))
        moved = []
        for value in old.axes[axis.key]:
            found = next((item for item in left if _same(item[1], value)), None)
            if found is None:
                message = f"cannot extend: {axis.key} does not list {value!r} any more"
                raise OutputError(message)
            left.remove(found)
            moved.append(found[0])
        places.append(moved)
    sizes = [len(axis.choices) for axis in grid.axes]
    numbers = {}
    for number in range(old.permutations):
        rest, digits = number, []
        for moved in reversed(places):
            rest, digit = divmod(rest, len(moved))
            digits.append(moved[digit])
        numbers[number] = _number(list(reversed(digits)), sizes)
    return numbers


def renumber(sweep: Path, numbers: dict[int, int]) -> None:
    """Moves the directories of all permutations to their new numbers.

    Args:
        sweep: its directory, locked.
        numbers: new ones by old ones.
    """
    pairs = [[old, new] for old, new in numbers.items() if (sweep / str(old)).is_dir()]
    if all(old == new for old, new in pairs):
        return
    _write_journal(sweep, 1, pairs)
    finish(sweep)


def finish(sweep: Path) -> None:
    """Does what an interrupted run left of :func:`renumber`, if anything."""
    journal = sweep / JOURNAL
    if not journal.is_file():
        return
    content = json.loads(journal.read_text(encoding="utf-8"))
    aside = sweep / ASIDE
    aside.mkdir(exist_ok=True)
    if content["phase"] == 1:
        for old, new in content["pairs"]:
            if (sweep / str(old)).is_dir() and not (aside / str(new)).exists():
                (sweep / str(old)).rename(aside / str(new))
        _write_journal(sweep, 2, [])
    for path in sorted(aside.iterdir()):
        _rewrite_results(path)
        path.rename(sweep / path.name)
    journal.unlink()
    aside.rmdir()


def _write_journal(sweep: Path, phase: int, pairs: Sequence[Sequence[int]]) -> None:
    write_text(sweep / JOURNAL, json.dumps({"phase": phase, "pairs": pairs}))


def _rewrite_results(permutation: Path) -> None:
    for job in permutation.iterdir():
        change_trial(job / "summaries", permutation.name)
        result = read_result(job)
        if result is not None:
            directory = f"{permutation.name}/{job.name}"
            replace(result, permutation=int(permutation.name), directory=directory).write(job)


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and a == b


def _number(digits: Sequence[int], sizes: Sequence[int]) -> int:
    number = 0
    for digit, size in zip(digits, sizes, strict=True):
        number = number * size + digit
    return number
