"""Leases of things that one process uses at a time, or that processes share evenly.

A lease is a locked file. The operating system unlocks it when its holder ends in any way, so a
crash leaves nothing behind and no daemon is needed.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from neroRL.errors import OutputError

# Places for leases; the first usable one is taken. TMPDIR comes last: clusters give each job its
# own, in which other jobs would not look.
PLACES: tuple[str | None, ...] = ("/tmp", f"/run/user/{os.getuid()}", None)


# The right to use one thing, until it is released or the process ends.
Lease = FileLock


def try_lease(name: str) -> Lease | None:
    """Leases a thing of this machine.

    Args:
        name: of the thing, e.g. ``port-5007``; equal for all processes of this user.

    Returns:
        The lease; None if this or another process holds it.

    Raises:
        OutputError: no place for leases can be written to.
    """
    lock = _lock(name)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock


def share(names: Sequence[str]) -> tuple[int, Lease]:
    """Leases the one of several things that has the fewest users.

    Args:
        names: of the things, none the beginning of another and a dash.

    Returns:
        The index of the thing in ``names``, the first of those with fewest users, and the lease.

    Raises:
        OutputError: no place for leases can be written to.
    """
    with one_at_a_time("sharing"):
        index = min(range(len(names)), key=lambda i: _users(names[i]))
        leases = (try_lease(f"{names[index]}-{slot}") for slot in itertools.count())
        return index, next(lease for lease in leases if lease is not None)


def _users(name: str) -> int:
    """Counts the users of a shared thing."""
    leases = [try_lease(path.stem) for path in _directory().glob(f"{name}-*.lock")]
    for lease in leases:
        if lease is not None:
            lease.release()
    return leases.count(None)


@contextlib.contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Waits until no other process or thread of this machine is in a block of this name."""
    with _lock(name):
        yield


def _lock(name: str) -> FileLock:
    return FileLock(_directory() / f"{name}.lock", is_singleton=False)


def _directory() -> Path:
    """Returns the directory of this user's leases, to which nobody else can write."""
    for place in PLACES:
        directory = Path(place or tempfile.gettempdir(), f"nerorl-leases-{os.getuid()}")
        with contextlib.suppress(OSError):
            directory.mkdir(mode=0o700, exist_ok=True)
            if _is_private(directory):
                return directory
    looked_in = ", ".join(place or tempfile.gettempdir() for place in PLACES)
    raise OutputError(f"no place for leases: none of {looked_in} can be written to")


def _is_private(directory: Path) -> bool:
    """Returns whether a directory is this user's own, and not another user's link."""
    found = directory.lstat()
    return (
        stat.S_ISDIR(found.st_mode)
        and found.st_uid == os.getuid()
        and not found.st_mode & 0o077
        and os.access(directory, os.W_OK | os.X_OK)
    )
