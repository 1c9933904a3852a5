"""The cores of this machine, and the number that a training uses."""

from __future__ import annotations

import os

_share: int | None = None


def available_cores() -> int:
    """Returns the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_share(threads: int) -> None:
    """Sets the threads of ``threads: auto`` in this process, one of several on the machine."""
    global _share
    _share = threads


def automatic_threads() -> int:
    """Returns the number of threads that ``threads: auto`` means in this process."""
    return available_cores() if _share is None else _share
