"""Gives the jobs of a sweep the numbers they have in a larger grid.

Adding choices or keys renumbers permutations. Directories move in two phases, first all out of
the way, then all into place; a journal tells a later run what an interrupted one left to do.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from neroRL.config.checks import flat
from neroRL.errors import OutputError
from neroRL.files import write_text
from neroRL.records.results import read_result
from neroRL.reporting.tensorboard import change_trial
from neroRL.sweep.grid import Axis, Grid
from neroRL.sweep.ledger import RECORD_FILE, SweepRecord

JOURNAL, ASIDE = ".extension.json", ".extension"


def new_numbers(old: SweepRecord, grid: Grid) -> dict[int, int]:
    """The number in a larger grid of each permutation of a smaller one.

    Args:
        old: the sweep so far. A key it did not sweep has the value of its base config.
        grid: has all of its keys and choices, and more of either.

    Raises:
        OutputError: keys or choices are gone, or a new key does not list what there is.
    """
    gone = [key for key in old.axes if key not in grid.keys]
    if gone:
        raise OutputError(f"cannot extend: {', '.join(gone)} is not swept any more")
    places = {axis.key: _places(axis, old) for axis in grid.axes}
    sizes = [len(axis.choices) for axis in grid.axes]
    numbers = {}
    for number, digits in enumerate(_points(old)):
        moved = [places[axis.key][digits.get(axis.key, 0)] for axis in grid.axes]
        numbers[number] = _number(moved, sizes)
    return numbers


def renumber(
    sweep: Path, numbers: Mapping[int, int], old: SweepRecord, record: SweepRecord
) -> None:
    """Moves the directories of all permutations to their new numbers, and records the new grid.

    Args:
        sweep: its directory, locked.
        numbers: new ones by old ones.
        old: the sweep so far.
        record: the sweep as it is afterwards.
    """
    base = flat(old.base)
    journal = {
        "phase": 1,
        "pairs": [[was, now] for was, now in numbers.items() if (sweep / str(was)).is_dir()],
        "values": {key: base[key] for key in record.axes if key not in old.axes},
        "record": record.text(),
    }
    write_text(sweep / JOURNAL, json.dumps(journal))
    finish(sweep)


def is_unfinished(sweep: Path) -> bool:
    """Whether an interrupted run left something of :func:`renumber` to do."""
    return (sweep / JOURNAL).is_file()


def finish(sweep: Path) -> None:
    """Does what an interrupted run left of :func:`renumber`, if anything."""
    if not is_unfinished(sweep):
        return
    journal = json.loads((sweep / JOURNAL).read_text(encoding="utf-8"))
    aside = sweep / ASIDE
    aside.mkdir(exist_ok=True)
    if journal["phase"] == 1:
        for old, new in journal["pairs"]:
            if (sweep / str(old)).is_dir() and not (aside / str(new)).exists():
                (sweep / str(old)).rename(aside / str(new))
        write_text(sweep / JOURNAL, json.dumps({**journal, "phase": 2}))
    for path in sorted(aside.iterdir()):
        _rewrite_results(path, journal["values"])
        path.rename(sweep / path.name)
    aside.rmdir()
    write_text(sweep / RECORD_FILE, journal["record"])
    (sweep / JOURNAL).unlink()


def _places(axis: Axis, old: SweepRecord) -> list[int]:
    """Where in an axis each choice of the smaller grid is."""
    left = list(enumerate(choice.value for choice in axis.choices))
    base = flat(old.base)
    if axis.key not in old.axes and axis.key not in base:
        message = f"{axis.key} is new, and what the permutations there have is not known"
        raise OutputError(f"cannot extend: {message}")
    places = []
    for value in old.axes.get(axis.key, [base.get(axis.key)]):
        found = next((item for item in left if _same(item[1], value)), None)
        if found is None:
            message = f"{axis.key} does not list {value!r} any more"
            if axis.key not in old.axes:
                message = (
                    f"{axis.key} is new and does not list {value!r}, which the base config has"
                )
            raise OutputError(f"cannot extend: {message}")
        left.remove(found)
        places.append(found[0])
    return places


def _points(old: SweepRecord) -> Iterator[dict[str, int]]:
    """Which choice of each key the permutations of a sweep have, in their order."""
    ranges = [range(len(choices)) for choices in old.axes.values()]
    return (dict(zip(old.axes, digits, strict=True)) for digits in itertools.product(*ranges))


def _rewrite_results(permutation: Path, values: Mapping[str, Any]) -> None:
    for job in permutation.iterdir():
        change_trial(job / "summaries", permutation.name, values)
        result = read_result(job)
        if result is not None:
            replace(
                result,
                permutation=int(permutation.name),
                directory=f"{permutation.name}/{job.name}",
                overrides={**result.overrides, **values},
            ).write(job)


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and a == b


def _number(digits: Sequence[int], sizes: Sequence[int]) -> int:
    number = 0
    for digit, size in zip(digits, sizes, strict=True):
        number = number * size + digit
    return number
