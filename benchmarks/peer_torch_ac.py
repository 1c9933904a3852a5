"""Trains a workload of vectors with torch-ac: ``python -m benchmarks.peer_torch_ac W2 8``.

The network follows torch-ac's README, with our layers: a linear layer of 128, an embedding and a
GRU cell of the memory's size, one hidden layer of 512, and one of 512 for each head. torch-ac steps
each environment in its own process; the memory of these processes is added.
"""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch_ac
from torch import Tensor, nn
from torch.distributions import Categorical

from benchmarks.measuring import SPEED, peak_mib
from benchmarks.peer import make
from benchmarks.workloads import BATCH, EPOCHS, MINI_BATCHES, STEPS, WORKERS, WORKLOADS

UNITS, VECTOR_UNITS = 512, 128


class Network(nn.Module, torch_ac.ACModel):
    """The policy and value of a workload without memory.

    Args:
        inputs: length of an observation.
        actions: number of actions.
    """

    def __init__(self, inputs: int, actions: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(inputs, VECTOR_UNITS), nn.ReLU())
        self.outputs = Outputs(VECTOR_UNITS, actions)

    def forward(self, observations: Tensor) -> tuple[Categorical, Tensor]:
        """Returns policy and value."""
        return self.outputs(self.encoder(observations))


class RecurrentNetwork(nn.Module, torch_ac.RecurrentACModel):
    """The policy and value of a workload with a GRU.

    Args:
        inputs: length of an observation.
        actions: number of actions.
        memory_size: length of the state.
    """

    memory_size = 0

    def __init__(self, inputs: int, actions: int, memory_size: int) -> None:
        super().__init__()
        self.memory_size = memory_size
        self.encoder = nn.Sequential(
            nn.Linear(inputs, VECTOR_UNITS), nn.ReLU(), nn.Linear(VECTOR_UNITS, memory_size)
        )
        self.cell = nn.GRUCell(memory_size, memory_size)
        self.outputs = Outputs(memory_size, actions)

    def forward(self, observations: Tensor, memory: Tensor) -> tuple[Categorical, Tensor, Tensor]:
        """Returns policy, value and the next state."""
        memory = self.cell(torch.relu(self.encoder(observations)), memory)
        policy, value = self.outputs(memory)
        return policy, value, memory


class Outputs(nn.Module):
    """The hidden layer and both heads.

    Args:
        inputs: number of features of the encoder or the memory.
        actions: number of actions.
    """

    def __init__(self, inputs: int, actions: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(inputs, UNITS), nn.ReLU())
        self.actor = nn.Sequential(nn.Linear(UNITS, UNITS), nn.ReLU(), nn.Linear(UNITS, actions))
        self.critic = nn.Sequential(nn.Linear(UNITS, UNITS), nn.ReLU(), nn.Linear(UNITS, 1))

    def forward(self, features: Tensor) -> tuple[Categorical, Tensor]:
        """Returns policy and value."""
        hidden = self.hidden(features)
        return Categorical(logits=self.actor(hidden)), self.critic(hidden).squeeze(1)


def preprocess(observations: list[np.ndarray], device: torch.device | None = None) -> Tensor:
    """Returns the observations of all environments as one tensor."""
    return torch.from_numpy(np.stack(observations)).to(device)


def private_mib(process: int) -> float:
    """Returns the memory of a forked process that it does not share with its parent, in MiB."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def main(name: str, updates: int) -> None:
    """Measures the updates after the first."""
    recurrence: dict[str, Any] | None = WORKLOADS[name].recurrence
    environments = [make(WORKLOADS[name].environment) for _ in range(WORKERS)]
    sizes = environments[0].observation_space.shape[0], int(environments[0].action_space.n)
    algorithm = torch_ac.PPOAlgo(
        environments,
        RecurrentNetwork(*sizes, recurrence["hidden_state_size"])
        if recurrence
        else Network(*sizes),
        torch.device("cpu"),
        STEPS,
        recurrence=recurrence["sequence_length"] if recurrence else 1,
        epochs=EPOCHS,
        batch_size=BATCH // MINI_BATCHES,
        preprocess_obss=preprocess,
    )
    times = []
    for _ in range(updates + 1):
        experiences, _ = algorithm.collect_experiences()
        algorithm.update_parameters(experiences)
        times.append(time.perf_counter())
    of_environments = sum(private_mib(child.pid) for child in multiprocessing.active_children())
    speed = BATCH * updates / (times[-1] - times[0])
    print(json.dumps({SPEED: speed, "peak_mib": peak_mib() + of_environments}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
