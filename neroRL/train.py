"""Trains one policy, or sweeps: the entry points ``python train.py`` and ``ntrain``.

Nothing here imports torch before a training starts: help and dry runs answer at once.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from neroRL.boundary import guarded

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from neroRL.config import Config


def train(config: DictConfig) -> float:
    """Trains as a composed config says; what Hydra and its launchers call.

    Returns:
        The objective.
    """
    from neroRL.job import run_job

    return run_job(config)


def main() -> int:
    """Runs Hydra's command line: one training, a sweep with ``-m``, a dry run with ``--cfg``."""
    return guarded(lambda: run_hydra(sys.argv[1:]))


def ntrain() -> int:
    """Translates the flags of ``ntrain`` to Hydra's and trains."""
    return guarded(_ntrain)


def run_hydra(arguments: Sequence[str]) -> int:
    """Does what Hydra's arguments ask for.

    Returns:
        The exit status.
    """
    from neroRL.composition.application import run

    return run(arguments, train, _check_start)


def _ntrain() -> int:
    from neroRL.composition.application import run
    from neroRL.flags import train_arguments

    arguments, checkpoint = train_arguments(sys.argv[1:])
    if checkpoint is None:
        return run_hydra(arguments)

    def continue_training(config: DictConfig) -> float:
        from neroRL.job import run_job

        return run_job(config, checkpoint)

    return run(arguments, continue_training, functools.partial(_check_start, checkpoint=checkpoint))


def _check_start(config: Config, checkpoint: Path | None = None) -> None:
    """Checks what a single training starts with and on."""
    from neroRL.composition.checking import check_device
    from neroRL.training.starting import check_files

    check_device(config.device)
    check_files(config, checkpoint)


if __name__ == "__main__":
    sys.exit(main())
