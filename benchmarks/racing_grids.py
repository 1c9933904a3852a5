"""Trains the grids of the benchmark of races to the end, and keeps their learning curves.

python -m benchmarks.racing_grids DIRECTORY [REPETITIONS]    all grids
python -m benchmarks.racing_grids DIRECTORY 5 lavagap        one grid, not raced and raced, timed
"""

from __future__ import annotations

import csv
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.curves import TRAINING_SEEDS
from benchmarks.measuring import ROOT
from benchmarks.workloads import CARTPOLE, gru, minigrid
from neroRL.config.documents import dump_yaml
from neroRL.records.sweeps import read_sweep
from neroRL.reporting.analysis.curves import read_run

CURVES = ROOT / "benchmarks" / "results" / "racing"
PERMUTATIONS = 24


@dataclass(frozen=True)
class Task:
    """A grid of the benchmark.

    Attributes:
        title: for the table.
        environment: section of the config.
        units: of the hidden layer.
        recurrence: section of the config; None without memory.
        updates: of each job.
        rates: initial learning rates.
    """

    title: str
    environment: Mapping[str, Any]
    units: int
    recurrence: Mapping[str, int] | None
    updates: int
    rates: tuple[float, ...]

    def config(self) -> dict[str, Any]:
        """Returns the base config."""
        return {
            "environment": dict(self.environment),
            "model": {
                "num_hidden_layers": 1,
                "num_hidden_units": self.units,
                "recurrence": self.recurrence,
                "checkpoint_interval": 1000,
            },
            "sampler": {"n_workers": 16, "worker_steps": 128},
            "trainer": {"updates": self.updates, "n_mini_batches": 4},
            "device": "cpu",
        }

    def space(self) -> dict[str, Any]:
        """Returns the tuning file."""
        return {
            "hyperparameters": {"gamma": [0.95, 0.99], "epochs": [2, 4]},
            "learning_rate_schedule": {"initial": list(self.rates)},
            "beta_schedule": {"initial": [0.001, 0.02]},
            "clip_range_schedule": {"initial": [0.1, 0.3]},
        }


def _many_levels(name: str, view_size: int) -> dict[str, Any]:
    environment = minigrid("MinigridVec", f"MiniGrid-{name}-v0", view_size)
    params = {**environment["reset_params"], "num-seeds": TRAINING_SEEDS}
    return {**environment, "reset_params": params}


MASKED = {**CARTPOLE, "reset_params": {"mask-velocity": True}}
TASKS = {
    "cartpole": Task(
        "CartPole without velocities, GRU", MASKED, 64, gru(32), 30, (0.0003, 0.001, 0.004)
    ),
    "doorkey": Task(
        "DoorKey-5x5 with a view of 3, GRU",
        _many_levels("DoorKey-5x5", 3),
        128,
        gru(32),
        24,
        (0.0003, 0.001, 0.004),
    ),
    "lavagap": Task(
        "LavaGapS5 from vectors, no memory",
        _many_levels("LavaGapS5", 7),
        128,
        None,
        40,
        (0.0001, 0.0005, 0.003),
    ),
}


def train(name: str, directory: Path, repetitions: int, *options: str) -> Path:
    """Trains a grid, or goes on with it, and returns its sweep."""
    task = TASKS[name]
    directory.mkdir(parents=True, exist_ok=True)
    config, space = directory / f"{name}.yaml", directory / f"{name}-space.yaml"
    config.write_text(dump_yaml(task.config()))
    space.write_text(dump_yaml(task.space()))
    flags = [f"--config={config}", f"--tune={space}", f"--run-id={name}", f"--out={directory}"]
    flags += [f"--num-repetitions={repetitions}", "hydra.sweeper.extend=true", "threads=1"]
    flags += [f"hydra.sweeper.sample={PERMUTATIONS}", "seed=1", *options]
    subprocess.run([sys.executable, "-m", "neroRL.tune", *flags], cwd=ROOT, check=True)
    return directory / name


def keep(name: str, sweep: Path) -> None:
    """Keeps the mean return of the last 100 episodes after each update of each job."""
    recorded = read_sweep(sweep)
    laps = recorded.record.repetitions
    curves = np.full((recorded.record.permutations, laps, TASKS[name].updates), np.nan, np.float32)
    for permutation, repetition in recorded.jobs():
        told = read_run(recorded.job_directory(permutation, repetition))
        for update, (_, reward) in told.items():
            curves[permutation, repetition, update - 1] = reward
    complete = np.isfinite(curves[:, :, -1]).all(axis=0)
    CURVES.mkdir(parents=True, exist_ok=True)
    title = TASKS[name].title
    np.savez_compressed(CURVES / f"{name}.npz", curves=curves[:, complete], title=title)


def main(directory: Path, repetitions: int) -> None:
    """Trains all grids and keeps their curves."""
    for name in TASKS:
        keep(name, train(name, directory, repetitions))


def compare(name: str, directory: Path, repetitions: int) -> None:
    """Prints the seconds, the steps and the first of the ranking, not raced and raced."""
    for options in ([], ["hydra.sweeper.race=true"]):
        began = time.perf_counter()
        sweep = train(name, directory / ("raced" if options else "whole"), repetitions, *options)
        seconds = time.perf_counter() - began
        steps = sum(result.env_steps for result in read_sweep(sweep).results)
        with (sweep / "report" / "ranking.csv").open(newline="") as file:
            best = [f"{row['permutation']} {row['iqm']}" for row in list(csv.DictReader(file))[:5]]
        print(f"{name} {options}: {seconds:.0f} s, {steps:,} steps; {', '.join(best)}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 3:
        compare(sys.argv[3], Path(sys.argv[1]), int(sys.argv[2]))
    else:
        main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 8)
