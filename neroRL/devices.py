"""A GPU for each job, for launchers that leave several GPUs visible to their jobs."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator

import torch

from neroRL.leases import share

VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"


@contextlib.contextmanager
def own_device(device: torch.device) -> Iterator[torch.device]:
    """Leases one of the visible GPUs while the block runs.

    Args:
        device: where a config trains. What is no choice among several GPUs stays what it is.

    Yields:
        The device to use; of several GPUs, the one with the fewest jobs on this machine.
    """
    count = torch.cuda.device_count() if device.type == "cuda" and device.index is None else 0
    if count <= 1:
        yield device
        return
    index, lease = share([f"gpu-{_safe(name)}" for name in names_of_gpus(count)])
    try:
        yield torch.device("cuda", index)
    finally:
        lease.release()


def _safe(name: str) -> str:
    return re.sub("[^A-Za-z0-9]", "_", name)


def names_of_gpus(count: int) -> list[str]:
    """Returns names of the visible GPUs that are equal in all processes of this machine."""
    visible = [name.strip() for name in os.environ.get(VISIBLE_DEVICES, "").split(",")]
    return visible if len(visible) == count and all(visible) else [str(i) for i in range(count)]
