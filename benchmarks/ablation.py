"""Each technique alone switched off: ``python -m benchmarks.ablation [W1 W2 W5]``."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import torch

from benchmarks.workloads import BATCH, WORKLOADS
from neroRL.config.checks import build
from neroRL.environments.cartpole import CartPole
from neroRL.environments.environment_type import EnvironmentType
from neroRL.environments.minigrid import Minigrid, MinigridVec
from neroRL.models.actor import ObservedRows
from neroRL.training import batches, rollout, trainer
from neroRL.training.trainer import Progress, train

UPDATES = 3
DEFAULT = ("W1", "W2", "W5")


@contextlib.contextmanager
def everything_on() -> Iterator[None]:
    """Nothing switched off."""
    yield


@contextlib.contextmanager
def without_distinct_observations() -> Iterator[None]:
    """Every observation is computed, in rollouts and in mini batches."""

    def all_rows(self: ObservedRows, ids: np.ndarray) -> np.ndarray:
        if int(ids.max()) >= len(self._row_of_id):
            self._row_of_id = np.full(2 * (int(ids.max()) + 1), -1, np.int64)
        first, count = self.length, len(ids)
        with mock.patch.object(np, "unique", lambda a, **_: (a, np.arange(len(a)))):
            compute(self, ids)
        return np.arange(first, first + count)

    compute = ObservedRows._compute
    with (
        mock.patch.object(ObservedRows, "rows", all_rows),
        mock.patch.object(rollout, "MOST_DISTINCT", 0.0),
    ):
        yield


@contextlib.contextmanager
def without_batched_environments() -> Iterator[None]:
    """Real environments, one after the other."""
    with contextlib.ExitStack() as stack:
        for kind in (CartPole, Minigrid, MinigridVec):
            stack.enter_context(mock.patch.object(kind, "make_batch", EnvironmentType.make_batch))
        yield


@contextlib.contextmanager
def padding_to_the_longest_episode() -> Iterator[None]:
    """Pieces padded to the longest episode of a rollout, as in neroRL."""
    original = batches._mini_batch

    def padded(data: rollout.Rollout, pieces: batches.PieceIndex, chosen: np.ndarray):  # type: ignore[no-untyped-def]
        episodes = batches.cut_into_pieces(data.starts, 0)
        made = original(data, pieces, chosen)
        length, count = made.row_of_step.shape
        longest = int(episodes.length.max())
        padding = np.zeros((longest - length, count), made.row_of_step.dtype)
        steps = np.arange(length * count) if made.steps is None else made.steps
        return made._replace(row_of_step=np.concatenate((made.row_of_step, padding)), steps=steps)

    with mock.patch.object(batches, "_mini_batch", padded):
        yield


@contextlib.contextmanager
def without_a_fused_optimizer() -> Iterator[None]:
    """AdamW parameter by parameter."""

    def plain(model: torch.nn.Module) -> torch.optim.AdamW:
        return torch.optim.AdamW(model.parameters(), eps=1e-8, weight_decay=0.01, foreach=False)

    with mock.patch.object(trainer, "make_optimizer", plain):
        yield


TECHNIQUES: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
    "everything on": everything_on,
    "distinct observations": without_distinct_observations,
    "batched environments": without_batched_environments,
    "padding to the longest piece": padding_to_the_longest_episode,
    "fused optimiser": without_a_fused_optimizer,
}


def measure(name: str, technique: str) -> float:
    """Steps a second of one workload with one technique off."""
    times: list[float] = []

    def note(_: Progress) -> None:
        times.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as directory, TECHNIQUES[technique]():
        train(build(WORKLOADS[name].config(UPDATES + 1)), Path(directory), on_update=note)
    return BATCH * UPDATES / (times[-1] - times[0])


def main(names: list[str]) -> None:
    """Measures each technique in a process of its own and prints a table."""
    print("| without | " + " | ".join(names) + " |\n|---|" + "---|" * len(names))
    for technique in TECHNIQUES:
        cells = []
        for name in names:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.ablation", "--one", name, technique],
                capture_output=True,
                text=True,
                check=True,
            )
            cells.append(f"{json.loads(done.stdout.splitlines()[-1]):,.0f}")
        print(f"| {technique} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(sys.argv[2], sys.argv[3])))
    else:
        main(sys.argv[1:] or list(DEFAULT))
