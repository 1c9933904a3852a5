"""Errors that a user can cause, each with a sentence that explains it.

Every mistake of a user raises a :class:`NeroRLError`. The entry points print its text,
without a traceback, and leave with exit status 2.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class NeroRLError(Exception):
    """Base of all errors that a user's input can cause."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one key.

    Attributes:
        path: dotted path of the key, e.g. ``trainer.gamma``; empty for the whole document.
        message: what is wrong, what is allowed, and if possible what was meant.
        where: ``FILE:LINE`` of the key, empty when unknown.
    """

    path: str
    message: str
    where: str = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.path, self.message) if part)


class ConfigError(NeroRLError):
    """A configuration, tuning file or override that cannot work.

    Args:
        problems: all of them, not only the first.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)  # errors cross process boundaries


class FailedError(Exception):
    """A command failed after it had begun: exit status 1, and no second traceback."""


class UsageError(NeroRLError):
    """A flag or an argument of the command line that cannot be used."""


class OutputError(NeroRLError):
    """An output directory that cannot be used, or holds something else."""


class RecordError(NeroRLError):
    """A record of a job or a sweep that is not whole."""


class CheckpointError(NeroRLError):
    """A checkpoint that cannot be loaded."""


class ObservationError(NeroRLError):
    """An observation of other shapes than a policy was trained with."""


class TransientError(Exception):
    """A fault of the machine or of an environment's process, not of the config.

    Examples are a port that was taken and an environment that did not answer in time. A sweep
    tries such a job again, up to ``hydra.sweeper.max_retries`` times.
    """


class EnvironmentTimeoutError(TransientError):
    """An environment's process did not start, or did not answer, in time."""


class EnvironmentCrashError(TransientError):
    """An environment's process ended by itself."""


class JobFailedError(Exception):
    """A job ended with something that is no ``Exception``, which launchers would not survive."""


class JobKilledError(TransientError):
    """A signal that the sweep did not send ended a job."""


class Interrupted(KeyboardInterrupt):
    """A signal asked this process to end; its name is the text.

    A plain ``KeyboardInterrupt`` within a job is what the job's own code raised, for instance an
    environment whose window was closed.
    """


class PortError(TransientError):
    """No network port is free, or a leased one was taken."""


class BrokenEnvironmentError(Exception):
    """An environment returned values outside its own spaces, or numbers that are not finite.

    The input was checked and is not at fault; the training fails.
    """


class Diverged(Exception):
    """The loss, the weights or the actions of a training became infinite or NaN."""


def described(error: BaseException) -> str:
    """Returns the name of an error's type, and its text if it has any.

    >>> described(ValueError("no such thing")), described(KeyboardInterrupt())
    ('ValueError: no such thing', 'KeyboardInterrupt')
    """
    return ": ".join(filter(None, [type(error).__name__, str(error)]))
