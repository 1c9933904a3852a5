"""Shows a single training: a bar on a terminal, plain lines elsewhere, and where its files are."""

from __future__ import annotations

import contextlib
import logging
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from neroRL.records.checkpoint_files import checkpoints_of
from neroRL.records.job_progress import JobProgress, ProgressFile
from neroRL.records.results import FAILED, JobResult, read_result
from neroRL.reporting.progress import SECONDS_BETWEEN_LINES, duration, has_bar
from neroRL.texts import counted

logger = logging.getLogger("neroRL.training")


class ShownProgress(ProgressFile):
    """Writes the progress of a training, and shows it to a person.

    Args:
        directory: of the job.
        updates: to do.
        resume_at: number that they begin with.
        clock: seconds from some start on.
    """

    def __init__(
        self,
        directory: Path,
        updates: int,
        resume_at: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(directory, updates, resume_at)
        self._directory = directory
        self._clock = clock
        self._started = self._last_line = clock()
        self._first: int | None = None
        self._opened = contextlib.ExitStack()
        self._bar: Progress | None = None
        if has_bar(sys.stdout):
            self._bar = self._opened.enter_context(_bar())
            self._task = self._bar.add_task("training", total=None, told="")

    def write(self, progress: JobProgress) -> None:
        """Writes and shows the progress of the job."""
        super().write(progress)
        # A continued training has done some before.
        if self._first is None and progress.update > self.last.resume_at:
            self._first, self._started = progress.update, self._clock()
        told = self._line(progress)
        if self._bar is not None:
            self._bar.update(
                self._task, total=progress.updates, completed=progress.update, told=told
            )
        elif self._clock() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = self._clock()
            logger.info("update %d/%d, %s", progress.update, progress.updates, told)

    def leave(self) -> None:
        """Leaves the file behind; see the base class."""
        self._opened.close()
        super().leave()

    def remove(self) -> None:
        """Removes the file, and tells how the training ended and where its files are."""
        self._opened.close()
        super().remove()
        result = read_result(self._directory)
        if result is not None and result.status != FAILED:
            print("\n".join(ending(result, self._directory)), flush=True)

    def _line(self, progress: JobProgress) -> str:
        if self._first is None:
            return "starting"
        parts = [f"{progress.steps_per_second:,.0f} steps/s"]
        if progress.reward_mean is not None:
            parts.append(f"reward {progress.reward_mean:.3g}")
        done, left = progress.update - self._first, progress.updates - progress.update
        if done > 0 and left > 0:
            parts.append(f"{duration((self._clock() - self._started) / done * left)} left")
        return ", ".join(parts)


def ending(result: JobResult, directory: Path) -> list[str]:
    """Describes how a training ended and where its files are, line by line.

    Args:
        result: of the training.
        directory: of the job.
    """
    reward = "" if result.reward_mean is None else f", reward {result.reward_mean:.4g}"
    seconds = duration(result.wall_seconds)
    error = f": {result.error}" if result.error else ""
    lines = [
        f"{result.status} after {counted(result.updates, 'update')}, "
        f"{counted(result.env_steps, 'step')}, {seconds}{reward}{error}",
        f"directory:   {directory}",
    ]
    found = checkpoints_of(directory)
    if found:
        lines.append(f"checkpoint:  {found[-1]}")
        quoted = shlex.quote(f"--checkpoint={found[-1]}")
        lines.append(f"evaluate it: neval {quoted}")
        lines.append(f"watch it:    nenjoy {quoted}")
    return [*lines, f"curves:      tensorboard --logdir {shlex.quote(str(directory))}"]


@contextlib.contextmanager
def _bar() -> Iterator[Progress]:
    """Yields a bar below everything that is printed or logged meanwhile."""
    console = Console(file=sys.stdout)
    bar = Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[told]}"),
        console=console,
    )
    plain = sys.stdout
    with Live(bar, console=console, refresh_per_second=4):
        handlers = [
            handler
            for handler in logging.getLogger().handlers
            if isinstance(handler, logging.StreamHandler) and handler.stream is plain
        ]
        for handler in handlers:
            handler.setStream(sys.stdout)
        try:
            yield bar
        finally:
            for handler in handlers:
                handler.setStream(plain)
