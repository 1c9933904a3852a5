"""Measures whether environments step faster in processes of their own."""

from __future__ import annotations

import logging
import time
from contextlib import closing

from neroRL.config.schema import EnvironmentConfig
from neroRL.environments import registry
from neroRL.environments.factory import make_vector
from neroRL.environments.vector.interface import VectorEnvironment
from neroRL.environments.vector.sequential import SequentialEnvironment
from neroRL.errors import described

logger = logging.getLogger("neroRL.environments")

SECONDS = 0.1
LEAST_STEPS = 5
# A step of all environments that is quicker than this cannot gain from processes.
LEAST_SECONDS = 0.002
# Largest share of the time in this process at which others pay, since they cost a start.
MOST_TIME = 0.8


def faster_processes(config: EnvironmentConfig, n_workers: int, most: int) -> int:
    """Returns the number of processes in which environments step faster; 0 if in none.

    Environments of its own are made and stepped for it, here and, where a step takes long, in
    processes. If that fails, they are left in this process.

    Args:
        config: a checked config.
        n_workers: number of environments.
        most: largest number of processes.
    """
    if most < 2 or registry.environment_type(config.type).in_processes:
        return 0
    where = "here"
    try:
        with closing(make_vector(config, 1, seed=0)) as one:
            if not isinstance(one, SequentialEnvironment):  # they step as arrays
                return 0
            here = n_workers * _seconds(one)
        if here < LEAST_SECONDS:
            return 0
        where = f"in {most} processes"
        with closing(make_vector(config, n_workers, seed=0, processes=most)) as divided:
            there = _seconds(divided)
    except Exception as error:
        message = "%s is stepped here: trying it %s failed: %s"
        logger.info(message, config.name, where, described(error))
        return 0
    chosen = most if there < MOST_TIME * here else 0
    message = "a step of %d environments takes %.1f ms here and %.1f ms in %d processes"
    logger.info(message, n_workers, 1e3 * here, 1e3 * there, most)
    return chosen


def _seconds(environment: VectorEnvironment) -> float:
    """Returns the mean time of a step of all environments."""
    environment.restart()
    environment.action_space.seed(0)
    steps, began = 0, time.perf_counter()
    while steps < LEAST_STEPS or time.perf_counter() - began < SECONDS:
        environment.advance(environment.action_space.sample())
        steps += 1
    return (time.perf_counter() - began) / steps
