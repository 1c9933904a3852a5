"""Chooses the device and the number of threads of a training."""

from __future__ import annotations

import torch

from neroRL.config import Config
from neroRL.cores import automatic_threads


def device_of(config: Config) -> torch.device:
    """Returns the device on which a config trains on this machine."""
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(config.device)


def threads_of(config: Config) -> int:
    """Returns the number of torch threads for a config."""
    return automatic_threads() if config.threads == "auto" else config.threads
