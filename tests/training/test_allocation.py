"""Freed memory that is kept."""

from __future__ import annotations

import subprocess
import sys

import pytest

# Six blocks at a time, of a mini batch's size, as an optimiser's step takes and frees them.
FAULTS = """
import resource
import torch
from neroRL.training.allocation import keep_freed_memory
if {keep}:
    keep_freed_memory()
def step():
    blocks = [torch.zeros(2**21) for _ in range(6)]
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
def test_memory_of_freed_tensors_is_used_again():
    returned, kept = _faults(keep=False), _faults(keep=True)
    assert kept < returned / 100
