"""One GPU per job, for jobs of launchers that leave several GPUs visible to each."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence

import torch

from neroRL.leases import Lease, try_lease

VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"


@contextlib.contextmanager
def own_device(device: torch.device) -> Iterator[torch.device]:
    """Leases one of the visible GPUs while the block runs.

    Args:
        device: where a config trains. What is no choice among several GPUs stays what it is.

    Yields:
        The device to use; ``cuda:<i>`` where there are several GPUs. Jobs share them out evenly
        when there are more jobs than GPUs.
    """
    count = torch.cuda.device_count() if device.type == "cuda" and device.index is None else 0
    if count <= 1:
        yield device
        return
    index, lease = lease_gpu(names_of_gpus(count))
    try:
        yield torch.device("cuda", index)
    finally:
        if lease is not None:
            lease.release()


def lease_gpu(names: Sequence[str]) -> tuple[int, Lease | None]:
    """Chooses a GPU that no other job of this machine uses.

    Args:
        names: of the GPUs this process sees, equal for all processes.

    Returns:
        Its index in ``names``, and the lease; None where all are in use, and one is shared.
    """
    for index, name in enumerate(names):
        lease = try_lease(f"gpu-{re.sub('[^A-Za-z0-9-]', '-', name)}")
        if lease is not None:
            return index, lease
    return os.getpid() % len(names), None


def names_of_gpus(count: int) -> list[str]:
    """Names of the visible GPUs that are equal in all processes of this machine."""
    visible = [name.strip() for name in os.environ.get(VISIBLE_DEVICES, "").split(",")]
    return visible if len(visible) == count and all(visible) else [str(i) for i in range(count)]
