"""From numpy to the device of a model."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def on_device(array: np.ndarray, device: torch.device) -> Tensor:
    """An array as a tensor on a device; what follows on a GPU is queued behind it, not waited for.

    Args:
        array: on a CPU the tensor shares its memory.
        device: where the tensor is used.
    """
    return torch.from_numpy(array).to(device, non_blocking=True)
