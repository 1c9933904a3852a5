"""Reads a sweep from its files: the one view that tables, reports and evaluations share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from neroRL.errors import OutputError, RecordError
from neroRL.records.results import JobResult, load_result
from neroRL.records.sweep_record import RECORD_FILE, SweepRecord, read_record

# Exists while the permutations of a sweep are renumbered.
RENUMBERING_FILE = ".extension.json"
CONFIRMATION = "confirmation"


@dataclass(frozen=True)
class RecordedSweep:
    """A sweep, running, unfinished, or done.

    Attributes:
        directory: of the sweep.
        record: of the sweep.
        results: of the jobs that ended, by repetition, then in the order of the grid.
        damaged: a message for each result that cannot be read or is in the wrong directory;
            ``results`` leaves these out.
        confirmation: of the best permutations, on other seeds; None if there is none.
    """

    directory: Path
    record: SweepRecord
    results: list[JobResult]
    damaged: list[str]
    confirmation: RecordedSweep | None = None

    @property
    def has_jobs_left(self) -> bool:
        """Whether some job of the sweep or of its confirmation has not ended."""
        below = self.confirmation is not None and self.confirmation.has_jobs_left
        return len(self.results) < self.record.jobs or below

    @property
    def jobs_a_lap(self) -> int:
        """Counts the jobs in each repetition of the grid."""
        return self.record.jobs // max(self.record.repetitions, 1)


def read_sweep(directory: Path | str) -> RecordedSweep:
    """Reads a sweep from its files; writes nothing.

    Args:
        directory: of the sweep, which may have been moved or copied there.

    Raises:
        OutputError: there is no sweep, or its permutations are being renumbered.
        RecordError: its ``sweep.yaml`` is damaged.

    >>> from tempfile import mkdtemp
    >>> directory = Path(mkdtemp())
    >>> axes = {"trainer.gamma": [0.9, 0.99]}
    >>> record = SweepRecord({}, axes, seed=1, tune=None, repetitions=1, permutations=2, jobs=2)
    >>> record.write(directory)
    >>> (directory / "1/0").mkdir(parents=True)
    >>> result = JobResult(1, 0, seed=1, status="completed", objective=0.5, directory="1/0")
    >>> result.write(directory / "1/0")
    >>> sweep = read_sweep(directory)
    >>> [(result.permutation, result.objective) for result in sweep.results]
    [(1, 0.5)]
    """
    directory = Path(directory)
    record = read_record(directory)
    if record is None:
        raise OutputError(_no_sweep(directory))
    if (directory / RENUMBERING_FILE).exists():
        message = "is being extended, or was interrupted in it: run its command again to finish"
        raise OutputError(f"{directory} {message}")
    results, damaged = [], []
    for permutation, repetition in jobs_in(directory):
        job = directory / f"{permutation}/{repetition}"
        try:
            result = load_result(job)
        except (FileNotFoundError, NotADirectoryError):  # it has not ended
            continue
        except RecordError as error:
            damaged.append(str(error))
            continue
        if permutation >= record.permutations or repetition >= record.repetitions:
            damaged.append(f"{job} is no job of this sweep")
        elif (result.permutation, result.repetition) != (permutation, repetition):
            of = f"permutation {result.permutation}, repetition {result.repetition}"
            damaged.append(f"{job} holds the result of another job: {of}")
        else:
            results.append(result)
    below = confirmation_of(directory)
    confirmation = read_sweep(below) if (below / RECORD_FILE).is_file() else None
    return RecordedSweep(directory, record, results, damaged, confirmation)


def confirmation_of(sweep: Path) -> Path:
    """Returns the directory of a sweep's confirmation, which holds what a sweep's does."""
    return sweep / CONFIRMATION


def permutations_with_jobs(directory: Path) -> list[int]:
    """Returns the numbers of the permutations that have a directory, ascending."""
    return sorted(_numbers(directory)) if directory.is_dir() else []


def jobs_in(directory: Path) -> list[tuple[int, int]]:
    """Returns permutation and repetition of each job's directory, in the order of the sweep."""
    found = [
        (permutation, repetition)
        for permutation in _numbers(directory)
        for repetition in _numbers(directory / str(permutation))
    ]
    return sorted(found, key=lambda job: (job[1], job[0]))


def _numbers(directory: Path) -> Iterator[int]:
    """Yields the numbers of the directories that are named by one."""
    with os.scandir(directory) as entries:
        for entry in entries:
            name = entry.name
            if name.isdecimal() and name == str(int(name)) and entry.is_dir():
                yield int(name)


def _no_sweep(directory: Path) -> str:
    if not directory.is_dir():
        return f"{directory} ({directory.absolute()}) is no directory"
    below = sorted(path.parent for path in directory.glob(f"*/{RECORD_FILE}"))
    hint = f"; did you mean {' or '.join(map(str, below[:3]))}?" if below else ""
    return f"{directory} is no sweep: it has no {RECORD_FILE}{hint}"
