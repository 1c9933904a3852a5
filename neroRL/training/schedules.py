"""Schedules of hyperparameters over the updates."""

from __future__ import annotations

from typing import NamedTuple

from neroRL.config.schema import ScheduleConfig, TrainerConfig


class Hyperparameters(NamedTuple):
    """The scheduled hyperparameters of one update."""

    learning_rate: float
    beta: float
    clip_range: float


def decayed(schedule: ScheduleConfig, update: int, updates: int) -> float:
    """Computes a polynomial decay.

    Args:
        schedule: from ``initial`` to ``final``.
        update: u, counted from 0.
        updates: used if the schedule has no ``max_decay_steps``.

    Returns:
        (initial - final) · (1 - u / max_decay_steps)^power + final, and ``final`` afterwards.
    """
    final = schedule.initial if schedule.final is None else schedule.final
    steps = updates if schedule.max_decay_steps is None else schedule.max_decay_steps
    if update > steps or schedule.initial == final:
        return final
    remaining: float = (1.0 - update / steps) ** schedule.power
    return (schedule.initial - final) * remaining + final


def hyperparameters(config: TrainerConfig, update: int) -> Hyperparameters:
    """Returns the hyperparameters of an update, counted from 0."""
    return Hyperparameters(
        decayed(config.learning_rate_schedule, update, config.updates),
        decayed(config.beta_schedule, update, config.updates),
        decayed(config.clip_range_schedule, update, config.updates),
    )
