"""Puts the numbers of a training into its result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch

from neroRL.records.results import COMPLETED, JobResult, Status
from neroRL.training.statistics import MEASURED, Summary


class Work(NamedTuple):
    """The work of a training, over all of its runs.

    Attributes:
        updates: PPO updates.
        env_steps: environment steps.
        training_seconds: time of rollouts and optimisation.
        wall_seconds: time with everything else.
        evaluation_seconds: mean duration of an evaluation in the last run; None without any.
        processes: that stepped the environments in the last run; 0 for the training's own.
        precision: of matrix products.
        weights: digest of the weights that the training began with, if any.
    """

    updates: int
    env_steps: int
    training_seconds: float
    wall_seconds: float
    evaluation_seconds: float | None
    processes: int
    precision: str
    weights: str | None


def as_result(
    status: Status, seed: int, summaries: Mapping[str, Summary], work: Work, error: str | None
) -> JobResult:
    """Returns the result of a training, as of a single one.

    Args:
        status: how it ended; only a completed training has an objective.
        seed: of the training.
        summaries: of the episodes that count, by the name of their number.
        work: what it did.
        error: that ended it, if any.
    """
    reward, length, success = (summaries.get(name) for name in MEASURED)
    others = {name: other for name, other in summaries.items() if name not in MEASURED}
    seconds = work.training_seconds
    return JobResult(
        permutation=0,
        repetition=0,
        seed=seed,
        status=status,
        objective=reward.mean if reward and status == COMPLETED else None,
        reward_mean=reward.mean if reward else None,
        reward_std=reward.std if reward else None,
        length_mean=length.mean if length else None,
        success_mean=success.mean if success else None,
        statistics={f"{name}_mean": other.mean for name, other in others.items()},
        updates=work.updates,
        env_steps=work.env_steps,
        wall_seconds=work.wall_seconds,
        steps_per_second=work.env_steps / seconds if seconds else None,
        error=error,
        evaluation_seconds=work.evaluation_seconds,
        threads=torch.get_num_threads(),
        processes=work.processes,
        precision=work.precision,
        weights=work.weights,
    )
