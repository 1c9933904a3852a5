"""Tests that the memory of freed tensors is used again."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Repeatedly allocates, writes and frees blocks of a mini batch's size.
FAULTS = """
import ctypes
import resource
from neroRL.training.allocation import keep_freed_memory
if {keep}:
    keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
SIZE = 31 * 2**20
def step():
    blocks = [libc.malloc(SIZE) for _ in range(3)]
    for block in blocks:
        libc.memset(block, 1, SIZE)
    for block in reversed(blocks):
        libc.free(block)
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(keep: bool) -> int:
    command = [sys.executable, "-c", FAULTS.format(keep=keep)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_freed_memory_is_used_again():
    returned, kept = _faults(keep=False), _faults(keep=True)
    assert kept < returned / 100
