"""The workloads, with equal layer sizes and batches for neroRL and its peers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

WORKERS, STEPS, EPOCHS, MINI_BATCHES = 16, 256, 4, 8
BATCH = WORKERS * STEPS
MAX_EPISODE_STEPS = 96


@dataclass(frozen=True)
class Workload:
    """One training workload.

    Attributes:
        title: a description for the table.
        environment: the ``environment`` section; the peers make the same environment.
        recurrence: the ``recurrence`` section, if any.
        updates: number of measured updates, after one to warm up.
        goal: the ratio to reach; None without one.
        with_torch_ac: whether torch-ac trains it, too.
        model: further keys of the ``model`` section.
        workers: number of environments.
        steps: of each environment in a rollout.
        epochs: passes over the batch of an update.
        mini_batches: in a pass.
        trainer: further keys of the ``trainer`` section.
    """

    title: str
    environment: dict[str, Any]
    recurrence: dict[str, Any] | None
    updates: int
    goal: float | None
    with_torch_ac: bool = False
    model: Mapping[str, Any] = field(default_factory=dict)
    workers: int = WORKERS
    steps: int = STEPS
    epochs: int = EPOCHS
    mini_batches: int = MINI_BATCHES
    trainer: Mapping[str, Any] = field(default_factory=dict)

    @property
    def batch(self) -> int:
        """The steps of an update."""
        return self.workers * self.steps

    def config(self, updates: int) -> dict[str, Any]:
        """Returns neroRL's config."""
        passes = {"epochs": self.epochs, "n_mini_batches": self.mini_batches}
        return {
            "environment": self.environment,
            "model": {"num_hidden_layers": 1, "recurrence": self.recurrence, **self.model},
            "sampler": {"n_workers": self.workers, "worker_steps": self.steps},
            "trainer": {"updates": updates, **passes, **self.trainer},
            "seed": 0,
            "device": "cpu",
        }


def gru(size: int) -> dict[str, Any]:
    """Returns the ``recurrence`` section of a GRU."""
    return {"hidden_state_size": size, "sequence_length": 16}


def minigrid(kind: str, name: str, view_size: int = 3) -> dict[str, Any]:
    """Returns the ``environment`` section of a MiniGrid task."""
    params = {"view-size": view_size, "max-episode-steps": MAX_EPISODE_STEPS}
    return {"type": kind, "name": name, "reset_params": params}


CARTPOLE = {"type": "CartPole", "name": "CartPole-v1"}
MEMORY_S13 = minigrid("Minigrid", "MiniGrid-MemoryS13-v0")
MEMORY_S7 = minigrid("MinigridVec", "MiniGrid-MemoryS7-v0")
DOOR_KEY = minigrid("Minigrid", "MiniGrid-DoorKey-8x8-v0", view_size=7)

NORMALIZED = {"type": "Gymnasium", "normalize_vector_obs": True, "normalize_returns": True}
PENDULUM = {**NORMALIZED, "name": "Pendulum-v1"}
CHEETAH = {**NORMALIZED, "name": "HalfCheetah-v5"}
PONG = {
    "type": "Atari",
    "name": "ALE/Pong-v5",
    "frame_skip": 4,
    "grayscale": True,
    "obs_stacks": 4,
    "clip_rewards": True,
}

WORKLOADS = {
    "W1": Workload("images, GRU 256: MemoryS13", MEMORY_S13, gru(256), 1, 12.0),
    "W2": Workload("vectors, GRU 32: MemoryS7", MEMORY_S7, gru(32), 3, 4.0, True),
    "W3": Workload("vectors, no memory: MemoryS7", MEMORY_S7, None, 12, 6.0, True),
    "W4": Workload("CartPole, no memory", CARTPOLE, None, 8, 1.5),
    "W4-GRU": Workload("CartPole, GRU 32", CARTPOLE, gru(32), 3, 3.5),
    "W5": Workload("images of view 7, no memory: DoorKey-8x8", DOOR_KEY, None, 1, 3.0),
    # Batches and hyperparameters of the RL Zoo of Stable-Baselines3, layers of the shipped configs.
    "W8": Workload(
        "numbers as actions: Pendulum",
        PENDULUM,
        None,
        2,
        1.5,
        model={"num_vec_encoder_units": 64, "num_hidden_units": 64},
        workers=4,
        steps=1024,
        epochs=10,
        mini_batches=64,
        trainer={"gamma": 0.9, "clip_value_loss": False},
    ),
    "W9": Workload(
        "numbers as actions: HalfCheetah",
        CHEETAH,
        None,
        6,
        1.5,
        model={"vec_encoder": "none", "num_hidden_units": 256, "log_std_init": -2.0},
        workers=1,
        steps=512,
        epochs=20,
        mini_batches=8,
        trainer={"gamma": 0.98, "lamda": 0.92, "max_grad_norm": 0.8, "clip_value_loss": False},
    ),
    "W10": Workload("Atari: Pong", PONG, None, 2, None, workers=8, steps=128, mini_batches=4),
}
