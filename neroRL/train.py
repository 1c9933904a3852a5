"""Trains one policy, or sweeps: the entry points ``python train.py`` and ``ntrain``.

Nothing here imports torch before a training starts: help and dry runs answer at once.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from neroRL.boundary import guarded
from neroRL.errors import ConfigError
from neroRL.records.exits import Exit

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
    from neroRL.sweep import server

    status = None
    begun = server.begin(arguments)
    try:
        from neroRL.composition.application import run

        status = run(arguments, train, _check_start)
    finally:
        if begun and status != Exit.WELL:
            server.end()
    return status


def _ntrain() -> int:
    from neroRL.composition.application import run
    from neroRL.flags import train_flags

    flags = train_flags(sys.argv[1:])
    flags.manner.check()
    checkpoint = flags.checkpoint

    def train_so(config: DictConfig) -> float:
        from neroRL.job import run_job

        return run_job(config, checkpoint, flags.manner)

    check = functools.partial(_check_start, checkpoint=checkpoint)
    if checkpoint is None:
        assert flags.config is not None
        return run(flags.arguments(flags.config, flags.num_updates), train_so, check)
    with _config_of(checkpoint) as (config_file, done):
        updates = None if flags.num_updates is None else done + flags.num_updates
        arguments = flags.arguments(flags.config or config_file, updates)
        return run(arguments, train_so, check)


@contextlib.contextmanager
def _config_of(checkpoint: Path) -> Iterator[tuple[Path, int]]:
    """Yields a file with a checkpoint's config, and the number of updates that it has done.

    Raises:
        ConfigError: the block found problems; those in the file name the checkpoint instead.
    """
    from neroRL.composition.overrides import escaped
    from neroRL.config.documents import dump_yaml
    from neroRL.training.checkpoint import META, load

    saved = load(checkpoint, META)
    # It has the weights that its training once began with, and their file may be gone.
    config = {**saved.config, "model": {**saved.config["model"], "load_model": False}}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / f"config of {checkpoint.stem}.yaml"
        path.write_text(dump_yaml(escaped(config)), encoding="utf-8")
        try:
            yield path, saved.update
        except ConfigError as error:
            raise ConfigError(
                replace(one, where=str(checkpoint)) if one.where.startswith(str(path)) else one
                for one in error.problems
            ) from None


def _check_start(config: Config, checkpoint: Path | None = None) -> None:
    """Checks what a single training starts with and on."""
    from neroRL.composition.checking import check_device
    from neroRL.training.starting import check_files

    check_device(config.device)
    check_files(config, checkpoint)


if __name__ == "__main__":
    sys.exit(main())
