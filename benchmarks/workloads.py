"""The workloads, with equal layer sizes and batches for neroRL and its peers."""

from __future__ import annotations

from dataclasses import dataclass
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
        goal: the ratio to reach.
        with_torch_ac: whether torch-ac trains it, too.
    """

    title: str
    environment: dict[str, Any]
    recurrence: dict[str, Any] | None
    updates: int
    goal: float
    with_torch_ac: bool = False

    def config(self, updates: int) -> dict[str, Any]:
        """Returns neroRL's config."""
        return {
            "environment": self.environment,
            "model": {"num_hidden_layers": 1, "recurrence": self.recurrence},
            "sampler": {"n_workers": WORKERS, "worker_steps": STEPS},
            "trainer": {"updates": updates, "epochs": EPOCHS, "n_mini_batches": MINI_BATCHES},
            "seed": 0,
            "device": "cpu",
        }


def _gru(size: int) -> dict[str, Any]:
    return {"hidden_state_size": size, "sequence_length": 16}


def _minigrid(kind: str, name: str, view_size: int = 3) -> dict[str, Any]:
    params = {"view-size": view_size, "max-episode-steps": MAX_EPISODE_STEPS}
    return {"type": kind, "name": name, "reset_params": params}


CARTPOLE = {"type": "CartPole", "name": "CartPole-v1"}
MEMORY_S13 = _minigrid("Minigrid", "MiniGrid-MemoryS13-v0")
MEMORY_S7 = _minigrid("MinigridVec", "MiniGrid-MemoryS7-v0")
DOOR_KEY = _minigrid("Minigrid", "MiniGrid-DoorKey-8x8-v0", view_size=7)

WORKLOADS = {
    "W1": Workload("images, GRU 256: MemoryS13", MEMORY_S13, _gru(256), 1, 12.0),
    "W2": Workload("vectors, GRU 32: MemoryS7", MEMORY_S7, _gru(32), 3, 4.0, True),
    "W3": Workload("vectors, no memory: MemoryS7", MEMORY_S7, None, 12, 6.0, True),
    "W4": Workload("CartPole, no memory", CARTPOLE, None, 8, 1.5),
    "W4-GRU": Workload("CartPole, GRU 32", CARTPOLE, _gru(32), 3, 3.5),
    "W5": Workload("images of view 7, no memory: DoorKey-8x8", DOOR_KEY, None, 1, 3.0),
}
