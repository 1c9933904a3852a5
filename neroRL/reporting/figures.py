"""Figures for a paper: the ranking, the curves and the effects, as vector PDF and as PNG."""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from neroRL.files import write_bytes
from neroRL.reporting.analysis.analysis import Analysis
from neroRL.reporting.analysis.marginals import Marginal
from neroRL.reporting.page.axis_charts import strongest
from neroRL.reporting.page.charts import drawn_range
from neroRL.reporting.page.parts import ACCENT, LONGEST_LABEL, MUTED, PALETTE, distinct
from neroRL.texts import short_line

FIGURES = "figures"
MOST_RANKED = 20
MOST_CURVES = len(PALETTE)
MOST_AXES = 12
MOST_EFFECTS = 12
_COLUMNS = 3
_LONGEST_TITLE = 150
_LONGEST_TICK = 16
# Characters of a line of a title: as many as fit the width of a figure, and of one axis in it.
_LINE = 75
_LINE_OF_AXIS = 26
# Fonts as outlines that editors and publishers accept; text is no markup.
_STYLE: dict[Any, Any] = {
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "text.parse_math": False,
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.5,
    "figure.constrained_layout.use": True,
}


def write_figures(directory: Path, analysis: Analysis) -> None:
    """Writes each figure as ``.pdf`` and ``.png``; one without anything to show says so.

    Args:
        directory: where to; it is made if it is missing.
        analysis: what the sweep came to.
    """
    directory.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Callable[[Analysis], Figure]] = {
        "ranking": _ranking,
        "curves": _curves,
        "marginals": _marginals,
    }
    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        # Of letters that the font lacks, boxes are drawn.
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from", UserWarning)
        for name, draw in figures.items():
            figure = draw(analysis)
            for kind, told in (("pdf", {"CreationDate": None}), ("png", {})):
                content = io.BytesIO()
                figure.savefig(content, format=kind, dpi=200, metadata=told)
                write_bytes(directory / f"{name}.{kind}", content.getvalue())


def _names(analysis: Analysis) -> str:
    """Names the values beside a permutation's number."""
    names = ", ".join(axis.name for axis in analysis.observed.axes)
    told = f"permutation: {names}" if names else "permutation"
    return textwrap.fill(short_line(told, _LONGEST_TITLE), _LINE)


def _empty(text: str) -> Figure:
    figure = Figure(figsize=(5, 1.5))
    axes = figure.subplots()
    axes.axis("off")
    axes.text(0.5, 0.5, text, ha="center", va="center")
    return figure


def _ranking(analysis: Analysis) -> Figure:
    rows = analysis.ranking.ranked[:MOST_RANKED]
    if not rows:
        return _empty("No permutation is ranked.")
    title = _names(analysis)
    lines = title.count("\n") + 1
    figure = Figure(figsize=(5.5, 0.58 + 0.12 * lines + 0.22 * len(rows)))
    figure.suptitle(title, x=0.01, ha="left", fontsize=8)
    axes = figure.subplots()
    for place, row in enumerate(rows):
        colour = ACCENT if row.tied_with_best else MUTED
        if row.interval:
            axes.plot(row.interval, [place, place], color=colour, linewidth=1.5)
        axes.plot(row.standing.iqm, place, "o", color=colour, markersize=4)
    axes.set_yticks(
        range(len(rows)), [short_line(analysis.observed.brief(place)) for place in range(len(rows))]
    )
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel(f"{analysis.ranking.metric} (interquartile mean)")
    return figure


def _curves(analysis: Analysis) -> Figure:
    if not analysis.curves:
        return _empty("There are no learning curves.")
    observed = analysis.observed
    place = {int(number): row for row, number in enumerate(observed.permutations)}
    figure = Figure(figsize=(5.5, 3.4))
    axes = figure.subplots()
    for order, curve in reversed(list(enumerate(analysis.curves))):
        coloured = order < MOST_CURVES
        colour = PALETTE[order] if coloured else MUTED
        if coloured:
            axes.fill_between(curve.steps, curve.low, curve.high, color=colour, alpha=0.15, lw=0)
        axes.plot(
            curve.steps,
            curve.mean,
            "-" if len(curve.steps) > 1 else "o",  # a line through one point is not seen
            color=colour,
            markersize=4,
            linewidth=1.5 if coloured else 0.6,
            alpha=1.0 if coloured else 0.5,
            label=short_line(observed.brief(place[curve.permutation])) if coloured else None,
        )
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles[::-1],
        labels[::-1],
        loc="outside lower left",
        frameon=False,
        ncols=2,
        title=_names(analysis),
        alignment="left",
    )
    axes.set_ylim(drawn_range(analysis.curves))
    axes.set_xlabel("environment steps")
    axes.set_ylabel("mean reward of 100 episodes")
    return figure


def _marginals(analysis: Analysis) -> Figure:
    shown = analysis.marginals[:MOST_AXES]
    if not shown:
        return _empty("No axis has several choices.")
    columns = min(len(shown), _COLUMNS)
    lines = -(-len(shown) // columns)
    figure = Figure(figsize=(2.2 * columns + 0.4, 2.0 * lines))
    grid = figure.subplots(lines, columns, sharey=True, squeeze=False)
    names = distinct([marginal.axis.name for marginal in shown], LONGEST_LABEL)
    for axes, marginal, name in zip(grid.flat, shown, names, strict=False):
        _marginal(axes, marginal)
        axes.set_title(_in_lines(name), fontsize=8)
    for axes in grid.flat[len(shown) :]:
        axes.axis("off")
    for row in grid:
        row[0].set_ylabel(f"difference of\n{short_line(analysis.ranking.metric)}")
    return figure


def _marginal(axes: Axes, marginal: Marginal) -> None:
    effects = strongest(marginal, MOST_EFFECTS)
    axes.axhline(0.0, color=MUTED, linewidth=0.8, linestyle=":")
    for place, effect in enumerate(effects):
        if effect.interval:
            axes.plot([place, place], effect.interval, color=ACCENT, linewidth=1.5)
        axes.plot(place, effect.difference or 0.0, "o", color=ACCENT, markersize=4)
    labels = distinct([effect.choice for effect in effects], _LONGEST_TICK)
    turned = 45 if sum(map(len, labels)) > 24 else 0
    axes.set_xticks(
        range(len(effects)), labels, rotation=turned, ha="right" if turned else "center"
    )
    axes.set_xlim(-0.5, max(len(effects), 1) - 0.5)


def _in_lines(name: str) -> str:
    """Returns the name of an axis in lines that break behind its dots and underscores."""
    lines = [""]
    for part in re.findall(r"[^._/ ]*[._/ ]|[^._/ ]+", name):
        if lines[-1] and len(lines[-1]) + len(part) > _LINE_OF_AXIS:
            lines.append("")
        lines[-1] += part
    return "\n".join(textwrap.fill(line, _LINE_OF_AXIS) for line in lines)
