"""Compares learning with the fast paths on and off, for several seeds of three tasks."""

from __future__ import annotations

import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ablation import all_off, everything_on
from benchmarks.measuring import ROOT, measure
from benchmarks.workloads import MEMORY_S7, WORKLOADS
from neroRL.composition.source import primary_content
from neroRL.config.checks import build
from neroRL.config.documents import read_document
from neroRL.records.job_progress import JobProgress
from neroRL.training.trainer import train

SEEDS = 5
RESAMPLES = 10_000
PUBLISHED = ROOT / "tests" / "published" / "cartpole-8dd62bd.yaml"
# There are many training seeds, so that levels cannot be memorised.
TRAINING_SEEDS = 100_000
MODES = {"on": everything_on, "off": all_off}


def published(updates: int) -> dict[str, Any]:
    """Returns the original's config of CartPole without velocities.

    None of its schedules depends on the number of updates.
    """
    content = primary_content(read_document(PUBLISHED))
    sections = {key: content[key] for key in ("environment", "model", "sampler")}
    return {**sections, "trainer": {**content["trainer"], "updates": updates}}


def memory(workload: str, updates: int) -> dict[str, Any]:
    """Returns a workload's network with a task and hyperparameters that learn.

    In the larger room of W1, policies still guess after a million steps: a mean reward of 0.5.
    """
    config = WORKLOADS[workload].config(updates)
    environment = {**config["environment"], "name": MEMORY_S7["name"]}
    params = {**environment["reset_params"], "num-seeds": TRAINING_SEEDS}
    schedules = {
        "learning_rate_schedule": {"initial": 1.0e-3, "final": 3.0e-5, "max_decay_steps": 300},
        "beta_schedule": {"initial": 0.01, "final": 0.0001, "max_decay_steps": 300},
    }
    return {
        **config,
        "environment": {**environment, "reset_params": params},
        "trainer": {**config["trainer"], **schedules},
    }


TASKS: dict[str, dict[str, Any]] = {
    "CartPole without velocities, as published": published(60),
    "W1's network: MemoryS7 from images": memory("W1", 200),
    "W2's network: MemoryS7 from vectors": memory("W2", 250),
}


def returns_of(config: dict[str, Any], seed: int) -> list[float]:
    """Trains with one thread, and returns the mean return of the last 100 episodes by update."""
    returns: list[float] = []

    def note(progress: JobProgress) -> None:
        returns.append(float("nan") if progress.reward_mean is None else progress.reward_mean)

    built = build({**config, "seed": seed, "device": "cpu", "threads": 1})
    with tempfile.TemporaryDirectory() as directory:
        train(built, Path(directory), on_update=note)
    return returns


def train_one(task: str, mode: str, seed: int) -> list[float]:
    """Trains a task in a mode; see :func:`returns_of`."""
    with MODES[mode]():
        return returns_of(TASKS[task], seed)


def interval(values: list[float]) -> list[float]:
    """Returns the 95 % bootstrap interval of a mean."""
    generator = np.random.default_rng(0)
    chosen = generator.choice(values, (RESAMPLES, len(values)))
    return [float(bound) for bound in np.percentile(chosen.mean(axis=1), (2.5, 97.5))]


def points(curves: list[list[float]]) -> dict[str, Any]:
    """Returns the mean and its interval of the seeds' curves, half-way and at the end."""
    found = {
        "half": [curve[len(curve) // 2 - 1] for curve in curves],
        "last": [curve[-1] for curve in curves],
    }
    return {
        point: {"mean": float(np.mean(values)), "interval": interval(values)}
        for point, values in found.items()
    }


def cell(point: dict[str, Any]) -> str:
    """Returns the cell of a table for a point of :func:`points`."""
    low, high = point["interval"]
    return f"{point['mean']:.4g} ({low:.4g} to {high:.4g})"


def overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Returns whether the intervals of two points overlap."""
    (low, high), (lowest, highest) = one["interval"], other["interval"]
    return bool(low <= highest and lowest <= high)


def run(rounds: int) -> dict[str, Any]:  # noqa: ARG001 - seeds are its rounds
    """Trains all seeds of all tasks, two at a time with one thread each."""
    jobs = [(t, m, str(s)) for t in TASKS for m in MODES for s in range(SEEDS)]
    with ThreadPoolExecutor(2) as pool:
        curves = dict(zip(jobs, pool.map(lambda job: measure("curves", *job), jobs), strict=True))
    results: dict[str, Any] = {}
    for task in TASKS:
        results[task] = {}
        for mode in MODES:
            of_mode = [curves[task, mode, str(seed)] for seed in range(SEEDS)]
            results[task][mode] = {**points(of_mode), "curves": of_mode}
    return results


def table(results: dict[str, Any]) -> str:
    """Returns a table with a row for each task and point of its curve."""
    lines = [
        f"| mean return of {SEEDS} seeds (95 % interval) | fast paths on | off | overlap |",
        "|---|---|---|---|",
    ]
    for task, modes in results.items():
        for point, title in (("half", "half-way"), ("last", "at the end")):
            both = [modes[mode][point] for mode in MODES]
            told = "yes" if overlap(*both) else "no"
            lines.append(f"| {' | '.join([f'{task}, {title}', *map(cell, both), told])} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(json.dumps(train_one(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
