"""Takes up a sweep in its directory: makes the changes that a command asks for, and records it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from neroRL.errors import ConfigError, OutputError, Problem
from neroRL.files import make_directory, remove_leftovers, write_bytes
from neroRL.locks import LOCK_FILE, held
from neroRL.records.sweep_record import RECORD_FILE, SweepRecord, read_record
from neroRL.records.sweeps import (
    DROPPED,
    confirmation_of,
    directory_of,
    permutations_with_jobs,
    read_confirmation,
)
from neroRL.sweep import changing, confirmation, extension, ledger
from neroRL.sweep.continuing import set_jobs_aside
from neroRL.sweep.extension import Move
from neroRL.sweep.jobs import JobPlan
from neroRL.sweep.plan import SweepPlan
from neroRL.texts import counted


@contextlib.contextmanager
def opened(plan: SweepPlan, config: DictConfig) -> Iterator[tuple[SweepRecord, JobPlan]]:
    """Makes a sweep's directory, or takes up what it holds; no other command may meanwhile.

    Args:
        plan: of the sweep.
        config: Hydra's composed master config, which is kept there.

    Yields:
        The record of the sweep, and its jobs.

    Raises:
        OutputError: the directory holds something else, or another sweep; nothing was changed.
        ConfigError: the options cannot work with what the directory holds; nothing was changed.
    """
    directory = plan.directory
    ledger.check_directory(directory)
    confirmation.check(plan)
    _finish_change(plan)
    earlier = read_record(directory)
    record = ledger.record_of(plan, earlier)
    known = permutations_with_jobs(directory)
    moves = _moves(plan, earlier, record)
    if moves:
        record = replace(record, dropped={one.new: one.values for one in moves if one.new < 0})
    jobs = plan.jobs_of(record)
    _tell_of_repetitions(plan, earlier)
    make_directory(directory)
    with held(directory, "sweep"):
        if read_record(directory) != earlier:
            message = "another command has changed the sweep meanwhile; run this one again"
            raise OutputError(f"{directory}: {message}")
        remove_leftovers(directory)
        again = plan.options.only or () if plan.options.rerun else ()
        _refuse_running(directory, again)
        if earlier is not None and record.edition != earlier.edition:
            _begin_edition(plan, earlier, record, moves, known)
        record.write(directory)
        if earlier is not None and record.id != earlier.id:
            told = "is a copy of the sweep beside it, and a sweep of its own from now on"
            print(f"{directory} {told}", file=sys.stderr)
        OmegaConf.save(config, directory / "multirun.yaml")
        set_jobs_aside(directory, again, plan.options.num_repetitions)
        yield record, jobs


def _finish_change(plan: SweepPlan) -> None:
    """Finishes a change of the sweep that was interrupted."""
    places = [plan.directory, confirmation_of(plan.directory)]
    if any(map(extension.is_unfinished, places)):
        with held(plan.directory, "sweep"):
            for place in places:
                extension.finish(place)


def _tell_of_repetitions(plan: SweepPlan, earlier: SweepRecord | None) -> None:
    """Warns that further repetitions of some permutations do not count alone."""
    before, asked = earlier.repetitions if earlier else 1, plan.options.num_repetitions
    if asked > before and not all(map(plan.is_asked_for, plan.findings.valid)):
        print(
            f"warning: repetitions from {before} on count in the ranking once all permutations "
            "have trained them; hydra.sweeper.confirm repeats the best alone, on fresh seeds",
            file=sys.stderr,
        )


def _moves(plan: SweepPlan, earlier: SweepRecord | None, record: SweepRecord) -> list[Move]:
    """Returns the new places of what was trained, if the sweep changes.

    Raises:
        OutputError: it is another sweep, or cannot be changed this way.
        ConfigError: some permutations alone cannot get more updates.
    """
    if earlier is None:
        return []
    extend = plan.options.extend
    longer = extend and ledger.is_longer(earlier, record)
    ledger.refuse_other_sweep(plan.directory, earlier, record, extend=extend)
    if not (longer or ledger.is_renamed(earlier, record)):
        return []
    if longer and plan.options.only is not None:
        message = "would leave the other permutations with fewer updates; leave it out"
        raise ConfigError([Problem("hydra.sweeper.only", message)])
    return changing.moves(plan, earlier, record, longer=longer)


def _begin_edition(
    plan: SweepPlan,
    earlier: SweepRecord,
    record: SweepRecord,
    moves: Sequence[Move],
    known: Sequence[int],
) -> None:
    """Changes what the jobs of a sweep are; those that a launcher still has queued will not train.

    Args:
        plan: of the sweep.
        earlier: its record so far.
        record: its record from now on.
        moves: the new places of what was trained.
        known: numbers of the permutations that had a directory when the moves were planned.

    Raises:
        OutputError: a job that would move is running; nothing was changed.
    """
    directory = plan.directory
    is_renamed = ledger.is_renamed(earlier, record)
    if is_renamed:
        _refuse_running_or_begun(directory, known)
    with _announced(directory, record.edition):
        if is_renamed:  # a job may have begun before it could know
            _refuse_running_or_begun(directory, known)
    if moves and is_renamed:
        _renumber(plan, moves, record)


@contextlib.contextmanager
def _announced(directory: Path, edition: int) -> Iterator[None]:
    """Begins an edition of a sweep and of its confirmation, unless the block refuses it.

    A queued job reads the edition once it has its lock. So after this, each job either holds its
    lock or knows that it is outdated.
    """
    before = {}
    records = {
        directory: read_record(directory),
        confirmation_of(directory): read_confirmation(directory),
    }
    for place, record in records.items():
        if record is not None:
            before[place / RECORD_FILE] = (place / RECORD_FILE).read_bytes()
            replace(record, edition=edition).write(place)
    try:
        yield
    except BaseException:
        for path, content in before.items():
            write_bytes(path, content)
        raise


def _refuse_running_or_begun(directory: Path, known: Sequence[int]) -> None:
    """Refuses to move jobs of a sweep and of its confirmation while some run.

    Args:
        directory: of the sweep.
        known: numbers of the permutations that have a directory, as far as the moves know.

    Raises:
        OutputError: another process trains a job, or has begun one meanwhile.
    """
    for place in (directory, confirmation_of(directory)):
        _refuse_running(place, permutations_with_jobs(place))
    if permutations_with_jobs(directory) != known:
        raise OutputError(f"{directory}: a job has begun meanwhile; run this command again")


def _refuse_running(sweep: Path, permutations: Iterable[int]) -> None:
    """Refuses to move jobs that still run: those of a launcher may outlive their command.

    Raises:
        OutputError: another process trains one; it names that process.
    """
    for permutation in permutations:
        for lock in (sweep / directory_of(permutation)).glob(f"*/{LOCK_FILE}"):
            with held(lock.parent, "training"):
                pass


def _renumber(plan: SweepPlan, moves: Sequence[Move], record: SweepRecord) -> None:
    """Moves what was trained to its new places."""
    confirmed, below = read_confirmation(plan.directory), None
    if confirmed is not None:
        place = confirmation_of(plan.directory)
        # By a run of an earlier version that was interrupted here.
        is_done = ledger.is_same_space(confirmed, record)
        there = [replace(one, old=one.new) for one in moves] if is_done else moves
        extended = confirmation.extended(confirmed, record, place, there)
        if ledger.is_renamed(confirmed, extended):
            below = there, extended
    extension.renumber(plan.directory, moves, record, below)
    gone = sum(move.new < 0 <= move.old for move in moves)
    if gone:
        told = f"{counted(gone, 'permutation')}, kept in {DROPPED}/"
        print(f"no part of the sweep any more: {told}", file=sys.stderr)
