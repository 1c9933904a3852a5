"""Evaluates every checkpoint of a directory or a sweep: the entry point ``neval-checkpoints``.

``python neroRL/eval_checkpoints.py`` works, too, from a checkout.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __package__ in (None, ""):  # run as a file: import the package, not the modules beside it
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from neroRL.arguments import Parser, a_file, a_path, not_negative
from neroRL.boundary import guarded
from neroRL.files import check_place_of_file
from neroRL.playing_flags import (
    add_deterministic,
    add_seed_flags,
    config_file,
    play_so_often,
    seeds_of,
    tell_written,
)
from neroRL.records.exits import Exit

if TYPE_CHECKING:
    from neroRL.acting.evaluator import Played
    from neroRL.evaluation.choosing import Chosen


# Flags of neval.
COUNTERPARTS = {"--sweep": "--checkpoints", "--out": "--name"}


def main() -> int:
    """Plays the same seeds with every checkpoint, writes one table."""
    return guarded(_evaluate)


def _evaluate() -> int:
    parser = _parser()
    flags = parser.parse_alone(sys.argv[1:], COUNTERPARTS)
    if flags.checkpoints is None:
        parser.error("which checkpoints? Give a directory as --checkpoints=<path>")
    check_place_of_file(flags.name)
    from neroRL.evaluation import choosing  # help does without torch
    from neroRL.evaluation.playing import check_seeds, with_worker_id
    from neroRL.evaluation.subjects import read_subject
    from neroRL.evaluation.tables import estimates, table_text, write_table

    config, seeds = config_file(flags), seeds_of(flags)
    found, notes = choosing.of_directory(flags.checkpoints)
    for note in notes:
        print(note)
    # All are read before any is played, so that one that cannot be does not waste the others' time.
    subjects = [
        with_worker_id(read_subject(chosen.path, config), flags.worker_id) for chosen in found
    ]
    check_seeds(subjects[0], seeds, "--num-seeds")
    rows: list[tuple[dict[str, Any], Played]] = []
    for chosen, subject in zip(found, subjects, strict=True):
        played = play_so_often(subject, seeds, flags)
        reward = estimates(played)["reward"]
        print(f"{chosen.path}: reward {reward}", flush=True)
        rows += [(_first_cells(chosen, one), one) for one in played]
    tell_written(flags.name, write_table(flags.name, table_text(rows)))
    return Exit.WELL


def _first_cells(chosen: Chosen, played: Played) -> dict[str, Any]:
    return {
        "permutation": chosen.permutation,
        "repetition": chosen.repetition,
        "update": chosen.update,
        "seed": played.episode.seed,
    }


def _parser() -> Parser:
    description = "Evaluates every checkpoint of a directory or a sweep on the same seeds."
    parser = Parser("neval-checkpoints", "--checkpoints=<path> [options]", description)
    checkpoints = "a directory of checkpoints, of a job, or of a sweep"
    parser.flag("--checkpoints", "<path>", checkpoints, kind=a_path)
    config = "config of the environment; where it is missing, the checkpoints' is taken"
    parser.flag("--config", "<path>", config)
    worker_id = "sets the port for each environment instance"
    parser.flag("--worker-id", "<n>", worker_id, kind=not_negative)
    add_deterministic(parser)
    name = "the table, a row for each episode"
    parser.flag("--name", "<path>", name, "./evaluation-checkpoints.csv", a_file)
    add_seed_flags(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
