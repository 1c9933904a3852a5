"""The pieces a page is put together from: charts, the tables behind them, sections."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from neroRL.texts import short_line

# More rows than this are left to ranking.csv and results.csv.
MOST_ROWS = 200
LONGEST_LABEL = 40

# Okabe and Ito's palette, which colour-blind people can tell apart; without black and yellow,
# which are hard to see on a dark or a light page.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
ACCENT, SECOND, MUTED = PALETTE[0], PALETTE[1], "#8A9099"


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        caption: what it shows.
        head: names of its columns.
        rows: its cells; the first one heads the row.
        note: what is left out, if anything.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Chart:
    """A chart and what says the same without it.

    Attributes:
        id: of its element.
        summary: what a reader who does not see it is told.
        figure: plotly's description of it.
        table: its numbers.
        title: a heading of its own, if it needs one.
        kind: how the page's script treats it.
    """

    id: str
    summary: str
    figure: dict[str, Any]
    table: Table | None
    title: str = ""
    kind: str = ""


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        id: of its element.
        title: its heading.
        texts: paragraphs above the charts.
        charts: in order.
        tables: that stand on their own.
        notes: paragraphs below.
    """

    id: str
    title: str
    texts: Sequence[str] = ()
    charts: Sequence[Chart] = ()
    tables: Sequence[Table] = ()
    notes: Sequence[str] = field(default_factory=tuple)


def number(value: float | None) -> str:
    """Returns a number as people read it; a dash for none.

    >>> number(0.12345), number(-1234567.0), number(None)
    ('0.1235', '-1,234,567', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def span(interval: tuple[float, float] | None) -> str:
    """Returns an interval as people read it."""
    return "–" if interval is None else f"{number(interval[0])} to {number(interval[1])}"


def label(text: str, longest: int = LONGEST_LABEL) -> str:
    """Returns a user's text for plotly, which takes some tags in it for markup."""
    return html.escape(short_line(text, longest), quote=False)


def labels(texts: Sequence[str], longest: int) -> list[str]:
    """Returns labels for plotly of different texts on one axis; see :func:`distinct`."""
    return [label(text, longest) for text in distinct(texts, longest)]


def distinct(texts: Sequence[str], longest: int) -> list[str]:
    """Returns different texts in one line each, shortened so that they can be told apart.

    Long ones are shortened in the middle, or around what differs if that makes them equal.

    Args:
        texts: of one axis.
        longest: number of characters.

    >>> distinct(["MiniGrid-DoorKey-5x5-v0", "MiniGrid-DoorKey-6x6-v0"], 14)
    ['MiniGri…5x5-v0', 'MiniGri…6x6-v0']
    >>> distinct(["MiniGrid-DoorKey-5x5-v0", "MiniGrid-Unlock-5x5-v0", "gru"], 14)
    ['…DoorKe…5x5-v0', '…Unlock-5x5-v0', 'gru']
    """
    lines = [" ".join(text.split()) for text in texts]
    found = [_shortened(line, longest) for line in lines]
    if len(set(found)) == len(set(lines)):
        return found
    alike = {short: [i for i, one in enumerate(found) if one == short] for short in found}
    for places in alike.values():
        some = [lines[i] for i in places]
        if len(set(some)) > 1:
            shortest = min(map(len, some))
            same = next((i for i in range(shortest) if len({one[i] for one in some}) > 1), shortest)
            for i in places:
                found[i] = _shortened(f"…{lines[i][same:]}", longest)
    if len(set(found)) == len(set(lines)):
        return found
    # They differ in several places: a number tells them apart.
    return [
        f"{i}: {_shortened(line, longest - 2 - len(str(i)))}" for i, line in enumerate(lines, 1)
    ]


def _shortened(line: str, longest: int) -> str:
    """Returns both ends of a line that is too long."""
    if len(line) <= longest:
        return line
    end = (longest - 1) // 2
    return f"{line[: longest - 1 - end]}…{line[-end:]}"


def left_out(shown: int, total: int, what: str, where: str = "ranking.csv") -> str:
    """Returns a sentence about what is not shown; empty if everything is.

    Args:
        shown: number of those that are.
        total: number of all.
        what: they are.
        where: all are told; empty if nowhere.
    """
    if shown >= total:
        return ""
    has = f"; {where} has all" if where else ""
    return f"{total - shown:,} of {total:,} {what} are not shown here{has}."
