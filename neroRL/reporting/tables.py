"""Tables for a terminal of any width: numbers are whole, and long texts take several lines."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

# Characters of a column of texts that other columns leave to it.
LEAST_TEXT = 20
_BORDER = 3  # characters between two columns


def print_table(
    console: Console,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    texts: Sequence[str],
    spare: Sequence[str],
) -> None:
    """Prints a table, without the columns that the terminal is too narrow for.

    Args:
        console: where to.
        head: names of the columns.
        rows: at least one, with a cell for each column.
        texts: columns that are folded over lines where they are too long.
        spare: columns that may be left out, the most important one first.
    """
    columns = dict(zip(head, zip(*rows, strict=True), strict=True))
    widths = {
        name: max(cell_len(cell) for cell in (name, *cells)) for name, cells in columns.items()
    }
    needed = {
        name: _BORDER + (min(width, LEAST_TEXT) if name in texts else width)
        for name, width in widths.items()
    }
    kept = set(head) - set(spare)
    room = console.width - 1 - sum(needed[name] for name in kept)
    for name in spare:
        if name in needed and needed[name] <= room:
            kept.add(name)
            room -= needed[name]
    table = Table()
    for name in head:
        if name in kept:
            least = cell_len(name) if name in texts else widths[name]
            table.add_column(name, overflow="fold", min_width=least)
    for row in rows:
        table.add_row(*(cell for name, cell in zip(head, row, strict=True) if name in kept))
    console.print(table, soft_wrap=False, crop=False)
