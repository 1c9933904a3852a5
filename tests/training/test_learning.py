"""PPO learns: tasks that need it reach their return, with memory only where memory is needed."""

from __future__ import annotations

import pytest

from neroRL.config.checks import build
from neroRL.training.trainer import train

pytestmark = pytest.mark.slow


def _cartpole(recurrence):
    return {
        "environment": {
            "type": "CartPole",
            "name": "CartPole-v1",
            "reset_params": {"mask-velocity": True},
        },
        "model": {
            "num_vec_encoder_units": 32,
            "num_hidden_layers": 1,
            "num_hidden_units": 64,
            "recurrence": recurrence,
        },
        "sampler": {"n_workers": 16, "worker_steps": 128},
        "trainer": {
            "updates": 130,
            "learning_rate_schedule": {"initial": 1.0e-3, "final": 1.0e-6},
        },
    }


@pytest.mark.parametrize(("memory", "solves"), [("gru", True), ("lstm", True), (None, False)])
def test_cartpole_without_velocities_needs_memory(tmp_path, memory, solves):
    size = {"layer_type": memory, "hidden_state_size": 64, "sequence_length": 16}
    config = build({**_cartpole(size if memory else None), "seed": 1, "threads": 1})
    outcome = train(config, tmp_path)
    assert (outcome.reward_mean >= 195) is solves, outcome.reward_mean


@pytest.mark.parametrize("type_", ["Minigrid", "MinigridVec"])
def test_minigrid_empty_is_solved(tmp_path, type_):
    config = build(
        {
            "environment": {"type": type_, "name": "MiniGrid-Empty-Random-6x6-v0"},
            "model": {"num_hidden_layers": 1},
            "sampler": {"n_workers": 16, "worker_steps": 128},
            "trainer": {
                "updates": 30,
                "n_mini_batches": 8,
                "beta_schedule": {"initial": 0.01, "final": 1.0e-4},
            },
            "seed": 1,
            "threads": 1,
        }
    )
    outcome = train(config, tmp_path)
    assert outcome.reward_mean >= 0.9, outcome.reward_mean
