"""Charts of axes: the effect of each, pairs of them, all at once, and which of them matter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from neroRL.reporting.analysis.analysis import Analysis
from neroRL.reporting.analysis.comparisons import Pair
from neroRL.reporting.analysis.importance import Importance, Share
from neroRL.reporting.analysis.marginals import Effect, Marginal
from neroRL.reporting.analysis.observations import ABSENT
from neroRL.reporting.page.charts import ROW_HEIGHT, description
from neroRL.reporting.page.parts import (
    ACCENT,
    LONGEST_LABEL,
    MOST_ROWS,
    MUTED,
    SECOND,
    Chart,
    Table,
    distinct,
    label,
    labels,
    left_out,
    number,
    span,
)

MOST_AXES = 12
MOST_EFFECTS = 20
MOST_PAIRS = 45
MOST_PAIR_SHARES = 8
MOST_LINES = 1000
LONGEST_TICK = 14
LONGEST_NAME = 22
# From low to high; each is visible on a light and on a dark page.
LINES = [[0.0, "#4F81B5"], [0.5, "#9AA0A6"], [1.0, "#E69F00"]]


def marginal_charts(analysis: Analysis) -> list[Chart]:
    """Draws the effect of each axis alone, a chart an axis."""
    known = [marginal for marginal in analysis.marginals if marginal.is_known][:MOST_AXES]
    spread = [
        bound
        for marginal in known
        for effect in marginal.effects
        for bound in (effect.interval or (effect.difference or 0.0,))
    ]
    most = 1.08 * max(map(abs, spread), default=0.0) or 1.0
    return [_marginal_chart(index, marginal, most) for index, marginal in enumerate(known)]


def strongest(marginal: Marginal, most: int) -> list[Effect]:
    """Returns the known effects of an axis that are farthest from zero, in the axis' order."""
    known = [effect for effect in marginal.effects if effect.difference is not None]
    by_size = sorted(known, key=lambda effect: -abs(effect.difference or 0.0))
    kept = {id(effect) for effect in by_size[:most]}
    return [effect for effect in known if id(effect) in kept]


def _marginal_chart(index: int, marginal: Marginal, most: float) -> Chart:
    shown = strongest(marginal, MOST_EFFECTS)
    differences = [effect.difference or 0.0 for effect in shown]
    widths = [
        (effect.interval[1] - effect.interval[0]) / 2.0 if effect.interval else 0.0
        for effect in shown
    ]
    figure = go.Figure()
    figure.add_scatter(
        x=list(range(len(shown))),
        y=differences,
        error_y={"type": "data", "array": widths, "thickness": 2, "width": 0},
        mode="markers",
        marker={"size": 10, "color": ACCENT},
        text=labels([effect.choice for effect in shown], LONGEST_LABEL),
        hovertemplate="%{text}: %{y:+.4g}<extra></extra>",
    )
    figure.add_hline(y=0, line={"color": MUTED, "dash": "dot", "width": 1})
    figure.update_layout(
        height=260,
        showlegend=False,
        xaxis={
            "tickvals": list(range(len(shown))),
            "ticktext": labels([effect.choice for effect in shown], LONGEST_TICK),
            "range": [-0.5, len(shown) - 0.5],
        },
        yaxis={"title": "difference", "range": [-most, most]},
    )
    name = marginal.axis.name
    best = max(shown, key=lambda effect: effect.difference or 0.0, default=None)
    told = f"{best.choice} does best, {number(best.difference)} above the mean" if best else "none"
    return Chart(
        f"marginal-{index}",
        f"Effect of {name}: {told}.",
        description(figure),
        Table(
            f"Effect of {name}",
            ["choice", "difference", "interval", "blocks"],
            [
                [
                    effect.choice,
                    number(effect.difference),
                    span(effect.interval),
                    str(effect.blocks),
                ]
                for effect in marginal.effects[:MOST_ROWS]
            ],
            left_out(MOST_ROWS, len(marginal.effects), "choices", where=""),
        ),
        title=name,
    )


def pair_charts(analysis: Analysis) -> list[Chart]:
    """Draws the means by the choices of two axes, a chart a pair."""
    return [_pair_chart(index, pair) for index, pair in enumerate(analysis.pairs[:MOST_PAIRS])]


def _pair_chart(index: int, pair: Pair) -> Chart:
    first, second = pair.first, pair.second
    shown = [[None if np.isnan(v) else float(v) for v in row] for row in pair.means]
    figure = go.Figure()
    figure.add_heatmap(
        z=shown,
        x=list(range(len(second.choices))),
        y=list(range(len(first.choices))),
        colorscale="Cividis",
        xgap=2,
        ygap=2,
        colorbar={"thickness": 12, "outlinewidth": 0},
        text=[[number(value) for value in row] for row in shown],
        texttemplate="%{text}" if pair.means.size <= 64 else None,
        hovertemplate="%{text}<extra></extra>",
    )
    figure.update_layout(
        height=160 + 38 * len(first.choices),
        xaxis={
            "title": label(second.name),
            "tickvals": list(range(len(second.choices))),
            "ticktext": labels(second.choices, LONGEST_TICK),
        },
        yaxis={
            "title": label(first.name),
            "tickvals": list(range(len(first.choices))),
            "ticktext": labels(first.choices, LONGEST_TICK),
            "autorange": "reversed",
        },
    )
    row, column = np.unravel_index(np.nanargmax(pair.means), pair.means.shape)
    summary = (
        f"Means by {first.name} and {second.name}; the highest is {number(pair.means[row, column])}"
        f" at {first.choices[row]} and {second.choices[column]}."
    )
    table = Table(
        f"Means by {first.name} (rows) and {second.name} (columns)",
        [first.name, *second.choices],
        [
            [choice, *map(number, row)]
            for choice, row in zip(first.choices, pair.means, strict=True)
        ],
    )
    title = f"{first.name} and {second.name}"
    return Chart(f"pair-{index}", summary, description(figure), table, title, "pair")


def parallel_chart(analysis: Analysis) -> Chart:
    """Draws permutations as lines across the axes and the metric."""
    observed, metric = analysis.observed, analysis.ranking.metric
    rows = min(len(observed.permutations), MOST_LINES)
    reached = [row.standing.iqm for row in analysis.ranking.rows[:rows]]
    dimensions = []
    shown = observed.axes[:MOST_AXES]
    names = labels([axis.name for axis in shown], LONGEST_NAME)
    for name, axis, levels in zip(names, shown, observed.levels.T, strict=False):
        absent = bool((levels[:rows] == ABSENT).any())
        ticks = list(range(ABSENT if absent else 0, len(axis.choices)))
        if len(ticks) > 2 * MOST_EFFECTS:
            ticks = ticks[:: len(ticks) // MOST_EFFECTS]
        # Plotly shows these texts as they are.
        texts = distinct([axis.choices[i] for i in ticks if i != ABSENT], LONGEST_TICK)
        dimensions.append(
            {
                "label": name,
                "values": levels[:rows].tolist(),
                "tickvals": ticks,
                "ticktext": ["–", *texts] if absent else texts,
                "range": [ABSENT if absent else 0, len(axis.choices) - 1],
            }
        )
    dimensions.append({"label": label(metric, LONGEST_NAME), "values": reached})
    figure = go.Figure()
    figure.add_parcoords(
        dimensions=dimensions,
        line={"color": reached, "colorscale": LINES, "showscale": False},
    )
    figure.update_layout(height=420, meta={"columns": len(dimensions)})
    return Chart(
        "parallel-chart",
        f"Parallel coordinates of {rows} permutations: one line each across the axes and {metric}.",
        description(figure),
        Table(
            f"Choices and {metric}",
            ["permutation", *(axis.name for axis in shown), metric],
            [
                [
                    str(observed.permutations[row]),
                    *(
                        "–" if level == ABSENT else axis.choices[level]
                        for axis, level in zip(shown, observed.levels[row], strict=False)
                    ),
                    number(reached[row]),
                ]
                for row in range(min(rows, MOST_ROWS))
            ],
            left_out(MOST_ROWS, len(observed.permutations), "permutations"),
        ),
        kind="parallel",
    )


def importance_chart(found: Importance) -> Chart:
    """Draws the shares of axes, pairs, the rest and the seeds."""
    pairs, alone = _largest(found.pairs)[:MOST_PAIR_SHARES], _largest(found.alone)[:MOST_AXES]
    bars = [(" × ".join(s.axes), s.share, s.by_chance, ACCENT) for s in (*alone, *pairs)]
    bars += [(_rest(found), found.rest + _beyond(found), None, SECOND)]
    bars += [("seeds", found.seeds, None, MUTED)]
    names = [name for name, *_ in bars]
    wide = labels(names, 30)
    figure = go.Figure()
    figure.add_bar(
        x=[share for _, share, _, _ in bars],
        y=list(range(len(bars))),
        orientation="h",
        marker={"color": [colour for *_, colour in bars]},
        text=labels(names, LONGEST_LABEL),
        textposition="none",
        hovertemplate="%{text}: %{x:.1%}<extra></extra>",
        showlegend=False,
    )
    chance = [(share, i) for i, (_, _, share, _) in enumerate(bars) if share is not None]
    if chance:
        figure.add_scatter(
            x=[share for share, _ in chance],
            y=[i for _, i in chance],
            mode="markers",
            marker={
                "symbol": "line-ns",
                "size": 16,
                "line": {"width": 2.5, "color": "#D55E00"},
            },
            name="expected by chance",
            hovertemplate="expected by chance: %{x:.1%}<extra></extra>",
        )
    figure.update_layout(
        height=100 + ROW_HEIGHT * len(bars),
        bargap=0.35,
        xaxis={"title": "share of the variance", "tickformat": ".0%", "rangemode": "tozero"},
        yaxis={
            "tickvals": list(range(len(bars))),
            "ticktext": wide,
            "range": [len(bars) - 0.4, -0.6],
        },
        meta={"wide": wide, "narrow": labels(names, 16)},
    )
    first = alone[0]
    summary = f"Importance: {first.axes[0]} alone explains {_percent(first.share)} of the variance."
    return Chart("importance-chart", summary, description(figure), _shares(found))


def _shares(found: Importance) -> Table:
    rows = [
        [" × ".join(share.axes), _percent(share.share), _percent(share.by_chance)]
        for share in (*_largest(found.alone), *_largest(found.pairs))
    ]
    return Table(
        "Shares of the variance",
        ["axes", "share", "expected by chance"],
        [
            *rows[:MOST_ROWS],
            [_rest(found), _percent(found.rest), "–"],
            ["seeds", _percent(found.seeds), "–"],
        ],
        f"{len(rows) - MOST_ROWS:,} further pairs are not shown." if len(rows) > MOST_ROWS else "",
    )


def _rest(found: Importance) -> str:
    return "all other interactions" if found.complete else "interactions and the other axes"


def _beyond(found: Importance) -> float:
    """Returns the shares of the axes and pairs that have no bar of their own."""
    hidden = [*_largest(found.alone)[MOST_AXES:], *_largest(found.pairs)[MOST_PAIR_SHARES:]]
    return sum(share.share for share in hidden)


def _largest(shares: Sequence[Share]) -> list[Share]:
    return sorted(shares, key=lambda share: -share.share)


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f} %"
