"""The server that a sweep's worker processes are forked from; it imports torch once for all."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from multiprocessing import forkserver, resource_tracker

from neroRL.errors import OutputError
from neroRL.files import short_temporary_directory
from neroRL.signals import ENDING

# Forked from a server that has imported everything, a worker starts at once.
METHOD = "forkserver" if sys.platform == "linux" else "spawn"
PRELOADED = "neroRL.job"
_MULTIRUN = ("-m", "--multirun")
# Arguments with which no worker process of this machine trains.
_NO_WORKERS = {
    *("-c", "--cfg", "--info", "-i", "-h", "--help", "--hydra-help", "--version"),
    *("hydra/launcher", "hydra/sweeper", "hydra.sweeper.generate_only"),
}


def prepare() -> None:
    """Starts the server, unless it runs already.

    The server imports the workers' modules while the caller goes on.
    """
    if METHOD == "forkserver":
        forkserver.set_forkserver_preload([PRELOADED])
        resource_tracker.ensure_running()  # as it starts, it unblocks signals
        # The terminal's Ctrl-C also reaches the server and must not end its imports.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        try:
            with short_temporary_directory():
                forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def begin(arguments: Sequence[str]) -> bool:
    """Starts the server before Hydra composes, if a command seems to train in workers.

    Args:
        arguments: of Hydra's command line.

    Returns:
        Whether it was started.
    """
    names = {argument.lstrip("+~").split("=", 1)[0] for argument in arguments}
    if _pid() is not None or names.isdisjoint(_MULTIRUN) or names & _NO_WORKERS:
        return False
    with contextlib.suppress(OSError, OutputError):  # told once a worker is needed
        prepare()
    return _pid() is not None


def end() -> None:
    """Ends the server at once, though it may be importing.

    It has the standard streams of its command, whose reader would wait for it.
    """
    pid = _pid()
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _pid() -> int | None:
    """Returns the process that is the server, of which Python says nothing publicly."""
    return getattr(forkserver._forkserver, "_forkserver_pid", None)
