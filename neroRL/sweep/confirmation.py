"""Trains the best permutations of a sweep again, on seeds that no tuning job had.

A winner was chosen for its results, so they are too good on average (the winner's curse; Cawley
and Talbot 2010, "On Over-fitting in Model Selection"). Results on other seeds are not.

A confirmation lies below its sweep and has the files of a sweep of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from neroRL.composition.overrides import escaped, value_text
from neroRL.errors import ConfigError, OutputError, Problem
from neroRL.files import make_directory, remove_leftovers
from neroRL.ranking.ranking import Ranking
from neroRL.records.sweep_record import SweepRecord, read_record
from neroRL.records.sweeps import (
    confirmation_id,
    confirmation_of,
    directory_of,
    permutations_with_jobs,
    read_confirmation,
)
from neroRL.seeds import LAST_SEED
from neroRL.sweep.extension import Move
from neroRL.sweep.jobs import SEED, JobPlan
from neroRL.sweep.plan import SweepPlan

# How far the seeds lie above the sweep's, which may get further repetitions.
SEEDS_APART = 1_000_000


@dataclass(frozen=True)
class Confirmation:
    """The confirmation of a sweep.

    Attributes:
        directory: of its jobs, below the sweep's.
        record: of the confirmation, as of a sweep.
        jobs: of the permutations that are confirmed.
    """

    directory: Path
    record: SweepRecord
    jobs: JobPlan


def check(plan: SweepPlan) -> None:
    """Refuses a confirmation that cannot have a place or seeds of its own.

    Raises:
        OutputError: another sweep lies in its directory, or the sweep varies the seed by now.
        ConfigError: the sweep varies the seed, or its seeds leave no room for others.
    """
    options, place = plan.options, confirmation_of(plan.directory)
    is_swept = SEED in plan.space.keys
    if not options.confirm:
        if is_swept and read_confirmation(plan.directory) is not None:
            message = "confirms a sweep on seeds of its own, and seed is swept now; move it away"
            raise OutputError(f"{place} {message}, or use another --run-id or --out")
        return
    if read_confirmation(plan.directory) is None and read_record(place) is not None:
        message = "holds another sweep; move it away, so that the confirmation has its place"
        raise OutputError(f"{place} {message}")
    key, problem = "hydra.sweeper.confirm", None
    if is_swept:
        problem = "seed is swept; a confirmation trains every permutation on seeds of its own"
    elif options.num_repetitions > SEEDS_APART:
        problem = f"seeds of {options.num_repetitions:,} repetitions leave no others"
    elif plan.seed + SEEDS_APART + options.confirm_repetitions - 1 > LAST_SEED:
        key, problem = SEED, f"{plan.seed} leaves no seeds for hydra.sweeper.confirm above it"
    if problem:
        raise ConfigError([Problem(key, problem)])


def prepare(plan: SweepPlan, sweep: SweepRecord, ranking: Ranking) -> Confirmation:
    """Writes the record of the confirmation of a sweep that is done, and returns what to train.

    Permutations that were confirmed before stay part of it, even if the best are others now.

    Args:
        plan: of the sweep.
        sweep: its record.
        ranking: of its permutations.
    """
    directory = confirmation_of(plan.directory)
    earlier = read_record(directory)
    best = [row.standing.permutation for row in ranking.ranked]
    chosen = {*best[: plan.options.confirm], *permutations_with_jobs(directory)}
    repetitions = max(plan.options.confirm_repetitions, earlier.repetitions if earlier else 0)
    record = replace(
        sweep,
        id=confirmation_id(sweep.id),
        seed=sweep.seed + SEEDS_APART,
        repetitions=repetitions,
        jobs=len(chosen) * repetitions,
        confirm=0,
        confirm_repetitions=0,
        race={},
    )
    make_directory(directory)
    remove_leftovers(directory)
    record.write(directory)
    place = f"hydra.sweep.dir={value_text(escaped(str(directory)))}"
    return Confirmation(directory, record, plan.jobs_of(record, sorted(chosen), [place]))


def extended(
    confirmed: SweepRecord, sweep: SweepRecord, directory: Path, moves: Iterable[Move]
) -> SweepRecord:
    """Returns the record of a confirmation whose sweep is extended.

    Args:
        confirmed: the record so far.
        sweep: the sweep's, as it is afterwards.
        directory: of the confirmation.
        moves: the new places of the sweep's permutations; nothing has moved yet.
    """
    own = ("seed", "repetitions", "confirm", "confirm_repetitions", "race", "race_is_over")
    kept = {name: getattr(confirmed, name) for name in own}
    here = (one for one in moves if (directory / directory_of(one.old)).is_dir())
    jobs = sum(one.new >= 0 for one in here) * confirmed.repetitions
    return replace(sweep, id=confirmation_id(sweep.id), jobs=jobs, **kept)
