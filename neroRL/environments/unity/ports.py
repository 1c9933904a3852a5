"""Leases blocks of network ports, each to one job of this machine at a time."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Iterator
from dataclasses import replace

from neroRL.config import Config
from neroRL.config.checks import FIRST_UNITY_PORT, LAST_PORT
from neroRL.environments import registry
from neroRL.errors import PortError
from neroRL.leases import Lease, one_at_a_time, try_lease

logger = logging.getLogger("neroRL.environments")


@contextlib.contextmanager
def own_worker_ids(config: Config, count: int) -> Iterator[Config]:
    """Yields a config with a worker id whose ports are leased, if its environment needs any.

    Args:
        config: of a job or an evaluation.
        count: number of environments.

    Raises:
        PortError: too few ports are free.
    """
    if not registry.environment_type(config.environment.type).uses_ports:
        yield config
        return
    with leased_worker_ids(config.worker_id, count) as first:
        yield replace(config, worker_id=first)


@contextlib.contextmanager
def leased_worker_ids(first: int, count: int) -> Iterator[int]:
    """Leases the ports of consecutive worker ids; worker id i has port 5005 + i.

    Only this process leases the block's ports, and no process listens on them. If a port is not
    free, the block starts after it.

    Args:
        first: smallest worker id.
        count: number of worker ids.

    Yields:
        The first worker id of the block, which is released at the end.

    Raises:
        PortError: no block of this size is free up to the last port.
    """
    leases: list[Lease] = []
    try:
        # Searches at the same time would take ports out of each other's blocks.
        with one_at_a_time("ports"):
            start = _lease_block(first, count, leases)
        port = FIRST_UNITY_PORT + start
        logger.info("ports %d to %d, worker ids from %d on", port, port + count - 1, start)
        yield start
    finally:
        _release(leases)


def _lease_block(first: int, count: int, leases: list[Lease]) -> int:
    """Fills ``leases`` with the leases of the first free block; returns its first worker id."""
    start = first
    while len(leases) < count:
        if FIRST_UNITY_PORT + start + count - 1 > LAST_PORT:
            message = f"no {count} ports in a row are free from {FIRST_UNITY_PORT + first} on"
            raise PortError(message)
        number = start + len(leases)
        lease = _free_port(FIRST_UNITY_PORT + number)
        if lease is not None:
            leases.append(lease)
            continue
        _release(leases)
        start = number + 1
    return start


def _free_port(port: int) -> Lease | None:
    lease = try_lease(f"port-{port}")
    if lease is not None and not _can_be_bound(port):
        lease.release()
        return None
    return lease


def _can_be_bound(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # With this option, a port whose last connection has just ended counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _release(leases: list[Lease]) -> None:
    for lease in leases:
        lease.release()
    leases.clear()
