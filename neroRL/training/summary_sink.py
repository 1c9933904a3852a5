"""The interface to which a training writes its statistics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class SummarySink(Protocol):
    """A receiver of the statistics of each update."""

    def begin(self, update: int) -> None:
        """Starts after this update; drops records of later updates."""

    def scalars(self, update: int, env_steps: int, values: Mapping[str, float]) -> None:
        """Records the values of an update, counted from 1."""

    def flush(self) -> None:
        """Returns once the records would survive the end of this process."""
