"""Runs of Weights & Biases; the sweep is their group.

The usual variables choose where they go: ``WANDB_MODE=offline``, ``WANDB_PROJECT``,
``WANDB_ENTITY``, ``WANDB_BASE_URL``. The files of a run lie in ``wandb/`` of the job's directory.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping

import wandb

from neroRL.reporting.loggers.interface import Description

PROJECT = "neroRL"
SECONDS_TO_START = 30.0
SECONDS_TO_END = 60.0
INTERRUPTED = 130


class WandbRun:
    """A run of Weights & Biases.

    Args:
        described: the job.
        known: id of the run to continue; None for a new one.

    Raises:
        ConnectionError: nobody is logged in.
        wandb.Error: the run cannot be opened.
    """

    def __init__(self, described: Description, known: str | None) -> None:
        settings = wandb.Settings(
            console="off",  # the job's log has its output
            silent=True,
            init_timeout=SECONDS_TO_START,
            finish_timeout=SECONDS_TO_END,
        )
        online = wandb.setup(settings).settings.mode in ("online", "shared")
        if online and not wandb.login(prompt=False):  # it would wait for somebody to answer
            raise ConnectionError("nobody is logged in: wandb login, or WANDB_MODE=offline")
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            dir=described.directory,
            id=known or secrets.token_hex(8),
            resume="allow",
            reinit="create_new",  # another job of this process may have left a run open
            group=described.group,
            name=described.name,
            config={**described.config, **described.place},
            allow_val_change=True,
            settings=settings,
        )

    @property
    def id(self) -> str:
        """Names the run."""
        return str(self._run.id)

    def log(self, update: int, values: Mapping[str, float]) -> None:
        """Records the values of an update."""
        self._run.log(dict(values), step=update)

    def close(self, success: bool | None) -> None:
        """Records how the job ended and waits a while for what is still to be sent."""
        if success is None:
            self._run.mark_preempting()
        self._run.finish(exit_code={True: 0, False: 1, None: INTERRUPTED}[success])
