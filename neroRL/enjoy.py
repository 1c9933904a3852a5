"""Shows a policy playing: the entry point ``nenjoy``.

``python neroRL/enjoy.py`` works, too, from a checkout.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a file: import the package, not the modules beside it
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from neroRL.arguments import Parser, a_file, a_positive, not_negative
from neroRL.boundary import guarded
from neroRL.playing_flags import add_policy_flags, described, subject_of
from neroRL.records.exits import Exit


def main() -> int:
    """Plays episodes of one seed and shows them."""
    return guarded(_enjoy)


def _enjoy() -> int:
    flags = _parser().parse_alone(sys.argv[1:])
    from neroRL.acting.player import Episode  # help does without torch
    from neroRL.evaluation.playing import check_seeds, policy_and_environment
    from neroRL.viewing.episodes import action_names, moments
    from neroRL.viewing.showing import Ways

    ways = Ways(flags.terminal, flags.video, flags.html, flags.framerate)
    ways.check()
    subject = subject_of(flags)
    check_seeds(subject, [flags.seed], "--seed")
    title = described(subject, flags.deterministic)
    print(title, flush=True)
    with policy_and_environment(subject, deterministic=flags.deterministic) as both:
        policy, environment = both
        names = action_names(policy, environment)
        for number in range(flags.num_episodes):
            played = moments(policy, environment, Episode(flags.seed, number))
            outcome = ways.of_episode(number).show(played, names, f"{title}, seed {flags.seed}")
            if outcome is None:  # the window was closed
                break
            print(f"seed {flags.seed}, repetition {number}: {outcome}", flush=True)
    return Exit.WELL


def _parser() -> Parser:
    parser = Parser("nenjoy", "[options]", "Shows a policy playing, in a window if nothing else.")
    add_policy_flags(parser)
    parser.flag("--seed", "<n>", "of the environment", 0, not_negative)
    episodes = "number of episodes of this seed; each draws other actions"
    parser.flag("--num-episodes", "<n>", episodes, 1, a_positive)
    parser.flag("--video", "<path>", "writes a video (.mp4)", kind=a_file)
    parser.flag("--html", "<path>", "writes a page that plays the episode (.html)", kind=a_file)
    parser.switch("--terminal", "whether to show it in the terminal, in true colour")
    parser.flag("--framerate", "<n>", "steps a second", 6, a_positive)
    return parser


if __name__ == "__main__":
    sys.exit(main())
