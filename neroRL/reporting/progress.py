"""Displays a running sweep: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from neroRL.ranking.standing import Standing
from neroRL.records.job_progress import JobProgress
from neroRL.records.results import COMPLETED, JobResult, Status
from neroRL.texts import counted, in_one_line, listed

SECONDS_BETWEEN_LINES = 30.0
MOST_JOBS_SHOWN = 8
MOST_STOPPED_SHOWN = 12


@dataclass(frozen=True)
class SweepStatus:
    """The state of a running sweep.

    Attributes:
        total: number of jobs.
        ended: number of jobs with each status, with those of earlier runs of the sweep.
        paused: number of jobs that wait at a rung of a race.
        worked: how much of these is done, in jobs.
        worked_before: what was done before this run of the sweep, in jobs.
        running: progress of the running jobs, by their directory.
        best: the best permutation so far.
        elapsed_seconds: since this run of the sweep began.
    """

    total: int
    ended: Mapping[Status, int]
    paused: int
    worked: float
    worked_before: float
    running: Mapping[str, JobProgress]
    best: Standing | None
    elapsed_seconds: float

    @property
    def done(self) -> int:
        """Number of jobs that ended, earlier runs included."""
        return sum(self.ended.values())

    @property
    def seconds_left(self) -> float | None:
        """The estimated time left, from the speed of this run; None before any progress."""
        begun = sum(job.share for job in self.running.values())
        done = self.done + self.worked + begun
        worked = done - self.worked_before
        left = self.total - done
        return self.elapsed_seconds / worked * left if worked > 0 else None


class ProgressDisplay(Protocol):
    """Shows a running sweep."""

    def start(self, total: int) -> None:
        """Begins to show a sweep of ``total`` jobs."""

    def update(self, status: SweepStatus) -> None:
        """Shows the state of the sweep."""

    def job_finished(self, result: JobResult) -> None:
        """Shows a job that ended."""

    def tell(self, line: str) -> None:
        """Shows a line about the sweep."""

    def stop(self, status: SweepStatus) -> None:
        """Ends the display."""


def make_display(stream: TextIO) -> ProgressDisplay:
    """Returns a bar if the stream is a terminal that can redraw one, else plain lines."""
    return TerminalDisplay(stream) if has_bar(stream) else PlainDisplay(stream)


def has_bar(stream: TextIO) -> bool:
    """Returns whether a bar can be drawn: rich draws none on a dumb terminal."""
    return stream.isatty() and not Console(file=stream).is_dumb_terminal


class TerminalDisplay:
    """A bar with the running jobs and the best permutation below it.

    Args:
        stream: a terminal.
    """

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream)
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[times]}"),
            console=self._console,
        )
        self._task = self._bar.add_task("jobs", total=None, times="")
        self._live = Live(self._bar, console=self._console, refresh_per_second=4)

    def start(self, total: int) -> None:
        """Shows the empty bar."""
        self._bar.update(self._task, total=total)
        self._live.start()

    def update(self, status: SweepStatus) -> None:
        """Moves the bar and rewrites the lines below it."""
        left = status.seconds_left
        times = f"{duration(status.elapsed_seconds)} gone"
        times += f", {duration(left)} left" if left is not None else ""
        self._bar.update(self._task, completed=status.done, times=times)
        lines = running_lines(status)
        lines += [f"{counted(status.paused, 'job')} waiting at a rung"] if status.paused else []
        lines += [best_line(status.best)] if status.best else []
        self._live.update(Group(self._bar, *(Text(line, overflow="ellipsis") for line in lines)))

    def job_finished(self, result: JobResult) -> None:
        """Prints the job above the bar."""
        self.tell(finished_line(result))

    def tell(self, line: str) -> None:
        """Prints a line above the bar."""
        self._live.console.print(line, highlight=False, markup=False)

    def stop(self, status: SweepStatus) -> None:
        """Leaves the bar as it is."""
        self.update(status)
        self._live.stop()


class PlainDisplay:
    """One line for each finished job, and now and then one about the running ones.

    Args:
        stream: a file or a pipe.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last_line = time.monotonic()

    def start(self, total: int) -> None:
        """Prints the number of jobs."""
        self._print(f"sweep of {counted(total, 'job')}")

    def update(self, status: SweepStatus) -> None:
        """Prints the state of the sweep if nothing was printed for a while."""
        if time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
            self._print(status_line(status))

    def job_finished(self, result: JobResult) -> None:
        """Prints the job."""
        self._print(finished_line(result))

    def tell(self, line: str) -> None:
        """Prints a line."""
        self._print(line)

    def stop(self, status: SweepStatus) -> None:
        """Prints the final state of the sweep."""
        self._print(status_line(status))

    def _print(self, line: str) -> None:
        self._last_line = time.monotonic()
        print(line, file=self._stream, flush=True)


def status_line(status: SweepStatus) -> str:
    """Describes the state of a sweep in one line."""
    parts = [f"{status.done}/{status.total} jobs"]
    parts += [
        f"{count} {name}" for name, count in status.ended.items() if count and name != COMPLETED
    ]
    parts += [f"{status.paused} at a rung"] if status.paused else []
    parts.append(f"{duration(status.elapsed_seconds)} gone")
    left = status.seconds_left
    if left and status.done < status.total:
        parts.append(f"{duration(left)} left")
    parts += running_lines(status)
    parts += [best_line(status.best)] if status.best else []
    return " · ".join(parts)


def running_lines(status: SweepStatus) -> list[str]:
    """Describes the first running jobs, one line each."""
    shown = itertools.islice(status.running.items(), MOST_JOBS_SHOWN)
    return [_running_line(directory, job) for directory, job in shown]


def _running_line(directory: str, job: JobProgress) -> str:
    if not job.steps_per_second:
        return f"{directory}: starting"
    reward = "" if job.reward_mean is None else f", reward {job.reward_mean:.3g}"
    speed = f"{job.steps_per_second:,.0f} steps/s"
    return f"{directory}: update {job.update}/{job.updates}, {speed}{reward}"


def best_line(best: Standing) -> str:
    """Describes the best permutation so far in one line."""
    runs = f", {best.runs} runs" if best.runs > 1 else ""
    line = f"best {best.iqm:.3g} in permutation {best.permutation}{runs}"
    return f"{line}: {best.values()}" if best.overrides else line


def finished_line(result: JobResult) -> str:
    """Describes the end of a job in one line."""
    objective = "" if result.objective is None else f", objective {result.objective:.4g}"
    error = f": {in_one_line(result.error)}" if result.error else ""
    seconds = duration(result.wall_seconds)
    status = result.status if result.rung is None else f"at rung {result.rung:g}"
    return f"{result.directory}: {status} in {seconds}{objective}{error}"


def decision_line(rung: float, kept: Sequence[int], out: Sequence[int], saved: int) -> str:
    """Describes who goes on at a rung of a race, in one line.

    Args:
        rung: share of the updates.
        kept: permutations that go on.
        out: those that stop.
        saved: environment steps so far.
    """
    told = listed(out, MOST_STOPPED_SHOWN) or "none"
    of = f"{len(kept)} of {len(kept) + len(out)} permutations go on"
    return f"rung {rung:g}: {of}; out: {told}; {saved:,} steps saved so far"


def duration(seconds: float) -> str:
    """Returns hours, minutes and seconds, as far as they matter."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{whole % 60:02}s" if minutes else f"{whole}s"
