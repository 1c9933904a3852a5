"""Settings of the C library's memory allocator."""

from __future__ import annotations

import ctypes
import sys

# glibc's names, malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
LARGEST_KEPT = 32 * 2**20
MOST_KEPT = 256 * 2**20


def keep_freed_memory() -> None:
    """Keeps the memory of freed tensors for the next ones.

    By default glibc returns large blocks to the system at once, and the system clears the pages of
    new ones. Every mini batch would pay for all pages of its activations. Without glibc this does
    nothing.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGEST_KEPT)
        mallopt(_M_TRIM_THRESHOLD, MOST_KEPT)
