"""Tests how many threads a training has, and what does not depend on them."""

from __future__ import annotations

import pytest
import torch

from neroRL import cores
from neroRL.config.checks import build
from neroRL.environments.factory import make_vector
from neroRL.models.actor_critic import seeded_model
from neroRL.training.trainer import train

CARTPOLE = {"type": "CartPole", "name": "CartPole-v1"}
IMAGES = {"type": "Minigrid", "name": "MiniGrid-Empty-5x5-v0", "resize_vis_obs": [36, 36]}
# Encoder, hidden layer and heads: 4 · 64 + 64 · 64 + 64 · 1024 products a row, and some.
SMALL = {"num_vec_encoder_units": 64, "num_hidden_layers": 1, "num_hidden_units": 64}


def _config(environment=CARTPOLE, model=SMALL, n_workers=2, worker_steps=32, threads="auto"):
    return build(
        {
            "environment": environment,
            "model": model,
            "sampler": {"n_workers": n_workers, "worker_steps": worker_steps},
            "trainer": {"updates": 1, "epochs": 1, "n_mini_batches": 1},
            "seed": 3,
            "threads": threads,
            "device": "cpu",
        }
    )


@pytest.fixture(autouse=True)
def three_cores(monkeypatch):
    """Lets a training use three cores, wherever it runs."""
    monkeypatch.setattr(cores, "_share", 3)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


WIDE = {**SMALL, "num_hidden_units": 2048}


@pytest.mark.parametrize(
    ("described", "threads"),
    [
        ({}, 1),  # 64 rows of 72,000 weights
        ({"worker_steps": 400}, 3),
        ({"model": WIDE}, 3),
        ({"model": WIDE, "n_workers": 1, "worker_steps": 8}, 1),
        ({"environment": IMAGES}, 3),
        ({"threads": 2}, 2),
        ({"model": WIDE, "threads": 1}, 1),
    ],
)
def test_a_small_network_has_one_thread_unless_the_config_says_how_many(
    tmp_path, described, threads
):
    result = train(_config(**described), tmp_path)
    assert result.threads == torch.get_num_threads() == threads


@pytest.mark.parametrize(("kept", "threads"), [(1, 1), (2, 2), (1000, 3)])
def test_a_continued_training_keeps_its_threads(tmp_path, monkeypatch, caplog, kept, threads):
    monkeypatch.setattr("neroRL.training.placement.available_cores", lambda: 4)
    train(_config(threads=1, worker_steps=400), tmp_path)
    (path,) = tmp_path.glob("checkpoints/*.pt")
    content = torch.load(path, weights_only=True)
    torch.save({**content, "threads": kept}, path)
    result = train(_config(worker_steps=400), tmp_path, checkpoint=path)
    assert result.threads == threads
    assert ("1000 threads so far: last bits may differ" in caplog.text) == (kept == 1000)
    named = _config(worker_steps=400, threads=3)
    assert train(named, tmp_path, checkpoint=path).threads == 3


def test_initial_weights_do_not_depend_on_the_number_of_threads():
    config = _config(model={**SMALL, "num_hidden_units": 512})
    environment = make_vector(config.environment, 1, seed=0)
    networks = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        networks.append(seeded_model(config.model, environment.specification, 3))
        assert torch.get_num_threads() == threads
    one, two = networks
    for first, second in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(first, second)
