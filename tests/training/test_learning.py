"""Tests that PPO learns several tasks, and that tasks that need a memory need one."""

from __future__ import annotations

import contextlib
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from neroRL.composition.checking import check
from neroRL.composition.source import primary_content
from neroRL.config.checks import build
from neroRL.config.documents import read_document
from neroRL.training.trainer import train

pytestmark = pytest.mark.slow
PUBLISHED = Path(__file__).resolve().parents[1] / "published"
STAYS = 10
"""Updates in a row after which a reward that was reached counts as learned."""


class Learned(Exception):
    """Ends a training whose reward has stayed where it should come to."""


def _last_reward(config, directory: Path, wanted: float) -> float:
    """Trains until the reward has stayed at what is wanted, or else to the end."""
    reward, stayed = float("nan"), 0

    def look(progress) -> None:
        nonlocal reward, stayed
        reward = float("nan") if progress.reward_mean is None else progress.reward_mean
        stayed = stayed + 1 if reward >= wanted else 0
        if stayed == STAYS:
            raise Learned

    with contextlib.suppress(Learned):
        train(config, directory, on_update=look)
    return reward


def _cartpole(memory):
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
            **memory,
        },
        "sampler": {"n_workers": 16, "worker_steps": 128},
        "trainer": {
            "updates": 130,
            "learning_rate_schedule": {"initial": 1.0e-3, "final": 1.0e-6},
        },
    }


RECURRENCE = {"hidden_state_size": 64, "sequence_length": 16}
TRANSFORMER = {"embed_dim": 32, "num_heads": 4, "memory_length": 16}
MEMORIES = {
    "none": {},
    "gru": {"recurrence": RECURRENCE},
    "lstm": {"recurrence": {"layer_type": "lstm", **RECURRENCE}},
    "transformer": {"transformer": TRANSFORMER},
    "learned positions": {"transformer": {**TRANSFORMER, "positional_encoding": "learned"}},
    "gated transformer": {"transformer": {**TRANSFORMER, "num_blocks": 2, "gtrxl": True}},
}


class Recall(gymnasium.Env):
    """Shows -1 or 1 in the first of ten steps; rewards the last action if it matches."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed, options=options)
        self._shown = int(self.np_random.integers(2))
        self._step = 0
        return np.array([2 * self._shown - 1, 0], np.float32), {}

    def step(self, action):
        self._step += 1
        over = self._step == 10
        reward = (1.0 if action == self._shown else -1.0) if over else 0.0
        return np.array([0, self._step == 9], np.float32), reward, over, False, {}


gymnasium.register("Recall-v0", Recall)


@pytest.mark.parametrize("memory", MEMORIES)
def test_recalling_needs_memory(tmp_path, memory):
    config = build(
        {
            "environment": {"type": "Gymnasium", "name": "Recall-v0"},
            "model": {
                "num_vec_encoder_units": 16,
                "num_hidden_layers": 1,
                "num_hidden_units": 32,
                **MEMORIES[memory],
            },
            "sampler": {"n_workers": 16, "worker_steps": 50},
            "trainer": {
                "updates": 100,
                "learning_rate_schedule": {"initial": 1.0e-3, "final": 1e-5},
            },
            "seed": 1,
            "threads": 1,
        }
    )
    reward = _last_reward(config, tmp_path, wanted=0.98)
    if memory == "none":
        # Within four standard errors of the mean of 100 throws of a fair coin.
        assert abs(reward) <= 0.4
    else:
        assert reward >= 0.98


@pytest.mark.parametrize("memory", ["none", "gru", "lstm"])
def test_cartpole_without_velocities_needs_memory(tmp_path, memory):
    solves = memory != "none"
    config = build({**_cartpole(MEMORIES[memory]), "seed": 1, "threads": 1})
    reward = _last_reward(config, tmp_path, wanted=195)
    assert (reward >= 195) is solves, reward


def test_the_published_cartpole_config_learns(tmp_path):
    """CartPole-v0 ends at 200 steps; none of the config's schedules depends on the updates."""
    content = primary_content(read_document(PUBLISHED / "cartpole-8dd62bd.yaml"))
    sections = {key: content[key] for key in ("environment", "model", "evaluation", "sampler")}
    trainer = {**content["trainer"], "updates": 40}
    config = check({**sections, "trainer": trainer, "seed": 1, "threads": 1})
    reward = _last_reward(config, tmp_path, wanted=181)
    assert reward > 180, reward


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
    reward = _last_reward(config, tmp_path, wanted=0.9)
    assert reward >= 0.9, reward
