"""Where a training runs: on which device, with how many threads."""

from __future__ import annotations

import torch

from neroRL.config import Config
from neroRL.cores import automatic_threads


def device_of(config: Config) -> torch.device:
    """Returns where a config trains, on a machine like this one."""
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(config.device)


def threads_of(config: Config) -> int:
    """Returns how many threads torch uses for a config."""
    return automatic_threads() if config.threads == "auto" else config.threads
