"""Axes whose choices change what the objective measures, so that it cannot rank them."""

from __future__ import annotations

from collections.abc import Sequence

from neroRL.errors import Problem
from neroRL.sweep.grid import Axis

# Another task, or another number of its steps behind an action.
_TASK = ("environment", "environment.type", "environment.name", "environment.frame_skip")
# Reset parameters change the task, but for these: they change what the agent sees of it, and how
# it chooses.
_RESET_PARAMS = "environment.reset_params"
_SEEN = ("view-size", "mask-velocity", "retro-vis-obs", "flat-action-space")
# The levels of training are those of the objective only where no evaluation has its own.
_LEVELS = ("start-seed", "num-seeds")
# Whether the objective is that of an evaluation, and on which levels.
_EVALUATE, _SEEDS = "evaluation.evaluate", "evaluation.seeds"


def incomparable(axes: Sequence[Axis], *, evaluates: bool) -> list[Problem]:
    """Finds the axes between whose choices objectives are not comparable.

    Args:
        axes: of the sweep.
        evaluates: whether the base config's objective is that of an evaluation.

    Returns:
        A notice for each axis, at its place.
    """
    evaluates = evaluates or any(axis.key == _EVALUATE for axis in axes)
    return [
        Problem(
            axis.label or axis.key,
            "its choices change what the objective measures; objectives of permutations that "
            "differ in it are not comparable",
            axis.where,
        )
        for axis in axes
        if _differs(axis) and _changes_objective(axis.key, evaluates)
    ]


def _differs(axis: Axis) -> bool:
    return any(choice.override != axis.choices[0].override for choice in axis.choices)


def _changes_objective(key: str, evaluates: bool) -> bool:
    if key in (*_TASK, _RESET_PARAMS, _EVALUATE):
        return True
    if key == _SEEDS or key.startswith(f"{_SEEDS}."):
        return evaluates
    if not key.startswith(f"{_RESET_PARAMS}."):
        return False
    parameter = key.removeprefix(f"{_RESET_PARAMS}.")
    return not evaluates if parameter in _LEVELS else parameter not in _SEEN
