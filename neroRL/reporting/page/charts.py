"""Charts of the ranking, of what permutations reached, and of what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from neroRL.reporting.analysis.analysis import Analysis
from neroRL.reporting.analysis.curves import Curve
from neroRL.reporting.page.parts import (
    ACCENT,
    MOST_ROWS,
    MUTED,
    SECOND,
    Chart,
    Table,
    label,
    left_out,
    number,
    span,
)
from neroRL.texts import counted

MOST_RANKED = 30
MOST_POINTS = 1000
ROW_HEIGHT = 26
LONGEST_ROW_LABEL = 34


def description(figure: go.Figure) -> dict[str, Any]:
    """Returns a figure for the page's script, which gives it the page's colours."""
    content: dict[str, Any] = figure.to_plotly_json()
    content["layout"].pop("template", None)
    return content


def ranking_chart(analysis: Analysis) -> Chart:
    """Draws the interquartile mean of the best permutations with its interval."""
    rows, metric = analysis.ranking.ranked, analysis.ranking.metric
    shown = rows[:MOST_RANKED]
    figure = go.Figure()
    for tied, colour, name in ((True, ACCENT, "tied with the best"), (False, MUTED, "worse")):
        places = [i for i, row in enumerate(shown) if row.tied_with_best == tied]
        some = [shown[i] for i in places]
        ends = [row.interval or (row.standing.iqm, row.standing.iqm) for row in some]
        figure.add_scatter(
            x=[row.standing.iqm for row in some],
            y=places,
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [
                    high - row.standing.iqm for row, (_, high) in zip(some, ends, strict=True)
                ],
                "arrayminus": [
                    row.standing.iqm - low for row, (low, _) in zip(some, ends, strict=True)
                ],
                "thickness": 2,
                "width": 0,
            },
            mode="markers",
            marker={"size": 10, "color": colour},
            name=name,
            text=[label(_label(analysis, i), 120) for i in places],
            hovertemplate="%{text}<br>%{x:.4g}<extra></extra>",
        )
    wide = [label(analysis.observed.brief(i), LONGEST_ROW_LABEL) for i in range(len(shown))]
    narrow = [str(row.standing.permutation) for row in shown]
    figure.update_layout(
        height=90 + ROW_HEIGHT * len(shown),
        xaxis_title=f"{label(metric)} (interquartile mean)",
        yaxis={
            "tickvals": list(range(len(shown))),
            "ticktext": wide,
            "range": [len(shown) - 0.4, -0.6],
        },
        meta={"wide": wide, "narrow": narrow},
    )
    best = shown[0]
    summary = (
        f"Ranking by {metric}: permutation {best.standing.permutation} leads with "
        f"{number(best.standing.iqm)}; {len(analysis.ranking.tied) - 1} others are tied with it."
    )
    return Chart("ranking-chart", summary, description(figure), ranking_table(analysis))


def _label(analysis: Analysis, row: int) -> str:
    permutation, values = analysis.observed.permutations[row], analysis.observed.describe(row)
    return f"{permutation}: {values}" if values else f"{permutation}"


def ranking_table(analysis: Analysis) -> Table:
    """Returns the ranking as a table."""
    rows = analysis.ranking.ranked
    confidence = f"{100 * analysis.ranking.confidence:g} % interval"
    improvement = [None, *analysis.improvement]
    return Table(
        f"Ranking by {analysis.ranking.metric}",
        [
            "permutation",
            "values",
            "runs",
            "iqm",
            confidence,
            "mean",
            "std",
            "tied",
            "P(best better)",
        ],
        [
            [
                str(row.standing.permutation),
                row.standing.values(),
                str(row.standing.runs),
                number(row.standing.iqm),
                span(row.interval),
                number(row.mean),
                number(row.std),
                "yes" if row.tied_with_best else "no",
                number(chance),
            ]
            for row, chance in zip(rows[:MOST_ROWS], improvement, strict=False)
        ],
        left_out(MOST_ROWS, len(rows), "permutations"),
    )


def curves_chart(analysis: Analysis) -> Chart:
    """Draws the learning curves, each with its interval."""
    observed = analysis.observed
    place = {int(number): row for row, number in enumerate(observed.permutations)}
    figure = go.Figure()
    for curve in analysis.curves:
        row = place[curve.permutation]
        meta = {"levels": observed.levels[row].tolist(), "permutation": curve.permutation}
        figure.add_scatter(
            x=[*curve.steps, *curve.steps[::-1]],
            y=[*curve.high, *curve.low[::-1]],
            fill="toself",
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
            meta={**meta, "role": "band"},
        )
        figure.add_scatter(
            x=list(curve.steps),
            y=list(curve.mean),
            mode="lines" if len(curve.steps) > 1 else "markers",
            name=label(observed.brief(row), LONGEST_ROW_LABEL),
            hovertemplate="%{x:,} steps: %{y:.4g}",
            meta={**meta, "role": "line"},
        )
    figure.update_layout(
        height=440,
        xaxis_title="environment steps",
        yaxis={"title": "mean reward of 100 episodes", "range": list(drawn_range(analysis.curves))},
    )
    summary = (
        f"Learning curves of {counted(len(analysis.curves), 'permutation')}: mean reward over "
        "environment steps."
    )
    return Chart(
        "curves-chart", summary, description(figure), _curves_table(analysis), kind="curves"
    )


def drawn_range(curves: Sequence[Curve]) -> tuple[float, float]:
    """Returns the part of the y-axis that is drawn: wide intervals do not flatten the curves."""
    low = min(float(curve.mean.min()) for curve in curves)
    high = max(float(curve.mean.max()) for curve in curves)
    room = 0.3 * (high - low) or 1.0
    lowest = min(float(curve.low.min()) for curve in curves)
    highest = max(float(curve.high.max()) for curve in curves)
    edge = 0.1 * room
    return max(low - room, lowest - edge), min(high + room, highest + edge)


def _curves_table(analysis: Analysis) -> Table:
    """Returns the curves at quarters of their length."""
    head = ["permutation", "repetitions", "at 25 %", "at 50 %", "at 75 %", "at the end", "interval"]
    return Table(
        "Mean reward along the training",
        head,
        [
            [
                str(curve.permutation),
                str(curve.repetitions),
                *(number(_at(curve, share)) for share in (0.25, 0.5, 0.75, 1.0)),
                span((float(curve.low[-1]), float(curve.high[-1])))
                if curve.repetitions > 1
                else "–",
            ]
            for curve in analysis.curves
        ],
    )


def _at(curve: Curve, share: float) -> float:
    """Returns the value at the last point within a share of the steps."""
    within = curve.steps <= share * curve.steps[-1]
    return float(curve.mean[max(int(within.sum()) - 1, 0)])


def improvement_chart(analysis: Analysis) -> Chart:
    """Draws how likely a run of the best permutation does better than one of each other."""
    chances = analysis.improvement[:MOST_RANKED]
    rows = range(1, len(chances) + 1)
    wide = [label(analysis.observed.brief(row), LONGEST_ROW_LABEL) for row in rows]
    narrow = [str(analysis.observed.permutations[row]) for row in rows]
    figure = go.Figure()
    figure.add_scatter(
        x=list(chances),
        y=list(range(len(chances))),
        mode="markers",
        marker={"size": 10, "color": ACCENT},
        text=[label(_label(analysis, row), 120) for row in rows],
        hovertemplate="%{text}<br>%{x:.0%}<extra></extra>",
    )
    figure.add_vline(x=0.5, line={"color": MUTED, "dash": "dot", "width": 1})
    figure.update_layout(
        height=90 + ROW_HEIGHT * len(chances),
        showlegend=False,
        xaxis={"title": "probability that the best does better", "range": [-0.03, 1.03]},
        yaxis={
            "tickvals": list(range(len(chances))),
            "ticktext": wide,
            "range": [len(chances) - 0.4, -0.6],
        },
        meta={"wide": wide, "narrow": narrow},
    )
    told = [
        [
            str(analysis.observed.permutations[row]),
            analysis.observed.describe(row),
            f"{100 * chance:.0f} %",
        ]
        for row, chance in enumerate(analysis.improvement[:MOST_ROWS], 1)
    ]
    best = analysis.observed.permutations[0]
    return Chart(
        "improvement-chart",
        f"Probability that a run of permutation {best} does better than one of each other.",
        description(figure),
        Table(
            f"Probability that permutation {best} does better",
            ["permutation", "values", "probability"],
            told,
            left_out(MOST_ROWS, len(analysis.improvement), "permutations", where=""),
        ),
    )


def scatter_chart(
    analysis: Analysis, name: str, title: str, across: Sequence[float | None]
) -> Chart:
    """Draws the metric of permutations over another number of theirs.

    Args:
        analysis: of the sweep.
        name: of the chart's element.
        title: of the other number.
        across: that number for each ranked row; rows without one are left out.
    """
    rows, metric = analysis.ranking.ranked, analysis.ranking.metric
    points = [(x, i) for i, x in enumerate(across[:MOST_POINTS]) if x is not None]
    figure = go.Figure()
    figure.add_scatter(
        x=[x for x, _ in points],
        y=[rows[i].standing.iqm for _, i in points],
        mode="markers",
        marker={
            "size": 10,
            "color": [SECOND if i == 0 else ACCENT for _, i in points],
            "opacity": 0.85,
        },
        text=[label(_label(analysis, i), 120) for _, i in points],
        hovertemplate="%{text}<br>%{x:.4g}, %{y:.4g}<extra></extra>",
    )
    figure.update_layout(height=380, showlegend=False, xaxis_title=title, yaxis_title=label(metric))
    return Chart(
        name,
        f"{metric} of {len(points)} permutations over {title}; the best one is orange.",
        description(figure),
        Table(
            f"{metric} and {title}",
            ["permutation", "values", title, metric],
            [
                [
                    str(rows[i].standing.permutation),
                    analysis.observed.describe(i),
                    number(x),
                    number(rows[i].standing.iqm),
                ]
                for x, i in points[:MOST_ROWS]
            ],
            left_out(MOST_ROWS, sum(x is not None for x in across), "permutations", where=""),
        ),
    )
