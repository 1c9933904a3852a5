"""The cores of this machine, and the number that a training uses."""

from __future__ import annotations

import os

# How often a thread of OpenMP looks for work before it sleeps; about half a millisecond of trying.
# With the default of 300,000, the threads of a training that shares its cores keep them busy with
# waiting for a thread that is not running; docs/performance.md has the measurements. It takes
# effect where it is set before torch is imported.
SPINS = ("GOMP_SPINCOUNT", "10000")
POLICY = "OMP_WAIT_POLICY"

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


def limit_spinning() -> None:
    """Lets torch's threads soon give up the core on which they wait for each other.

    A choice of the user's own in the environment variables stays.
    """
    if POLICY not in os.environ:
        os.environ.setdefault(*SPINS)
