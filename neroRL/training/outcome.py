"""What a training tells: statistics while it runs, and what it came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


class SummarySink(Protocol):
    """Takes the statistics of each update."""

    def begin(self, update: int) -> None:
        """Training goes on after this update; what was recorded beyond it does not count."""

    def scalars(self, update: int, env_steps: int, values: Mapping[str, float]) -> None:
        """Records the values of an update, counted from 1."""

    def flush(self) -> None:
        """Returns when what was recorded survives the end of this process."""


@dataclass(frozen=True)
class Progress:
    """Where a training stands.

    Attributes:
        update: updates done.
        updates: updates to do.
        env_steps: environment steps done.
        steps_per_second: environment steps over the time of rollout and optimisation.
        reward_mean: of the last 100 episodes; None before the first ended.
    """

    update: int
    updates: int
    env_steps: int
    steps_per_second: float
    reward_mean: float | None


@dataclass(frozen=True)
class Outcome:
    """What a training came to; fields as in :class:`neroRL.records.results.JobResult`."""

    status: str
    objective: float | None
    reward_mean: float | None
    reward_std: float | None
    length_mean: float | None
    success_mean: float | None
    statistics: Mapping[str, float]
    updates: int
    env_steps: int
    wall_seconds: float
    steps_per_second: float | None
    error: str | None
    seed: int
    threads: int
