"""Finds checkpoints: of a file, a job's directory, or the best permutation of a sweep."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from neroRL.config.documents import text_of_value
from neroRL.errors import CheckpointError, OutputError
from neroRL.files import reason_of
from neroRL.ranking.ranking import rank
from neroRL.records.checkpoint_files import checkpoints_in, checkpoints_of, update_of
from neroRL.records.results import COMPLETED, JobResult, read_result
from neroRL.records.sweep_record import RECORD_FILE
from neroRL.records.sweeps import RecordedSweep, read_sweep
from neroRL.texts import counted, listed
from neroRL.training import checkpoint as checkpoints

# Jobs that a note names.
MOST_NAMED = 10


@dataclass(frozen=True)
class Chosen:
    """A checkpoint to play with.

    Attributes:
        path: of the file.
        permutation: of the training; 0 for a single one.
        repetition: of the training; 0 for a single one.
        update: after which it was saved; None if its name does not tell.
        notes: what a person should know about the choice.
    """

    path: Path
    permutation: int = 0
    repetition: int = 0
    update: int | None = None
    notes: tuple[str, ...] = ()


@contextlib.contextmanager
def _permitted() -> Iterator[None]:
    """Takes what may not be read for bad input, not for a fault of the machine.

    Raises:
        CheckpointError: a file or a directory may not be read.
    """
    try:
        yield
    except PermissionError as error:
        raise CheckpointError(f"{error.filename} cannot be read: {reason_of(error)}") from None


@_permitted()
def of_path(path: Path) -> Chosen:
    """Chooses a checkpoint.

    Args:
        path: a checkpoint, a job's directory, or a directory of checkpoints. Of a directory, its
            last checkpoint that can be read is chosen.

    Raises:
        CheckpointError: there is none.
    """
    if path.is_dir():
        return _last_whole(checkpoints_below(path))
    if not path.is_file():
        raise CheckpointError(f"{path} ({path.absolute()}) does not exist")
    return _chosen(path)


@_permitted()
def of_sweep(directory: Path, permutation: int | None = None) -> Chosen:
    """Chooses the last checkpoint of a sweep's best permutation.

    Of its repetitions, the one with the best objective is chosen. A fresh set of seeds tells what
    its policy is worth; the objective, by which it was selected, does not.

    Args:
        directory: of the sweep.
        permutation: chosen instead of the best.

    Raises:
        OutputError: there is no sweep, or none of the jobs in question has completed.
        CheckpointError: the job has no checkpoint.
    """
    sweep = read_sweep(directory)
    notes = [f"warning: {message}" for message in sweep.damaged]
    ended, known = len(sweep.results), sweep.record.jobs
    if ended < known:  # of another sweeper, those that have begun are known
        notes.append(f"{ended} of {known} jobs have ended: the best so far")
    elif sweep.is_racing:
        notes.append("the race is not over: the best so far")
    if permutation is None:
        best = rank(sweep.results, sweep.jobs_a_lap).best
        if best is None:
            raise OutputError(f"{directory}: no job of the sweep has completed with an objective")
        permutation = best.standing.permutation
    jobs = _completed(sweep, permutation)
    job = max(jobs, key=lambda result: (_worth(result), -result.repetition))
    described = ", ".join(f"{key}={text_of_value(value)}" for key, value in job.overrides.items())
    notes.append(f"permutation {permutation} ({described}), repetition {job.repetition}")
    found = _last_whole(checkpoints_below(sweep.directory / job.directory))
    return Chosen(found.path, permutation, job.repetition, found.update, (*notes, *found.notes))


@_permitted()
def of_directory(directory: Path) -> tuple[list[Chosen], list[str]]:
    """Lists all checkpoints of a sweep, of a job, or in a directory.

    Args:
        directory: of a sweep, one of another sweeper of Hydra's, too; of a job; or with checkpoints
            in it. Jobs of a sweep need not have ended.

    Returns:
        The checkpoints by permutation, repetition and update, and what a person should know about
        the jobs: which are damaged, left out, or have not ended.

    Raises:
        CheckpointError: there is none.
        OutputError: the permutations of the sweep are being renumbered.
        RecordError: its ``sweep.yaml`` is damaged.
    """
    try:
        sweep = read_sweep(directory)
    except OutputError:
        if (directory / RECORD_FILE).is_file():
            raise
        return checkpoints_below(directory), []
    found: list[Chosen] = []
    without: list[tuple[int, int]] = []
    jobs = _jobs(sweep)
    for permutation, repetition in jobs:
        job = sweep.job_directory(permutation, repetition)
        paths = checkpoints_of(job)
        found += [Chosen(one, permutation, repetition, update_of(one)) for one in paths]
        if not paths:
            without.append((permutation, repetition))
    if not found:
        raise CheckpointError(f"{directory}: no job of the sweep has a checkpoint")
    ended = {(one.permutation, one.repetition) for one in sweep.results}
    begun = [one for one in jobs if one not in ended and one not in without]
    notes = [f"warning: {message}" for message in sweep.damaged]
    if without:
        notes.append(f"left out, without a checkpoint: {_named(sweep, without)}")
    if len(jobs) < sweep.record.jobs:
        notes.append(f"left out, not begun: {counted(sweep.record.jobs - len(jobs), 'job')}")
    if begun:
        notes.append(f"not known to have ended, all checkpoints so far: {_named(sweep, begun)}")
    return found, notes


def _jobs(sweep: RecordedSweep) -> list[tuple[int, int]]:
    """Returns permutation and repetition of the jobs that have a directory, in this order."""
    record = sweep.record
    if sweep.sweeper:  # its record counts jobs, whatever their numbers
        return sorted(sweep.jobs())
    return sorted(
        (permutation, repetition)
        for permutation, repetition in sweep.jobs()
        if permutation < record.permutations and repetition < record.repetitions
    )


def _named(sweep: RecordedSweep, jobs: Sequence[tuple[int, int]]) -> str:
    """Names jobs by their directories; of many, the first."""
    names = [str(sweep.job_directory(*job).relative_to(sweep.directory)) for job in jobs]
    return listed(names, MOST_NAMED)


def checkpoints_below(directory: Path) -> list[Chosen]:
    """Lists the checkpoints of a job, or in a directory, by update.

    Raises:
        CheckpointError: there is none.
    """
    if not directory.is_dir():
        raise CheckpointError(f"{directory} ({directory.absolute()}) is no directory")
    if (directory / RECORD_FILE).is_file():
        raise CheckpointError(f"{directory} is a sweep; give it as --sweep={quote(str(directory))}")
    paths = checkpoints_of(directory) or checkpoints_in(directory)
    if not paths:
        raise CheckpointError(f"{directory} ({directory.absolute()}) has no checkpoints")
    return [_chosen(path) for path in paths]


def _last_whole(found: Sequence[Chosen]) -> Chosen:
    """Returns the last checkpoint that can be read, and notes those that cannot.

    Raises:
        CheckpointError: none can be read.
        OSError, MemoryError: the machine cannot read one now, whatever it holds.
    """
    notes: list[str] = []
    for one in reversed(found):
        try:
            checkpoints.load_candidate(one.path, checkpoints.META)
        except CheckpointError as error:
            notes.append(f"warning: {error}; taking the checkpoint before it")
            continue
        return Chosen(one.path, one.permutation, one.repetition, one.update, tuple(notes))
    raise CheckpointError("; ".join(notes))


def _completed(sweep: RecordedSweep, permutation: int) -> list[JobResult]:
    # Of another sweeper's jobs, some may be missing.
    last = max([job for job, _ in sweep.jobs()], default=0)
    last = last if sweep.sweeper else sweep.record.permutations - 1
    if permutation > last:
        known = f"its permutations are 0 to {last}"
        raise OutputError(f"{sweep.directory} has no permutation {permutation}; {known}")
    jobs = [one for one in sweep.results if one.permutation == permutation]
    done = [one for one in jobs if one.status == COMPLETED]
    if not done:
        message = f"no job of permutation {permutation} has completed"
        raise OutputError(f"{sweep.directory}: {message}")
    return done


def _worth(result: JobResult) -> float:
    return -math.inf if result.objective is None else result.objective


def _chosen(path: Path) -> Chosen:
    result = read_result(path.parent.parent)
    update = update_of(path)
    if result is None:
        return Chosen(path, update=update)
    return Chosen(path, result.permutation, result.repetition, update)
