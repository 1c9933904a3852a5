"""The progress of a training, in a small file in its job's directory.

A file works wherever the job runs: in this process, in another, or on a cluster.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from dataclasses import asdict, dataclass, replace
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
        resume_at: number that the config has updates begin with.
        earlier: updates done before this run of the job; None while that is not known.

    >>> halfway = JobProgress(150, 200, 0, 0.0, None, resume_at=100, earlier=120)
    >>> halfway.share, halfway.share_before
    (0.5, 0.2)
    """

    update: int
    updates: int
    env_steps: int
    steps_per_second: float
    reward_mean: float | None
    resume_at: int = 0
    earlier: int | None = None

    @property
    def share(self) -> float:
        """The part of the job that is done, between 0 and 1."""
        return self._share_at(self.update)

    @property
    def share_before(self) -> float | None:
        """The part that was done before this run; None while that is not known."""
        return None if self.earlier is None else self._share_at(self.earlier)

    def _share_at(self, update: int) -> float:
        planned = self.updates - self.resume_at
        return max(update - self.resume_at, 0) / planned if planned > 0 else 0.0


class ProgressFile:
    """Writes the progress of one job, at most as often as a person can read.

    Args:
        directory: of the job.
        updates: to do.
        resume_at: number that they begin with.

    Attributes:
        last: the latest progress, written or not.
        seconds_before: duration of the job's earlier runs.
    """

    def __init__(self, directory: Path, updates: int, resume_at: int = 0) -> None:
        self.last = JobProgress(resume_at, updates, 0, 0.0, None, resume_at)
        self.seconds_before = 0.0
        self._path = directory / PROGRESS_FILE
        self._written = -math.inf
        self._began = time.time()

    def begin(self) -> None:
        """Writes the file when the job begins; a killed job leaves it behind."""
        self.write(self.last)
        self._written = -math.inf  # what comes next is written at once

    def go_on(self, update: int, env_steps: int, seconds: float) -> None:
        """Tells what earlier runs of the job have done.

        Args:
            update: updates.
            env_steps: environment steps.
            seconds: duration of those runs.
        """
        self.seconds_before = seconds
        self.last = replace(self.last, update=update, env_steps=env_steps, earlier=update)
        self.begin()

    def write(self, progress: JobProgress) -> None:
        """Writes the progress of the job."""
        before = self.last
        self.last = replace(progress, resume_at=before.resume_at, earlier=before.earlier)
        now = time.monotonic()
        if now - self._written < SECONDS_BETWEEN:
            return
        self._written = now
        with contextlib.suppress(OSError):  # a missing display must not fail a training
            # As if all runs of the job had been one.
            content = {"began": self._began - self.seconds_before, **asdict(self.last)}
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
    >>> ProgressFile(job, updates=200).begin()
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
