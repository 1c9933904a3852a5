"""Tests blocks of ports: they never overlap, avoid taken ports, and are released."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from itertools import pairwise

import pytest

from neroRL.environments.unity.ports import leased_worker_ids
from neroRL.errors import PortError, TransientError
from neroRL.leases import try_lease

pytestmark = pytest.mark.usefixtures("ports")

FIRST = 31000

HOLD = """
import sys
from neroRL.environments.unity.ports import leased_worker_ids

with leased_worker_ids(int(sys.argv[1]), 3) as first:
    print(first, flush=True)
    sys.stdin.read()
"""


def test_blocks_are_disjoint_and_released():
    with leased_worker_ids(FIRST, 4) as one, leased_worker_ids(FIRST, 3) as other:
        assert (one, other) == (FIRST, FIRST + 4)
        with leased_worker_ids(FIRST + 100, 2) as third:
            assert third == FIRST + 100
    with leased_worker_ids(FIRST, 4) as again:
        assert again == FIRST


def test_blocks_of_processes_are_disjoint_and_end_with_them():
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", HOLD, str(FIRST)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    firsts = sorted(int(process.stdout.readline()) for process in processes if process.stdout)
    assert all(later - earlier >= 3 for earlier, later in pairwise(firsts))
    for process in processes:
        process.kill()
        process.communicate()
    with leased_worker_ids(FIRST, 12) as first:
        assert first == FIRST


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_taken_port_is_skipped(address):
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind((address, 5005 + FIRST + 2))
        other.listen()
        with leased_worker_ids(FIRST, 3) as first:
            assert first == FIRST + 3
        with leased_worker_ids(FIRST, 2) as first:
            assert first == FIRST


def test_running_out_of_ports_is_a_transient_error():
    last = 65535 - 5005
    with leased_worker_ids(last - 1, 2) as first:
        assert first == last - 1
        with pytest.raises(PortError, match="no 2 ports in a row are free from 65534 on"):
            leased_worker_ids(last - 1, 2).__enter__()
    assert issubclass(PortError, TransientError)
    lease = try_lease("port-65534")
    assert lease is not None
    lease.release()


def test_simultaneous_searches_leave_no_gaps():
    together = threading.Barrier(4)
    found: list[list[int]] = [[] for _ in range(4)]

    def search(of_this: list[int]) -> None:
        for _ in range(10):
            together.wait()
            with leased_worker_ids(FIRST, 3) as first:
                of_this.append(first)
                together.wait()

    threads = [threading.Thread(target=search, args=(of_this,)) for of_this in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for firsts in zip(*found, strict=True):
        assert sorted(firsts) == [FIRST, FIRST + 3, FIRST + 6, FIRST + 9]
