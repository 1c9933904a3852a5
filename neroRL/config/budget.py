"""Separates what a training is from how long it trains."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

UPDATES = "trainer.updates"


def without_budget(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a config without its number of updates, but with what depends on it.

    A schedule that decays without ``max_decay_steps`` decays over all updates. Two trainings whose
    configs are the same without their budgets are the same as far as the shorter one goes.

    Args:
        config: complete and resolved.

    Example:
        >>> fixed = {"initial": 1.0, "final": 0.1, "max_decay_steps": 20}
        >>> open_ = {"initial": 1.0, "final": 0.1, "max_decay_steps": None}
        >>> a = {"trainer": {"updates": 20, "beta_schedule": open_}}
        >>> b = {"trainer": {"updates": 40, "beta_schedule": fixed}}
        >>> without_budget(a) == without_budget(b)
        True
        >>> c = {"trainer": {"updates": 40, "beta_schedule": open_}}
        >>> without_budget(a) == without_budget(c)
        False
    """
    trainer = dict(config["trainer"])
    updates = trainer.pop("updates", None)
    for key, schedule in trainer.items():
        if key.endswith("_schedule") and isinstance(schedule, Mapping):
            trainer[key] = _of_its_own(schedule, updates)
    return {**config, "trainer": trainer}


def updates_at(share: float, updates: int) -> int:
    """Returns how many updates a share of a training has, rounded up.

    >>> updates_at(0.1, 200), updates_at(0.25, 10), updates_at(0.01, 10)
    (20, 3, 1)
    """
    # 0.07 * 100 is a little above 7.
    return max(math.ceil(round(share * updates, 6)), 1)


def shorter(config: Mapping[str, Any], updates: int) -> list[dict[str, Any]]:
    """Returns the configs with fewer updates that are the same training, as far as they go.

    Args:
        config: complete and resolved.
        updates: of the shorter training.
    """
    trainer = {**config["trainer"], "updates": updates}
    opened = {
        key: {**value, "max_decay_steps": None}
        for key, value in trainer.items()
        if isinstance(value, Mapping) and value.get("max_decay_steps") == updates
    }
    return [{**config, "trainer": {**trainer, **some}} for some in ({}, opened)]


def _of_its_own(schedule: Mapping[str, Any], updates: Any) -> dict[str, Any]:
    is_constant = schedule.get("final") is None or schedule["final"] == schedule.get("initial")
    steps = schedule.get("max_decay_steps")
    decays_over = updates if steps is None else steps
    return {**schedule, "max_decay_steps": None if is_constant else decays_over}
