"""Things of this machine that one process uses at a time: network ports, GPUs.

A lease is a locked file. The operating system unlocks it when its holder ends, however it does,
so a crash leaves nothing behind and no daemon has to watch.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout


class Lease:
    """The right to use one thing, until it is released or the process ends.

    Args:
        lock: held.
    """

    def __init__(self, lock: FileLock) -> None:
        self._lock = lock

    def release(self) -> None:
        """Lets others have it."""
        self._lock.release()


def try_lease(name: str) -> Lease | None:
    """Leases a thing of this machine.

    Args:
        name: of the thing, e.g. ``port-5007``; equal for all processes of this user.

    Returns:
        The lease; None where another one, of this process or of another, holds it.
    """
    lock = _lock(name)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return Lease(lock)


@contextlib.contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Waits until no other process or thread of this machine is in a block of this name."""
    with _lock(name):
        yield


def _lock(name: str) -> FileLock:
    directory = Path(tempfile.gettempdir(), f"nerorl-leases-{os.getuid()}")
    directory.mkdir(mode=0o700, exist_ok=True)
    return FileLock(directory / f"{name}.lock", is_singleton=False)
