"""Finds axes that change what the objective measures, so that it cannot rank their choices."""

from __future__ import annotations

from collections.abc import Sequence

from neroRL.config.objective import EVALUATE, changes_objective
from neroRL.errors import Problem
from neroRL.sweep.points import Axis


def incomparable(axes: Sequence[Axis], *, evaluates: bool) -> list[Problem]:
    """Finds axes whose choices have objectives that are not comparable.

    Args:
        axes: of the sweep.
        evaluates: whether the base config's objective is that of an evaluation.

    Returns:
        A notice for each axis, with its file and line.
    """
    evaluates = evaluates or any(axis.key == EVALUATE for axis in axes)
    return [
        Problem(
            axis.label or axis.key,
            "its choices change what the objective measures; objectives of permutations that "
            "differ in it are not comparable",
            axis.where,
        )
        for axis in axes
        if _differs(axis) and changes_objective(axis.key, evaluates=evaluates)
    ]


def _differs(axis: Axis) -> bool:
    return any(choice.override != axis.choices[0].override for choice in axis.choices)
