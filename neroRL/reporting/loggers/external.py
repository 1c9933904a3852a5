"""Passes the statistics of a job on to the loggers of its config, none of which can fail it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neroRL.errors import described
from neroRL.files import write_text
from neroRL.reporting.loggers.interface import Course, Description, OpenRun, Run
from neroRL.reporting.tensorboard import ENV_STEPS, Summaries

FILE = "{name}.run.json"

logger = logging.getLogger("neroRL.loggers")


def _wandb() -> OpenRun:
    from neroRL.reporting.loggers.weights_and_biases import WandbRun

    return WandbRun


def _mlflow() -> OpenRun:
    from neroRL.reporting.loggers.mlflow_tracking import MlflowRun

    return MlflowRun


LOGGERS: Mapping[str, Callable[[], OpenRun]] = {"wandb": _wandb, "mlflow": _mlflow}
"""Imports and returns what opens a run, by the logger's name in the config."""


@dataclass(frozen=True)
class _Known:
    """The run of a job so far.

    Attributes:
        id: of the run.
        fingerprint: of the config that it shows.
        update: the last one recorded.
        branch: names the checkpoint that it branched from, if it did.
    """

    id: str
    fingerprint: str
    update: int
    branch: str | None = None

    def is_of(self, course: Course, update: int) -> bool:
        """Returns whether all updates that it has are of a training that goes on after one."""
        if course.branch is None:
            is_same = self.fingerprint in (course.fingerprint, course.before)
            return is_same and self.update <= course.updates
        if (self.fingerprint, self.branch) == (course.fingerprint, course.branch):
            return True
        return self.fingerprint == course.before and self.update <= update


class ExternalLogger:
    """A job's run at one logger.

    The first error is a warning, and the run is told nothing more but the job's end. Which run the
    job has and what that run has been told stays in the job's directory, so a job that goes on goes
    on in its run. Updates that a crash made it train twice are told once.

    Args:
        name: of the logger.
        job: described for it.
        course: of its training.
    """

    def __init__(self, name: str, job: Description, course: Course) -> None:
        self._name = name
        self._job = job
        self._course = course
        self._branch = course.branch
        self._path = job.directory / FILE.format(name=name)
        self._run: Run | None = None
        self._told = 0
        self._has_failed = False

    def begin(self, update: int) -> None:
        """Opens the run of the job, or a new one if that has updates of another training."""

        def open_run() -> None:
            known = _read(self._path)
            if known is not None and not known.is_of(self._course, update):
                known = None
            if known is not None:
                self._told, self._branch = known.update, self._branch or known.branch
            self._run = LOGGERS[self._name]()(self._job, known.id if known else None)
            self._remember()

        self._try(open_run)

    def scalars(self, update: int, env_steps: int, values: Mapping[str, float]) -> None:
        """Records the values of an update, unless the run has that update."""
        run = self._run
        if run is None or self._has_failed or update <= self._told:
            return

        def log() -> None:
            run.log(update, {**values, ENV_STEPS: float(env_steps)})
            self._told = update
            self._remember()

        self._try(log)

    def close(self, *, success: bool | None = True) -> None:
        """Records how the job ended; None if it will continue."""
        run = self._run
        if run is not None:
            self._try(lambda: run.close(success))

    def _remember(self) -> None:
        assert self._run is not None
        known = _Known(self._run.id, self._course.fingerprint, self._told, self._branch)
        write_text(self._path, json.dumps(vars(known)), durable=False)

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # whatever it is, the training does not depend on it
            if self._has_failed:  # this is the end of a run that failed before
                return
            self._has_failed = True
            message = "%s gets nothing more of this job, which trains on: %s"
            logger.warning(message, self._name, described(error))


class Sinks:
    """Passes everything on to TensorBoard and to the loggers of the config.

    Args:
        summaries: of the job.
        loggers: one for each logger of its config.
    """

    def __init__(self, summaries: Summaries, loggers: Sequence[ExternalLogger]) -> None:
        self._summaries = summaries
        self._all: Sequence[Summaries | ExternalLogger] = [summaries, *loggers]

    def begin(self, update: int) -> None:
        """Starts after an update."""
        for sink in self._all:
            sink.begin(update)

    def scalars(self, update: int, env_steps: int, values: Mapping[str, float]) -> None:
        """Records the statistics of an update."""
        for sink in self._all:
            sink.scalars(update, env_steps, values)

    def flush(self) -> None:
        """Returns once the event file has everything; loggers have their own processes or files."""
        self._summaries.flush()

    def close(self, *, success: bool | None = True) -> None:
        """Records how the job ended; None if it will continue."""
        for sink in self._all:
            sink.close(success=success)


def _read(path: Path) -> _Known | None:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return _Known(**content)
    except (OSError, ValueError, TypeError):
        return None
