"""The interface of a logger beside TensorBoard: one run for each job."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class Description:
    """Describes a job to a logger.

    Attributes:
        group: name of the job's sweep; the run-id of a single training.
        name: of the run; shows the swept values and the repetition.
        config: of the job.
        place: permutation and repetition; empty for a single training.
        directory: of the job.
    """

    group: str
    name: str
    config: Mapping[str, Any]
    place: Mapping[str, int]
    directory: Path


@dataclass(frozen=True)
class Course:
    """Tells which training a job is, so that its run has the updates of no other one.

    Attributes:
        fingerprint: of its config and first weights.
        updates: of the whole training.
        before: fingerprint of the training that it goes on with, with more or fewer updates; None
            if it begins anew or with another config.
        branch: names the checkpoint after which it trains otherwise than the training that saved
            it; None if it trains as that one, or begins anew.
    """

    fingerprint: str
    updates: int
    before: str | None = None
    branch: str | None = None


class Run(Protocol):
    """A run that is open. Every method may raise; the caller deals with it."""

    @property
    def id(self) -> str:
        """Names the run, so that a later process can continue it."""

    def log(self, update: int, values: Mapping[str, float]) -> None:
        """Records the values of an update."""

    def close(self, success: bool | None) -> None:
        """Records how the job ended; None if it will continue."""


OpenRun = Callable[[Description, str | None], Run]
"""Opens a run: the one with this id, or a new one for None."""
