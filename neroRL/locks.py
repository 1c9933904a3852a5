"""Locks of directories, in which only one process works at a time.

The lock is a file that the operating system unlocks when its holder ends in any way.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from neroRL.errors import OutputError

LOCK_FILE, HOLDER_FILE = ".lock", ".lock-holder"

logger = logging.getLogger("neroRL.locks")


@contextlib.contextmanager
def held(directory: Path, what: str) -> Iterator[None]:
    """Holds a directory while the block runs.

    Args:
        directory: exists.
        what: "sweep" or "training", for the message.

    Raises:
        OutputError: another process holds it; the message names that process.
    """
    try:
        lock = _acquired(directory, wait=False)
    except Timeout:
        message = f"{directory} is in use by another {what}: {_holder(directory)}"
        raise OutputError(message) from None
    with _noted(directory, lock):
        yield


@contextlib.contextmanager
def waited_for(directory: Path) -> Iterator[bool]:
    """Waits until no other process holds a directory, and holds it while the block runs.

    Yields:
        Whether another process held it.
    """
    waited = False
    try:
        lock = _acquired(directory, wait=False)
    except Timeout:
        logger.warning("another process runs this job; waiting for its end")
        lock, waited = _acquired(directory, wait=True), True
    with _noted(directory, lock):
        yield waited


def _acquired(directory: Path, *, wait: bool) -> FileLock:
    # One object for each file, so that a process that holds a directory can hold it again.
    lock = FileLock(os.path.realpath(directory / LOCK_FILE), is_singleton=True)
    try:
        lock.acquire(timeout=-1 if wait else 0, poll_interval=1.0)
    except NotImplementedError:
        logger.warning("%s: this file system has no locks", directory)
    return lock


@contextlib.contextmanager
def _noted(directory: Path, lock: FileLock) -> Iterator[None]:
    """Writes the holder of a directory to its lock file, for messages of others."""
    holder = directory / HOLDER_FILE
    since = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        with contextlib.suppress(OSError):  # a full disk must not stop the work
            holder.write_text(f"process {os.getpid()} on {platform.node()} since {since}\n")
        yield
    finally:
        if lock.lock_counter <= 1:  # once it is released, the file may be the next holder's
            holder.unlink(missing_ok=True)
        lock.release()


def _holder(directory: Path) -> str:
    try:
        return (directory / HOLDER_FILE).read_text(encoding="utf-8").strip() or "unknown"
    except OSError:
        return "unknown"
