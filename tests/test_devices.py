"""Tests that each job gets one GPU if a launcher leaves several visible, with simulated GPUs."""

from contextlib import ExitStack

import pytest
import torch

from neroRL import devices, leases
from neroRL.devices import own_device
from neroRL.leases import share


@pytest.fixture(autouse=True)
def _own_leases(tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "PLACES", (str(tmp_path),))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_jobs_share_gpus_evenly(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    with ExitStack() as jobs:
        used = [jobs.enter_context(own_device(torch.device("cuda"))) for _ in range(7)]
    assert [device.index for device in used] == [0, 1, 2, 0, 1, 2, 0]
    with own_device(torch.device("cuda")) as device:
        assert device.index == 0


@pytest.mark.parametrize(
    ("visible", "count", "names"),
    [
        (None, 2, ["0", "1"]),
        ("4,6", 2, ["4", "6"]),
        ("GPU-8f, GPU-2c", 2, ["GPU-8f", "GPU-2c"]),
        ("4,9", 1, ["0"]),  # CUDA does not see all listed GPUs
    ],
)
def test_gpus_have_the_names_of_the_machine(monkeypatch, visible, count, names):
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices.names_of_gpus(count) == names


@pytest.mark.parametrize(
    ("asked", "count", "used"),
    [("cuda", 4, "cuda:0"), ("cuda", 1, "cuda"), ("cpu", 4, "cpu"), ("cuda:2", 4, "cuda:2")],
)
def test_a_job_leases_a_gpu_if_there_are_several(monkeypatch, asked, count, used):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with own_device(torch.device(asked)) as device:
        assert device == torch.device(used)
        index, lease = share(["gpu-0", "gpu-1"])
        assert index == (used == "cuda:0")
        lease.release()
