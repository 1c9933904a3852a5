"""The flags of ``neval``, ``neval-checkpoints`` and ``nenjoy``, and the policies that they name."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from neroRL.arguments import Parser, a_path, a_positive, not_negative
from neroRL.errors import UsageError

if TYPE_CHECKING:
    from neroRL.acting.evaluator import Played
    from neroRL.evaluation.subjects import Subject


def add_policy_flags(parser: Parser) -> None:
    """Adds the flags that say which policy plays in which environment, and how."""
    config = "config of the environment; where it is missing, the checkpoint's is taken"
    parser.flag("--config", "<path>", config)
    parser.flag("--checkpoint", "<path>", "a checkpoint, or the directory of a job", kind=a_path)
    parser.flag("--sweep", "<path>", "directory of a sweep: its best permutation", kind=a_path)
    permutation = "this one of the sweep instead of the best"
    parser.flag("--permutation", "<n>", permutation, kind=not_negative)
    parser.switch("--untrained", "whether to play with untrained weights; needs --config")
    add_deterministic(parser)
    worker_id = "sets the port for each environment instance"
    parser.flag("--worker-id", "<n>", worker_id, kind=not_negative)


def add_deterministic(parser: Parser) -> None:
    """Adds the flag that says how actions are chosen."""
    parser.switch("--deterministic", "whether to take the most probable actions, not sampled ones")


def add_seed_flags(parser: Parser) -> None:
    """Adds the flags that say which episodes are played."""
    parser.flag("--start-seed", "<n>", "first of the seeds", 200000, not_negative)
    parser.flag("--num-seeds", "<n>", "number of seeds", 50, a_positive)
    parser.flag("--repetitions", "<n>", "how often each seed is played", 3, a_positive)
    workers = "environments that run at the same time; results do not depend on it"
    parser.flag("--workers", "<n>", workers, 1, a_positive)


def seeds_of(flags: argparse.Namespace) -> range:
    """Returns the seeds of the flags."""
    return range(flags.start_seed, flags.start_seed + flags.num_seeds)


def config_file(flags: argparse.Namespace) -> Path | None:
    """Returns the file of ``--config``; None without one.

    Raises:
        UsageError: there is no such file.
    """
    from neroRL.composition.paths import find_config  # imports Hydra

    if flags.config is None:
        return None
    try:
        return find_config(flags.config)
    except UsageError as error:
        raise UsageError(f"--config: {error}") from None


def subject_of(flags: argparse.Namespace) -> Subject:
    """Returns the policy and the environment of the flags; prints how they were chosen.

    Raises:
        NeroRLError: there is no such policy, or it does not fit the environment.
    """
    from neroRL.evaluation import choosing
    from neroRL.evaluation.playing import with_worker_id
    from neroRL.evaluation.subjects import read_subject, subject_of_config

    named = [
        f"--{name}"
        for name in ("checkpoint", "sweep", "untrained")
        if getattr(flags, name) not in (None, False)
    ]
    if len(named) > 1:
        raise UsageError(f"{' and '.join(named)}: give one of them")
    if flags.permutation is not None and flags.sweep is None:
        raise UsageError("--permutation: of which sweep? Give it as --sweep=<path>")
    config = config_file(flags)
    if flags.checkpoint is not None or flags.sweep is not None:
        chosen = (
            choosing.of_path(flags.checkpoint)
            if flags.sweep is None
            else choosing.of_sweep(flags.sweep, flags.permutation)
        )
        for note in chosen.notes:
            print(note)
        subject = read_subject(chosen.path, config)
    elif config is None:
        message = "no policy to play with: give --checkpoint=<path>, --sweep=<path>"
        raise UsageError(f"{message}, or --untrained with --config=<path>")
    else:
        subject = subject_of_config(config, untrained=flags.untrained)
    return with_worker_id(subject, flags.worker_id)


def play_so_often(
    subject: Subject, seeds: Sequence[int], flags: argparse.Namespace
) -> list[Played]:
    """Plays the seeds as often and in the way that the flags say."""
    from neroRL.evaluation.playing import play

    return play(
        subject,
        seeds,
        flags.repetitions,
        workers=flags.workers,
        deterministic=flags.deterministic,
    )


def described(subject: Subject, deterministic: bool) -> str:
    """Describes who plays what, and how, in one line."""
    how = "the most probable actions" if deterministic else "sampled actions"
    return f"{subject.name} plays {subject.config.environment.name} with {how}"


def tell_written(path: Path, aside: Path | None) -> None:
    """Prints where a table was written, and where the one is that was there."""
    if aside is not None:
        print(f"kept:    {aside}, which was {path}")
    print(f"table:   {path}")
