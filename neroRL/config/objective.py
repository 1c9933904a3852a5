"""Tells which keys of a config change what the objective measures."""

from __future__ import annotations

# Keys that change the task, or the number of its steps per action.
_TASK = ("environment", "environment.type", "environment.name", "environment.frame_skip")
# All reset parameters change the task, except those that change what the agent sees, how it acts,
# or where the learner takes an episode to end: reward and length are those of whole games anyway.
_RESET_PARAMS = "environment.reset_params"
_SEEN = (
    "view-size",
    "mask-velocity",
    "retro-vis-obs",
    "flat-action-space",
    "full-action-space",
    "terminal-on-life-loss",
)
# The seeds of training matter to the objective only if no evaluation has seeds of its own.
_LEVELS = ("start-seed", "num-seeds")
# Keys that turn evaluation on and set its seeds.
EVALUATE, _SEEDS = "evaluation.evaluate", "evaluation.seeds"


def changes_objective(key: str, *, evaluates: bool) -> bool:
    """Returns whether objectives of configs that differ in a key are not comparable.

    Args:
        key: its dotted path, or the name of a group.
        evaluates: whether the objective is that of an evaluation.
    """
    if key in (*_TASK, _RESET_PARAMS, EVALUATE):
        return True
    if key == _SEEDS or key.startswith(f"{_SEEDS}."):
        return evaluates
    if not key.startswith(f"{_RESET_PARAMS}."):
        return False
    parameter = key.removeprefix(f"{_RESET_PARAMS}.")
    return not evaluates if parameter in _LEVELS else parameter not in _SEEN
