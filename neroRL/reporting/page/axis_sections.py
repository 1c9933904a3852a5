"""The sections of the page about axes: effects, pairs, and how much each axis explains."""

from __future__ import annotations

from neroRL.reporting.analysis.analysis import MOST_CHOICES_OF_PAIRS, Analysis
from neroRL.reporting.analysis.importance import Importance
from neroRL.reporting.page import axis_charts
from neroRL.reporting.page.parts import Section, left_out
from neroRL.reporting.race import may_go_on
from neroRL.texts import counted


def axis_sections(analysis: Analysis) -> list[Section]:
    """Returns the sections about axes, as far as permutations can be compared by them."""
    if not analysis.compared.axes:
        return []
    effects = [effect for marginal in analysis.marginals for effect in marginal.effects]
    interval = ", with its paired t interval" if any(one.interval for one in effects) else ""
    found = [
        Section(
            "effects",
            "Effect of each axis",
            [
                f"The difference each choice makes to the mean of its axis{interval}. Jobs are "
                "compared with those that agree in all other axes and in the repetition; an axis "
                "that applies beside some choices only is averaged over.",
                *_raced(analysis),
            ],
            axis_charts.marginal_charts(analysis),
            notes=_holes(analysis),
        )
    ]
    if analysis.pairs:
        found.append(_pairs(analysis))
    found.append(
        Section(
            "parallel",
            "All axes at once",
            [
                "One line a permutation. Drag along an axis to keep the lines that pass there, or "
                "use the filters of the learning curves, which choose lines here, too."
            ],
            [axis_charts.parallel_chart(analysis)],
            notes=[
                note
                for note in [
                    left_out(axis_charts.MOST_LINES, len(analysis.ranking.ranked), "permutations"),
                    left_out(axis_charts.MOST_AXES, len(analysis.observed.axes), "axes"),
                ]
                if note
            ],
        )
    )
    if analysis.importance is not None:
        found.append(_importance(analysis, analysis.importance))
    return found


def _raced(analysis: Analysis) -> list[str]:
    if not analysis.stopped:
        return []
    stopped = counted(analysis.stopped, "permutation")
    told = f"A race stopped {stopped} early."
    if may_go_on(analysis.sweep):
        told = f"Jobs of {stopped} stand at a rung of a race that is not over."
    if analysis.compared is analysis.observed:
        rest = "What it stopped is left out here: the effects are those among what did well."
    else:
        rest = "Effects, pairs and importance are those at its first rung."
    return [f"{told} {rest}"]


def _holes(analysis: Analysis) -> list[str]:
    known = [marginal for marginal in analysis.marginals if marginal.is_known]
    alone = [marginal.axis.name for marginal in analysis.marginals if not marginal.is_known]
    shown = known[: axis_charts.MOST_AXES]
    most = axis_charts.MOST_EFFECTS
    crowded = [marginal.axis.name for marginal in shown if len(marginal.effects) > most]
    holed = [marginal.axis.name for marginal in shown if not marginal.full]
    notes = [left_out(axis_charts.MOST_AXES, len(known), "axes", where="")]
    if alone:
        notes.append(
            f"No two jobs agree in all but {', or all but '.join(alone)}: what that alone does is "
            "not known."
        )
    if crowded:
        notes.append(
            f"Of {', '.join(crowded)}, the {most} choices with the largest effect are drawn."
        )
    if holed:
        notes.append(
            f"Some blocks lack choices of {', '.join(holed)}: choices and blocks are fitted "
            "together by least squares, so that a better block is not taken for a better choice."
        )
    return [note for note in notes if note]


def _pairs(analysis: Analysis) -> Section:
    few = [one for one in analysis.compared.axes if len(one.choices) <= MOST_CHOICES_OF_PAIRS]
    notes = []
    if len(few) < len(analysis.compared.axes):
        notes.append(f"Axes with more than {MOST_CHOICES_OF_PAIRS} choices are not drawn.")
    hidden = len(analysis.pairs) - axis_charts.MOST_PAIRS
    if hidden > 0:
        notes.append(f"{counted(hidden, 'further pair')} not drawn.")
    return Section(
        "pairs",
        "Pairs of axes",
        [f"The mean of {analysis.ranking.metric} over the permutations with both choices."],
        axis_charts.pair_charts(analysis),
        notes=notes,
    )


def _importance(analysis: Analysis, found: Importance) -> Section:
    if found.exact:
        way = (
            "The grid is full, so this functional ANOVA of the permutations' means is exact: "
            "shares of the axes alone, of pairs beyond that, of all other interactions, and of the "
            "seeds add up to 100 %. "
        )
    else:
        way = (
            "Not every combination of choices has a result. The share of an axis is "
            "the variance of its paired effects; interactions are not taken apart. "
        )
        if not found.complete:
            way += "What axes explain whose effect is not known is among the interactions' share. "
    effective = (
        f"About {found.effective:.1f} of {len(found.alone)} axes matter: the exponential of "
        "the entropy of their shares, half of each pair's share counted for each of the two."
        if found.effective is not None
        else ""
    )
    notes = []
    if any(share.by_chance is not None for share in found.alone):
        notes.append("The orange marks show the share that seeds alone are expected to give.")
    if analysis.compared.values.shape[1] < 2:
        notes.append("With one repetition, the seeds' share is not known and hides in the others.")
    hidden = max(len(found.pairs) - axis_charts.MOST_PAIR_SHARES, 0)
    if hidden:
        pairs = f"{hidden} smallest pairs are" if hidden > 1 else "smallest pair is"
        notes.append(f"The {pairs} part of all other interactions.")
    return Section(
        "importance",
        "Importance of axes",
        [way + effective],
        [axis_charts.importance_chart(found)],
        notes=notes,
    )
