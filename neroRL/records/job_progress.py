"""The progress of a training, in a small file in its job's directory.

A file works wherever the job runs: in this process, in another, or on a cluster.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from neroRL.files import write_text

PROGRESS_FILE = ".progress.json"
SECONDS_BETWEEN = 0.5


@dataclass(frozen=True)
class JobProgress:
    """The progress of a training.

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


class ProgressFile:
    """Writes the progress of one job, at most as often as a person can read.

    Args:
        directory: of the job.

    Attributes:
        last: the latest progress, written or not.
        seconds_before: duration of the job's earlier runs.
    """

    def __init__(self, directory: Path) -> None:
        self.last = JobProgress(0, 0, 0, 0.0, None)
        self.seconds_before = 0.0
        self._path = directory / PROGRESS_FILE
        self._written = -math.inf
        self._began = time.time()

    def begin(
        self, updates: int, update: int = 0, env_steps: int = 0, seconds: float = 0.0
    ) -> None:
        """Writes the file when the job begins; a killed job leaves it behind.

        Args:
            updates: to do.
            update: updates done in earlier runs.
            env_steps: environment steps done in them.
            seconds: duration of them.
        """
        self.seconds_before = seconds
        self.write(JobProgress(update, updates, env_steps, 0.0, None))
        self._written = -math.inf

    def write(self, progress: JobProgress) -> None:
        """Writes the progress of the job."""
        self.last = progress
        now = time.monotonic()
        if now - self._written < SECONDS_BETWEEN:
            return
        self._written = now
        with contextlib.suppress(OSError):  # a missing display must not fail a training
            # As if all runs of the job had been one.
            content = {"began": self._began - self.seconds_before, **asdict(progress)}
            write_text(self._path, json.dumps(content), durable=False)

    def leave(self) -> None:
        """Leaves the file behind, as a killed job does, with the current time."""
        with contextlib.suppress(OSError):
            os.utime(self._path)

    def remove(self) -> None:
        """Removes the file when the job has ended."""
        self._path.unlink(missing_ok=True)


def read_progress(directory: Path) -> JobProgress | None:
    """Returns the progress of a job; None if it has not begun or has ended.

    >>> from tempfile import mkdtemp
    >>> job = Path(mkdtemp())
    >>> ProgressFile(job).begin(updates=200)
    >>> read_progress(job).updates
    200
    """
    try:
        content = json.loads((directory / PROGRESS_FILE).read_text(encoding="utf-8"))
        return JobProgress(**{key: content[key] for key in content if key != "began"})
    except (OSError, ValueError, TypeError):
        return None


def seconds_worked(directory: Path, until: float | None = None) -> float:
    """Returns the seconds that a job worked whose process has ended, over all of its runs.

    Args:
        directory: of the job.
        until: time of its end in seconds since 1970; None for its last report of progress.
    """
    path = directory / PROGRESS_FILE
    try:
        began = float(json.loads(path.read_text(encoding="utf-8"))["began"])
        return max((path.stat().st_mtime if until is None else until) - began, 0.0)
    except (OSError, ValueError, TypeError, KeyError):
        return 0.0
