"""Tests that the ablation switches techniques off without changing what is computed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.ablation import ALL_ON, TECHNIQUES
from neroRL.config.checks import build
from neroRL.training import checkpoint as checkpoints
from neroRL.training.trainer import train

CONFIG = {
    "environment": {"type": "MinigridVec", "name": "MiniGrid-MemoryS7-v0"},
    "model": {"num_vec_encoder_units": 8, "num_hidden_units": 8, "recurrence": {}},
    "sampler": {"n_workers": 3, "worker_steps": 32},
    "trainer": {"updates": 2, "n_mini_batches": 2, "clip_range_schedule": {"initial": 0.01}},
    "seed": 3,
    "threads": 1,
    "device": "cpu",
}


def _weights(directory: Path, technique: str, **trainer: object) -> dict[str, torch.Tensor]:
    config = {**CONFIG, "trainer": {**CONFIG["trainer"], **trainer}}
    with TECHNIQUES[technique]():
        train(build(config), directory)
    path = checkpoints.checkpoint_path(directory, "default", 2)
    return checkpoints.load(path, torch.device("cpu")).model


@pytest.fixture(scope="module")
def all_on(tmp_path_factory):
    """The weights of the trainings with all techniques, by whether the value loss is clipped."""
    directory = tmp_path_factory.mktemp("on")
    return {
        clip: _weights(directory / str(clip), ALL_ON, clip_value_loss=clip)
        for clip in (True, False)
    }


@pytest.mark.slow
@pytest.mark.parametrize("technique", [name for name in TECHNIQUES if name != ALL_ON])
@pytest.mark.parametrize("clip_value_loss", [True, False])
def test_a_training_without_a_technique_learns_the_same(
    all_on, tmp_path, technique, clip_value_loss
):
    theirs = _weights(tmp_path, technique, clip_value_loss=clip_value_loss)
    for name, weight in all_on[clip_value_loss].items():
        torch.testing.assert_close(weight, theirs[name], rtol=1e-3, atol=1e-5, msg=name)
