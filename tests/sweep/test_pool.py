"""Tests how workers share cores and GPUs."""

from __future__ import annotations

from importlib.machinery import ModuleSpec

import pytest

from neroRL.cores import available_cores
from neroRL.records.sweeps import read_sweep
from neroRL.sweep import pool
from neroRL.sweep.pool import default_size, threads_of, visible_gpus
from tests.doors.sweeps import ARGUMENTS


@pytest.mark.parametrize(
    ("jobs", "cores", "gpus", "size", "threads"),
    [(48, 2, [], 2, 1), (1, 8, [], 1, 8), (3, 8, [], 3, 2), (48, 16, ["0", "1"], 2, 8)],
)
def test_cores_are_divided(jobs, cores, gpus, size, threads):
    assert default_size(jobs, cores, gpus) == size
    assert threads_of(size, cores) == threads


@pytest.mark.parametrize(
    ("visible", "names"), [("", []), ("-1", []), ("2, 5", ["2", "5"]), ("GPU-8f", ["GPU-8f"])]
)
def test_visible_gpus(monkeypatch, visible, names):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert visible_gpus() == names


@pytest.mark.parametrize(("library", "names"), [("cpu", []), ("cuda", ["0", "2", "10"])])
def test_gpus_that_torch_cannot_use_are_none(monkeypatch, tmp_path, library, names):
    """With a torch for CPUs a sweep has a worker for each core, whatever cards there are."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name in ("nvidia0", "nvidia10", "nvidia2", "nvidiactl"):
        (tmp_path / name).touch()
    (tmp_path / "lib").mkdir()
    (tmp_path / f"lib/libtorch_{library}.so").touch()
    monkeypatch.setattr(pool, "DEVICES", tmp_path)
    spec = ModuleSpec("torch", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr("importlib.util.find_spec", lambda _: spec)
    assert visible_gpus() == names


@pytest.mark.slow
@pytest.mark.skipif(available_cores() < 2, reason="one core has one thread")
def test_threads_of_a_job_do_not_depend_on_how_many_are_left(door, tiny, tmp_path):
    """Last bits differ with them: what runs later has to equal what would have run at once."""
    # 16 rows of two million weights, which are worth more than one thread.
    tiny.write_text(
        tiny.read_text()
        .replace("num_hidden_units: 8", "num_hidden_units: 1024")
        .replace("num_hidden_layers: 1", "num_hidden_layers: 2")
        .replace("threads: 1", "threads: auto")
    )
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9, 0.99]\n")
    assert door("ntune", [*ARGUMENTS, "hydra.sweeper.only=[1]"]).status == 0
    assert door("ntune", ARGUMENTS).status == 0
    sweep = read_sweep(tmp_path / "out/run")
    assert [one.threads for one in sweep.results] == [available_cores() // 2] * 2


def test_each_worker_sees_one_gpu(door, tiny, tmp_path, monkeypatch):
    """Only the variable that names a worker's GPU is checked; the training runs on the CPU."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,4")
    (tmp_path / "told.py").write_text(
        "import os, gymnasium\n"
        "from gymnasium.envs.classic_control import CartPoleEnv\n"
        "def make(**rest):\n"
        "    print('GPU', os.environ['CUDA_VISIBLE_DEVICES'], flush=True)\n"
        "    return CartPoleEnv(**rest)\n"
        "gymnasium.register('Told-v0', make)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    text = tiny.read_text().replace("type: CartPole", "type: Gymnasium")
    tiny.write_text(text.replace("CartPole-v1", "told:Told-v0"))
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9, 0.95]\n")
    outcome = door("ntune", ["--config=tiny.yaml", "--tune=space.yaml", "--out=out"])
    assert outcome.status == 0, outcome.err
    told = [
        (tmp_path / f"out/default/{number}/0/output.log").read_text().split()[1]
        for number in range(2)
    ]
    assert set(told) <= {"3", "4"}
