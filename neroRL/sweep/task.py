"""The task function of a job, as workers and launchers get it."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from typing import Any

from hydra.types import TaskFunction
from omegaconf import DictConfig

import neroRL.records.editions  # noqa: F401, a launcher's process finds its directory by it
from neroRL.errors import Interrupted, JobFailedError, JobKilledError, TransientError, described
from neroRL.sweep.schedule import End
from neroRL.sweep.server import PRELOADED


class SweptTask:
    """A task function whose interruption ends only its own job.

    Launchers return the exceptions of a job, but take its ``KeyboardInterrupt`` for their own: a
    signal to one of joblib's processes would end the sweep.

    Args:
        task: runs a job.
        requeued: whether the launcher restarts jobs that a signal ended.
    """

    def __init__(self, task: TaskFunction, *, requeued: bool = False) -> None:
        self._task = task
        self._requeued = requeued
        self._sweep: int | None = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_sweep": None}  # it goes to another process

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        # Later it would take seconds between the making of a job's directory and its lock.
        importlib.import_module(PRELOADED)

    def __call__(self, config: DictConfig) -> Any:
        """Runs a job.

        Raises:
            Interrupted: a signal ended the job, and the sweep or its launcher must know.
            JobKilledError: a signal ended only this job.
            JobFailedError: the job raised ``KeyboardInterrupt``.
        """
        try:
            return self._task(config)
        except KeyboardInterrupt as error:
            if os.getpid() == self._sweep:
                raise
            if not isinstance(error, Interrupted):
                raise JobFailedError(f"the job raised {described(error)}") from error
            if self._requeued:
                raise
            raise JobKilledError(f"its process was asked to end by {error}") from error


@dataclass(frozen=True)
class Ended:
    """The end of a try of a job, as its worker or its launcher reports it.

    Attributes:
        end: of the try.
        error: that ended it, in one line, if any.
    """

    end: End
    error: str | None = None

    @classmethod
    def with_error(cls, error: BaseException) -> Ended:
        """Returns the end of a try that raised an error."""
        if isinstance(error, JobKilledError):
            return cls(End.INTERRUPTED, str(error))
        end = End.TRANSIENT if isinstance(error, TransientError) else End.FAILED
        return cls(end, " ".join(described(error).split()))
