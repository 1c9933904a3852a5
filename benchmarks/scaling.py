"""Measures how cost grows with environments, the length of pieces, and the size of a grid."""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from benchmarks.measuring import SPEED, measure, peak_mib
from benchmarks.workloads import BATCH, WORKLOADS
from neroRL.composition.application import run as run_hydra

UPDATES = 4
WORKERS = (4, 16, 64, 256)
LENGTHS = (4, 16, 64, 0)
# The numbers of choices of two axes; their product is the size of the grid.
GRIDS = {10: (5, 2), 1_000: (50, 20), 100_000: (500, 200)}
STARTED = "started"


def training(workers: int, length: int) -> dict[str, float]:
    """Returns the speed of W2 with other numbers and the same batch size."""
    from benchmarks.ours import measure_training  # imports torch, which a sweep does not

    workload = WORKLOADS["W2"]
    memory = {**(workload.recurrence or {}), "sequence_length": length}
    config = dataclasses.replace(workload, recurrence=memory).config(UPDATES + 1)
    config["sampler"] = {"n_workers": workers, "worker_steps": BATCH // workers}
    return measure_training(config, UPDATES)


def first_job(config: DictConfig) -> float:
    """Records the time and fails, which ends the sweep."""
    from hydra.core.hydra_config import HydraConfig

    directory = Path(HydraConfig.get().runtime.output_dir).parent.parent
    (directory / STARTED).write_text(repr(time.time()))
    raise RuntimeError(f"enough was seen of {config.run_id}")


def grid(first: int, second: int) -> dict[str, float]:
    """Returns the seconds until the first job, and the memory of the sweep's process."""
    axes = [
        f"trainer.gamma={','.join(str(0.9 + number / 10_000) for number in range(first))}",
        f"model.num_hidden_units=range(8,{8 + second})",
    ]
    options = ["hydra.sweeper.fail_fast=true", "hydra.sweeper.n_jobs=1", "seed=1"]
    with tempfile.TemporaryDirectory() as directory:
        out = f"{directory}/out"
        began = time.time()
        run_hydra(["-m", f"hydra.sweep.dir={out}", *axes, *options], first_job)
        started = float(Path(out, STARTED).read_text())
    return {"seconds": started - began, "peak_mib": peak_mib()}


def run(rounds: int) -> dict[str, Any]:  # noqa: ARG001 - once each
    """Measures each number in its own process."""
    return {
        "workers": {n: measure("scaling", "training", str(n), "16") for n in WORKERS},
        "lengths": {n: measure("scaling", "training", "16", str(n)) for n in LENGTHS},
        "grids": {n: measure("scaling", "grid", *map(str, sizes)) for n, sizes in GRIDS.items()},
    }


def table(results: dict[str, Any]) -> str:
    """Returns three short tables."""
    parts = []
    for key, title in (("workers", "environments"), ("lengths", "`sequence_length`")):
        sizes = [str(size) for size in results[key]]
        speeds = [f"{values[SPEED]:,.0f}" for values in results[key].values()]
        parts += [f"| W2, {title} | {' | '.join(sizes)} |", f"|---|{'---|' * len(sizes)}"]
        parts += [f"| steps/s | {' | '.join(speeds)} |", ""]
    grids = {f"{int(size):,}": values for size, values in results["grids"].items()}
    parts += [f"| permutations | {' | '.join(grids)} |", f"|---|{'---|' * len(grids)}"]
    for key, title in (("seconds", "s to the first job"), ("peak_mib", "MiB of the sweep")):
        cells = [f"{values[key]:,.0f}" for values in grids.values()]
        parts.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    from benchmarks import scaling  # workers import the task by name

    measured = getattr(scaling, sys.argv[1])(*map(int, sys.argv[2:]))
    print(json.dumps(measured))
