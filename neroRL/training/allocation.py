"""How this process keeps memory that was freed."""

from __future__ import annotations

import ctypes
import sys

# glibc's names, malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
LARGEST_KEPT = 32 * 2**20
MOST_KEPT = 256 * 2**20


def keep_freed_memory() -> None:
    """Keeps the memory of freed tensors for the next ones.

    glibc gives large blocks back to the system at once and gets new ones, which the system must
    clear: of a mini batch's activations that would be each page, in each step of the optimiser.
    Elsewhere than with glibc this does nothing.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGEST_KEPT)
        mallopt(_M_TRIM_THRESHOLD, MOST_KEPT)
