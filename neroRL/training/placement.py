"""Chooses the device of a training, its cores and threads, and the number of its processes."""

from __future__ import annotations

import logging

import torch

from neroRL.config import Config
from neroRL.cores import automatic_threads, available_cores
from neroRL.environments.dividing import faster_processes
from neroRL.environments.specification import EnvironmentSpec
from neroRL.models.actor_critic import ActorCritic, seeded_model

logger = logging.getLogger("neroRL.training")

# From this many products (rows times weights) of a mini batch on, a second thread saves time;
# docs/performance.md has the measurements.
FEWEST_PRODUCTS = 2**25


def device_of(config: Config) -> torch.device:
    """Returns the device on which a config trains on this machine."""
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(config.device)


def placed_model(
    config: Config, shapes: EnvironmentSpec, device: torch.device, kept: int | None
) -> ActorCritic:
    """Makes the network that a training starts with, and gives torch the threads that suit it.

    Args:
        config: of the training.
        shapes: of the environment.
        device: of the network.
        kept: threads so far of a training that is continued.
    """
    model = seeded_model(config.model, shapes, config.seed).to(device)
    torch.set_num_threads(threads_of(config, model, kept))
    return model


def cores_of(config: Config) -> int:
    """Returns the number of cores that a config may use: the most threads of torch."""
    return automatic_threads() if config.threads == "auto" else config.threads


def threads_of(config: Config, model: ActorCritic, kept: int | None) -> int:
    """Returns the number of torch threads of a training.

    A small network trains faster with one: its threads would wait for each other longer than they
    compute. A training that is continued keeps its number, and with it its last bits.

    Args:
        config: of the training.
        model: its network.
        kept: threads so far of a training that is continued.
    """
    if config.threads != "auto":
        return config.threads
    if kept is not None:
        if kept <= available_cores():
            return kept
        logger.warning("trained with %d threads so far: last bits may differ from now on", kept)
    weights = sum(parameter.numel() for parameter in model.parameters())
    products = config.mini_batch_size * weights
    small = model.encoder.visual is None and products < FEWEST_PRODUCTS
    return 1 if small else cores_of(config)


def processes_of(config: Config, cores: int, kept: int | None) -> int:
    """Returns the number of processes that step a config's environments; 0 for this one.

    Args:
        config: of the training.
        cores: that the training may use.
        kept: processes so far of a training that is continued.
    """
    processes, n_workers = config.environment.processes, config.sampler.n_workers
    if processes != "auto":
        return min(processes, n_workers)
    if cores == 1:  # of a sweep, in which every core has a job of its own
        return 0
    if kept is not None:
        return min(kept, cores)
    return faster_processes(config.environment, n_workers, min(cores, n_workers))
