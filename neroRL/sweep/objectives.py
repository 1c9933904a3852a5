"""Finds axes that change what the objective measures, so that it cannot rank their choices."""

from __future__ import annotations

from collections.abc import Sequence

from neroRL.errors import Problem
from neroRL.sweep.grid import Axis

# Keys that change the task, or the number of its steps per action.
_TASK = ("environment", "environment.type", "environment.name", "environment.frame_skip")
# All reset parameters change the task, except those that change what the agent sees or how it acts.
_RESET_PARAMS = "environment.reset_params"
_SEEN = ("view-size", "mask-velocity", "retro-vis-obs", "flat-action-space")
# The seeds of training matter to the objective only if no evaluation has seeds of its own.
_LEVELS = ("start-seed", "num-seeds")
# Keys that turn evaluation on and set its seeds.
_EVALUATE, _SEEDS = "evaluation.evaluate", "evaluation.seeds"


def incomparable(axes: Sequence[Axis], *, evaluates: bool) -> list[Problem]:
    """Finds axes whose choices have objectives that are not comparable.

    Args:
        axes: of the sweep.
        evaluates: whether the base config's objective is that of an evaluation.

    Returns:
        A notice for each axis, with its file and line.
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
