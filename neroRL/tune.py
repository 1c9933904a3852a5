"""Tunes hyperparameters by grid search: the entry point ``ntune``.

``python neroRL/tune.py`` works, too, from a checkout.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a file: import the package, not the modules beside it
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from neroRL.boundary import guarded


def main() -> int:
    """Translates the flags to Hydra's, prints the equivalent command, and runs it."""
    return guarded(_tune)


def _tune() -> int:
    from neroRL.arguments import CFG, SHOWING, name_of
    from neroRL.flags import equivalent_command, tune_arguments
    from neroRL.train import run_hydra

    arguments = tune_arguments(sys.argv[1:])
    # A dry run's standard output is a YAML stream, and a shell reads that of --shell-completion.
    shows = any(name_of(text) in (*CFG, *SHOWING) for text in arguments)
    stream = sys.stderr if shows else sys.stdout
    print(equivalent_command(arguments), file=stream, flush=True)
    return run_hydra(arguments)


if __name__ == "__main__":
    sys.exit(main())
