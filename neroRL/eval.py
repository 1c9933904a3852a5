"""Evaluates a policy on given seeds: the entry point ``neval``.

``python neroRL/eval.py`` works, too, from a checkout.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a file: import the package, not the modules beside it
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from neroRL.arguments import Parser, a_file, a_positive
from neroRL.boundary import guarded
from neroRL.files import check_place_of_file
from neroRL.playing_flags import (
    add_policy_flags,
    add_seed_flags,
    described,
    play_so_often,
    seeds_of,
    subject_of,
    tell_written,
)
from neroRL.records.exits import Exit
from neroRL.texts import counted


def main() -> int:
    """Plays every seed so often, prints means and intervals, writes a table."""
    return guarded(_evaluate)


def _evaluate() -> int:
    flags = _parser().parse_alone(sys.argv[1:])
    check_place_of_file(flags.out)
    from neroRL.evaluation.playing import check_seeds  # help does without torch
    from neroRL.evaluation.tables import estimates, summary_lines, table_text, write_table
    from neroRL.viewing.seeds import show_seeds
    from neroRL.viewing.showing import Ways

    ways = None if flags.video is None else Ways(False, flags.video, None, flags.framerate)
    if ways is not None:
        ways.check()
    subject = subject_of(flags)
    seeds = seeds_of(flags)
    check_seeds(subject, seeds, "--num-seeds")
    print(described(subject, flags.deterministic), flush=True)
    played = play_so_often(subject, seeds, flags)
    which = f"seeds {seeds[0]} to {seeds[-1]}, {flags.repetitions} of each"
    print(f"{counted(len(played), 'episode')}: {which}; means, and their 95 % intervals over seeds")
    for line in summary_lines(estimates(played)):
        print(line)
    rows = [(one.episode._asdict(), one) for one in played]
    if ways is not None:
        show_seeds(subject, seeds, ways, deterministic=flags.deterministic)
    tell_written(flags.out, write_table(flags.out, table_text(rows)))
    return Exit.WELL


def _parser() -> Parser:
    parser = Parser("neval", "[options]", "Evaluates a policy on given seeds.")
    add_policy_flags(parser)
    add_seed_flags(parser)
    video = "writes videos of repetition 0 of every seed: <path>-<seed>.mp4"
    parser.flag("--video", "<path>", video, kind=a_file)
    parser.flag("--framerate", "<n>", "steps a second of the videos", 6, a_positive)
    out = "the table, a row for each episode"
    parser.flag("--out", "<path>", out, "./evaluation.csv", a_file)
    return parser


if __name__ == "__main__":
    sys.exit(main())
