"""Moves numpy arrays to the device of a model."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def on_device(array: np.ndarray, device: torch.device) -> Tensor:
    """Returns an array as a tensor on a device; on a GPU it does not wait for the copy.

    Args:
        array: on a CPU the tensor shares its memory.
        device: of the tensor.
    """
    return torch.from_numpy(array).to(device, non_blocking=True)
