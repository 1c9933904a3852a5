"""Blocks of network ports, each for one job of this machine at a time."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Iterator

from neroRL.config.checks import FIRST_UNITY_PORT, LAST_PORT
from neroRL.errors import PortError
from neroRL.leases import Lease, one_at_a_time, try_lease

logger = logging.getLogger("neroRL.environments")


@contextlib.contextmanager
def leased_worker_ids(first: int, count: int) -> Iterator[int]:
    """Leases the ports of worker ids that follow each other; worker id i has port 5005 + i.

    Every port of the block is leased by this process alone and bound by none. Where one is not
    free, the block begins behind it.

    Args:
        first: least worker id.
        count: how many.

    Yields:
        The first worker id of the block, which is released at the end.

    Raises:
        PortError: no block fits before the ports end.
    """
    leases: list[Lease] = []
    try:
        # Searches that overlap would take ports out of each other's blocks.
        with one_at_a_time("ports"):
            start = _lease_block(first, count, leases)
        port = FIRST_UNITY_PORT + start
        logger.info("ports %d to %d, worker ids from %d on", port, port + count - 1, start)
        yield start
    finally:
        _release(leases)


def _lease_block(first: int, count: int, leases: list[Lease]) -> int:
    """Fills ``leases`` with those of the first block that is free; returns where it starts."""
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
        # A port whose last connection has just ended is free; one that is listened on is not.
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
