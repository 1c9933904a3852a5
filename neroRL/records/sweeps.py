"""Reads a sweep from its files: the one view that tables, reports and evaluations share."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from neroRL.config.documents import read_document
from neroRL.errors import ConfigError, OutputError, RecordError
from neroRL.files import numbered_directories, reason_of
from neroRL.records.other_sweeps import CONFIG, OtherSweep, read_other_sweep
from neroRL.records.results import COMPLETED, STOPPED, JobResult, load_result, read_result
from neroRL.records.sweep_record import RECORD_FILE, SweepRecord, read_record

# Exists while the permutations of a sweep are renumbered.
RENUMBERING_FILE = ".extension.json"
CONFIRMATION = "confirmation"
# Holds the permutations that were trained and are no part of the sweep any more.
DROPPED = "dropped"


@dataclass(frozen=True)
class RecordedSweep:
    """A sweep, running, unfinished, or done.

    Attributes:
        directory: of the sweep.
        record: of the sweep.
        results: of the jobs that ended, by repetition, then in the order of the grid.
        damaged: a message for each result that cannot be read or is in the wrong directory, and
            one for those of trainings with fewer updates than the sweep has by now; ``results``
            leaves these out.
        dropped: results of permutations that are no part of the sweep any more.
        confirmation: of the best permutations, on other seeds; None if there is none.
        sweeper: the other sweeper of Hydra that ran it; empty for neroRL's own. How many jobs that
            one will have is not known: ``record`` counts those that have begun.
        has_ended: whether no further job of another sweeper will begin.
    """

    directory: Path
    record: SweepRecord
    results: list[JobResult]
    damaged: list[str]
    confirmation: RecordedSweep | None = None
    dropped: Sequence[JobResult] = ()
    sweeper: str = ""
    has_ended: bool = False

    @property
    def is_racing(self) -> bool:
        """Whether the race of the sweep still has a decision to make."""
        return bool(self.record.race) and not self.record.race_is_over

    @property
    def has_jobs_left(self) -> bool:
        """Whether some job of the sweep or of its confirmation may not have ended.

        A confirmation that the sweep asks for and that has not begun counts, too.
        """
        if self.sweeper:
            return not self.has_ended
        if self.is_racing or self.jobs_left or self.let_go:
            return True
        completed = (job for job in self.results if job.status == COMPLETED)
        best = {job.permutation for job in completed if job.objective is not None}
        asked = min(self.record.confirm, len(best)) * self.record.confirm_repetitions
        if self.confirmation is None:
            return asked > 0
        if self.confirmation.record.jobs < asked:
            return True
        # One that the last command did not ask for goes no further.
        return self.record.confirm > 0 and self.confirmation.has_jobs_left

    @property
    def jobs_left(self) -> int:
        """Counts the jobs that have no result that counts, of those that are known."""
        return max(self.record.jobs - len(self.results), 0)

    @property
    def let_go(self) -> int:
        """Counts the jobs that a race has stopped, if the sweep goes on without the race."""
        return 0 if self.record.race else sum(one.status == STOPPED for one in self.results)

    def warnings(self) -> list[str]:
        """Returns what is wrong with results of the sweep and of its confirmation."""
        below = self.confirmation.damaged if self.confirmation is not None else []
        return [*self.damaged, *below]

    @property
    def jobs_a_lap(self) -> int:
        """Counts the jobs in each repetition of the grid."""
        return self.record.jobs // max(self.record.repetitions, 1)

    def jobs(self) -> list[tuple[int, int]]:
        """Returns permutation and repetition of each job's directory, in the order of the sweep."""
        if self.sweeper:
            return [(number, 0) for number in permutations_with_jobs(self.directory)]
        return jobs_in(self.directory)

    def job_directory(self, permutation: int, repetition: int) -> Path:
        """Returns the directory of a job; another sweeper's is named by its number alone."""
        name = f"{permutation}" if self.sweeper else f"{permutation}/{repetition}"
        return self.directory / name


def read_sweep(directory: Path | str) -> RecordedSweep:
    """Reads a sweep from its files, one of another sweeper of Hydra's, too; writes nothing.

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
        other = read_other_sweep(directory) if directory.is_dir() else None
        if other is None:
            raise OutputError(_no_sweep(directory))
        return _of_other_sweeper(directory, other)
    confirmed, confirmation = read_confirmation(directory), None
    if confirmed is not None:
        confirmation = _of_ours(confirmation_of(directory), confirmed, record.updates)
    found = _of_ours(directory, record, record.updates)
    return replace(found, confirmation=confirmation, dropped=dropped_results(directory))


def _of_ours(directory: Path, record: SweepRecord, updates: int | None) -> RecordedSweep:
    """Reads a sweep of neroRL's own sweeper, or a confirmation.

    Args:
        directory: of it.
        record: of it.
        updates: of its trainings by now; None where they may differ.
    """
    if (directory / RENUMBERING_FILE).exists():
        message = "is being extended, or was interrupted in it: run its command again to finish"
        raise OutputError(f"{directory} {message}")
    jobs = [(*job, directory / "/".join(map(str, job))) for job in jobs_in(directory)]
    results, damaged = _results(jobs, record)
    found = RecordedSweep(directory, record, results, damaged)
    return found if updates is None else _of_length(found, updates)


def _of_other_sweeper(directory: Path, other: OtherSweep) -> RecordedSweep:
    jobs = [(number, 0, directory / str(number)) for number in other.values]
    found, damaged = _results(
        jobs, replace(other.record, permutations=max(other.values, default=0) + 1)
    )
    results = [
        replace(one, overrides=other.values[one.permutation], directory=str(one.permutation))
        for one in found
    ]
    return RecordedSweep(
        directory,
        other.record,
        results,
        [*other.damaged, *damaged],
        sweeper=other.sweeper,
        has_ended=other.has_ended,
    )


def _results(
    jobs: Iterable[tuple[int, int, Path]], record: SweepRecord
) -> tuple[list[JobResult], list[str]]:
    """Reads the results of jobs, and says what is wrong with those that it leaves out."""
    results, damaged = [], []
    for permutation, repetition, job in jobs:
        try:
            result = load_result(job)
        except (FileNotFoundError, NotADirectoryError):  # it has not ended
            continue
        except RecordError as error:
            damaged.append(str(error))
            continue
        except PermissionError as error:
            damaged.append(f"{error.filename} cannot be read: {reason_of(error)}")
            continue
        if permutation >= record.permutations or repetition >= record.repetitions:
            damaged.append(f"{job} is no job of this sweep")
        elif (result.permutation, result.repetition) != (permutation, repetition):
            of = f"permutation {result.permutation}, repetition {result.repetition}"
            damaged.append(f"{job} holds the result of another job: {of}")
        else:
            results.append(result)
    return results, damaged


def _of_length(sweep: RecordedSweep, updates: int) -> RecordedSweep:
    """Leaves out results of trainings that had fewer updates before the sweep got more.

    Args:
        sweep: with all results.
        updates: of its trainings by now.
    """
    lengths: dict[int, JobResult] = {}
    for one in sweep.results:
        if one.status in (COMPLETED, STOPPED) and one.whole_updates < updates:
            lengths.setdefault(one.whole_updates, one)
    # All jobs of a sweep have the same number, so one of each tells.
    old = {length for length, one in lengths.items() if _had_updates(sweep, one, length)}
    if not old:
        return sweep
    results = [
        one
        for one in sweep.results
        if one.status not in (COMPLETED, STOPPED) or one.whole_updates not in old
    ]
    few, count = " or ".join(map(str, sorted(old))), len(sweep.results) - len(results)
    told = "1 result has" if count == 1 else f"{count} results have"
    message = (
        f"{sweep.directory}: {told} {few} updates, and the sweep has {updates} by now: "
        "these count when they have been trained on"
    )
    return replace(sweep, results=results, damaged=[*sweep.damaged, message])


def _had_updates(sweep: RecordedSweep, result: JobResult, updates: int) -> bool:
    """Returns whether a job's own config had a number of updates."""
    job = sweep.job_directory(result.permutation, result.repetition)
    try:
        trainer = read_document(job / CONFIG).data["trainer"]
    except (ConfigError, KeyError, TypeError):  # the job tells nothing
        return False
    written = trainer.get("updates") if isinstance(trainer, Mapping) else None
    # What an interpolation was in the job, its result tells.
    return written == updates or "${" in str(written)


def directory_of(permutation: int) -> str:
    """Returns the directory of a permutation, relative to its sweep's; dropped ones are below 0."""
    return str(permutation) if permutation >= 0 else f"{DROPPED}/{-permutation}"


def dropped_results(directory: Path) -> list[JobResult]:
    """Returns the results of the permutations that are no part of a sweep any more."""
    below = directory / DROPPED
    return whole_results(below) if below.is_dir() else []


def whole_results(directory: Path) -> list[JobResult]:
    """Returns the results of the jobs below a directory that can be read, in their order."""
    results = (read_result(directory / f"{number}/{lap}") for number, lap in jobs_in(directory))
    return [result for result in results if result is not None]


def confirmation_of(sweep: Path) -> Path:
    """Returns the directory of a sweep's confirmation, which holds what a sweep's does."""
    return sweep / CONFIRMATION


def confirmation_id(sweep_id: str) -> str:
    """Returns the ``id`` of a sweep's confirmation; no other sweep's ends like it."""
    return f"{sweep_id}-{CONFIRMATION}"


def read_confirmation(sweep: Path) -> SweepRecord | None:
    """Returns the record of a sweep's confirmation; None if there is none, or another sweep.

    Raises:
        RecordError: the record is damaged.
    """
    record = read_record(confirmation_of(sweep))
    return record if record is not None and record.id.endswith(confirmation_id("")) else None


def enclosing_sweep(directory: Path) -> Path | None:
    """Returns the sweep that a directory, which need not exist, lies in; None if there is none."""
    for outer in directory.resolve().parents:
        if os.path.isfile(outer / RECORD_FILE):  # noqa: PTH113 - False where nothing may be read
            with contextlib.suppress(RecordError, OSError):  # others have a file of this name, too
                read_record(outer)
                return outer
    return None


def permutations_with_jobs(directory: Path) -> list[int]:
    """Returns the numbers of the permutations that have a directory, ascending."""
    return sorted(numbered_directories(directory)) if directory.is_dir() else []


def jobs_in(directory: Path) -> list[tuple[int, int]]:
    """Returns permutation and repetition of each job's directory, in the order of the sweep.

    A permutation whose directory may not be read has repetition 0, which cannot be read either.
    """
    found = []
    for permutation in numbered_directories(directory):
        try:
            repetitions = list(numbered_directories(directory / str(permutation)))
        except PermissionError:
            repetitions = [0]
        found += [(permutation, repetition) for repetition in repetitions]
    return sorted(found, key=lambda job: (job[1], job[0]))


def _no_sweep(directory: Path) -> str:
    if not directory.is_dir():
        return f"{directory} ({directory.absolute()}) is no directory"
    below = sorted(path.parent for path in directory.glob(f"*/{RECORD_FILE}"))
    hint = f"; did you mean {' or '.join(map(str, below[:3]))}?" if below else ""
    return f"{directory} is no sweep: it has no {RECORD_FILE}{hint}"
