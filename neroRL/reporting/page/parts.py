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


def left_out(shown: int, total: int, what: str, where: str = "ranking.csv") -> str:
    """Returns a sentence about what is not shown; empty if everything is."""
    if shown >= total:
        return ""
    return f"{total - shown:,} of {total:,} {what} are not shown here; {where} has all."
