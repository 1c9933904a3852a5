"""Tests how workers share cores and GPUs."""

from __future__ import annotations

import pytest

from neroRL.sweep.pool import default_size, threads_of, visible_gpus


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
