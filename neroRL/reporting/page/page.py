"""Writes ``report.html``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup
from plotly.offline import get_plotlyjs
from plotly.utils import PlotlyJSONEncoder

from neroRL.files import write_text
from neroRL.pages import as_it_is, in_script, render
from neroRL.ranking.ranking import Ranking
from neroRL.records.results import COMPLETED
from neroRL.reporting.analysis.analysis import Analysis
from neroRL.reporting.page import winner
from neroRL.reporting.page.parts import ACCENT, PALETTE, Section
from neroRL.reporting.page.sections import sections
from neroRL.reporting.summary import REPEATING

_HERE = Path(__file__).parent
MOST_OPTIONS = 200


def write_page(
    path: Path,
    analysis: Analysis,
    best: Path | None,
    config: Mapping[str, Any] | None,
    confirmation: Ranking | None = None,
) -> None:
    """Writes the page of a sweep: one file that asks no network for anything.

    Args:
        path: of the file.
        analysis: what the sweep came to.
        best: where the winner's config lies, if there is one.
        config: the winner's config.
        confirmation: ranking of the best permutations on fresh seeds; its number is the headline.
    """
    record = analysis.sweep.record
    foreign = bool(analysis.sweep.sweeper)
    shown = sections(analysis, confirmation)
    text = render(
        _HERE / "page.html.j2",
        name=analysis.sweep.directory.resolve().name,
        headline=winner.headline(
            analysis.ranking,
            confirmation,
            analysis.sweep.confirmation,
            "" if foreign else REPEATING,
        ),
        values=analysis.ranking.best.standing.values() if analysis.ranking.best else "",
        facts=_facts(analysis),
        sections=shown,
        filters=_filters(analysis),
        damaged=analysis.sweep.warnings(),
        command=winner.command(best),
        difference=winner.difference(record.base, config) if config and not foreign else None,
        space=winner.search_space(analysis.sweep),
        checklist=winner.checklist(analysis.sweep),
        base_title="What all jobs share" if foreign else "Base config",
        base=winner.base_config(record),
        charts=in_script(json.dumps(_figures(shown), cls=PlotlyJSONEncoder)),
        palette=in_script(json.dumps({"accent": ACCENT, "lines": PALETTE})),
        style=as_it_is(_HERE / "page.css"),
        script=as_it_is(_HERE / "page.js"),
        plotly=Markup(get_plotlyjs()),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)


def _figures(shown: list[Section]) -> dict[str, Any]:
    return {
        chart.id: {"figure": chart.figure, "kind": chart.kind}
        for section in shown
        for chart in section.charts
    }


def _facts(analysis: Analysis) -> list[tuple[str, str]]:
    costs, record = analysis.costs, analysis.sweep.record
    ended = len(analysis.sweep.results)
    others = ", ".join(
        f"{count} {status}" for status, count in costs.jobs.items() if count and status != COMPLETED
    )
    if analysis.sweep.sweeper:
        grid, total = [("sweeper", analysis.sweep.sweeper)], ""
    else:
        grid = [
            ("permutations", winner.permutations(analysis.sweep)),
            ("repetitions", f"{record.repetitions:,}"),
        ]
        total = f" of {record.jobs:,}"
    return [
        *grid,
        ("jobs ended", f"{ended:,}{total}" + (f" ({others})" if others else "")),
        ("job hours", f"{costs.hours:.3g}"),
        ("environment steps", f"{costs.env_steps:,}"),
    ]


def _filters(analysis: Analysis) -> list[dict[str, Any]]:
    """Returns the axes of which the page lets choices be picked."""
    return [
        {"index": index, "name": axis.name, "choices": list(axis.choices)[:MOST_OPTIONS]}
        for index, axis in enumerate(analysis.observed.axes)
        if analysis.curves
    ]
