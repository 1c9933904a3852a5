"""Takes the statistics of a training while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class SummarySink(Protocol):
    """Takes the statistics of each update."""

    def begin(self, update: int) -> None:
        """Training goes on after this update; what was recorded beyond it does not count."""

    def scalars(self, update: int, env_steps: int, values: Mapping[str, float]) -> None:
        """Records the values of an update, counted from 1."""

    def flush(self) -> None:
        """Returns when what was recorded survives the end of this process."""
