"""One GPU per job where a launcher leaves several visible; the GPUs are made up here."""

import pytest
import torch

from neroRL import devices
from neroRL.leases import try_lease


@pytest.fixture(autouse=True)
def _own_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_jobs_choose_different_gpus():
    first, lease = devices.lease_gpu(["0", "1"])
    second, other = devices.lease_gpu(["0", "1"])
    assert [first, second] == [0, 1]
    assert lease is not None
    assert other is not None
    third, none = devices.lease_gpu(["0", "1"])
    assert third in (0, 1)
    assert none is None
    lease.release()
    assert devices.lease_gpu(["0", "1"])[0] == 0


def test_a_gpu_is_the_same_under_every_index():
    """Processes that see GPUs in another order lease the same things."""
    seen = [["3", "7"], ["3", "7"], ["7", "3", "5"]]
    chosen = [devices.lease_gpu(names) for names in seen]
    assert [names[index] for names, (index, _) in zip(seen, chosen, strict=True)] == ["3", "7", "5"]


@pytest.mark.parametrize(
    ("visible", "count", "names"),
    [
        (None, 2, ["0", "1"]),
        ("4,6", 2, ["4", "6"]),
        ("GPU-8f, GPU-2c", 2, ["GPU-8f", "GPU-2c"]),
        ("4,9", 1, ["0"]),  # CUDA does not see all that is listed
    ],
)
def test_names_are_those_of_the_machine(monkeypatch, visible, count, names):
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert devices.names_of_gpus(count) == names


@pytest.mark.parametrize(
    ("asked", "count", "used"),
    [("cuda", 4, "cuda:0"), ("cuda", 1, "cuda"), ("cpu", 4, "cpu"), ("cuda:2", 4, "cuda:2")],
)
def test_a_job_leases_where_there_is_a_choice(monkeypatch, asked, count, used):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with devices.own_device(torch.device(asked)) as device:
        assert device == torch.device(used)
        free = try_lease("gpu-0")
        assert (free is None) == (used == "cuda:0")
        if free is not None:
            free.release()
    assert try_lease("gpu-0") is not None
