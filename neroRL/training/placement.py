"""Chooses the device of a training, its number of threads, and that of its processes."""

from __future__ import annotations

from pathlib import Path

import torch

from neroRL.config import Config
from neroRL.cores import automatic_threads
from neroRL.environments.dividing import faster_processes
from neroRL.training import checkpoint as checkpoints


def device_of(config: Config) -> torch.device:
    """Returns the device on which a config trains on this machine."""
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(config.device)


def threads_of(config: Config) -> int:
    """Returns the number of torch threads for a config."""
    return automatic_threads() if config.threads == "auto" else config.threads


def processes_of(config: Config, cores: int, checkpoint: Path | None) -> int:
    """Returns the number of processes that step a config's environments; 0 for this one.

    Args:
        config: of the training.
        cores: that this training may use.
        checkpoint: of a training that is continued, whose number is kept.
    """
    processes, n_workers = config.environment.processes, config.sampler.n_workers
    if processes != "auto":
        return min(processes, n_workers)
    if cores == 1:  # of a sweep, in which every core has a job of its own
        return 0
    if checkpoint is not None:
        kept: int | None = checkpoints.load(checkpoint, checkpoints.META).get("processes")
        if kept is not None:
            return min(kept, cores)
    return faster_processes(config.environment, n_workers, min(cores, n_workers))
