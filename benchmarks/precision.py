"""Compares trainings in float32 and in bfloat16.

``python -m benchmarks.precision speed W2 bfloat16 1`` measures one, with one thread;
``python -m benchmarks.precision learn TASK bfloat16 0`` trains one, with the seed 0.
"""

from __future__ import annotations

import json
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.curves import SEEDS, interval, published
from benchmarks.learning import TASKS as LEARNING
from benchmarks.learning import config_of
from benchmarks.measuring import SPEED, alternate, measure
from benchmarks.ours import measure_training
from benchmarks.training import SB3
from benchmarks.workloads import WORKLOADS
from neroRL.config.checks import build
from neroRL.records.job_progress import JobProgress

FLOAT32, BFLOAT16 = "float32", "bfloat16"
NAMES = ("W1", "W2", "W3", "W4", "W4-GRU", "W5", "W8")
# Updates of CartPole, whose batch of 4096 steps has products of 512 rows.
UPDATES = 40
TASKS = ("CartPole", "CartPole without velocities, as published", "Pendulum-v1")


def speed(name: str, precision: str, threads: str) -> dict[str, float]:
    """Measures a workload."""
    workload = WORKLOADS[name]
    config = {**workload.config(workload.updates + 1), "precision": precision}
    if threads != "auto":
        config["threads"] = int(threads)
    return measure_training(config, workload.updates)


def learn(task: str, precision: str, seed: int) -> list[float]:
    """Trains, and returns the mean return of the last 100 episodes after each update."""
    from neroRL.training.trainer import train

    if task == "CartPole":
        config = WORKLOADS["W4"].config(UPDATES)
    elif task in LEARNING:
        config = config_of(task)
    else:
        config = published(60)
    returns: list[float] = []

    def note(progress: JobProgress) -> None:
        returns.append(float("nan") if progress.reward_mean is None else progress.reward_mean)

    config = {**config, "seed": seed, "device": "cpu", "threads": 1, "precision": precision}
    with tempfile.TemporaryDirectory() as directory:
        train(build(config), Path(directory), on_update=note)
    return returns


def run(rounds: int) -> dict[str, Any]:
    """Trains all seeds of all tasks, two at a time, then measures speeds in turn."""
    jobs = [(t, p, str(s)) for t in TASKS for p in (FLOAT32, BFLOAT16) for s in range(SEEDS)]
    with ThreadPoolExecutor(2) as pool:
        made = pool.map(lambda job: measure("precision", "learn", *job), jobs)
        curves = dict(zip(jobs, made, strict=True))
    learned: dict[str, Any] = {}
    for task in TASKS:
        learned[task] = {}
        for precision in (FLOAT32, BFLOAT16):
            of = [curves[task, precision, str(seed)] for seed in range(SEEDS)]
            points = {"half": [c[len(c) // 2 - 1] for c in of], "last": [c[-1] for c in of]}
            learned[task][precision] = {
                point: {"mean": float(np.mean(values)), "interval": interval(values)}
                for point, values in points.items()
            }
    speeds: dict[str, Any] = {}
    for name in NAMES:
        one = {FLOAT32: partial(measure, "precision", "speed", name, FLOAT32, "1")}
        low = partial(measure, "precision", "speed", name, BFLOAT16, "1")
        both = {
            FLOAT32: partial(measure, "precision", "speed", name, FLOAT32, "auto"),
            SB3: partial(measure, "peer", name, str(WORKLOADS[name].updates)),
        }
        of_both = partial(measure, "precision", "speed", name, BFLOAT16, "auto")
        speeds[name] = {
            "one": alternate(f"{name}, one thread,", low, one, SPEED, rounds),
            "all": alternate(name, of_both, both, SPEED, rounds),
        }
    amx = torch.cpu._is_amx_tile_supported()
    return {"speeds": speeds, "curves": learned, "amx": bool(amx)}


def table(results: dict[str, Any]) -> str:
    """Returns a table of speeds and one of learning."""
    lines = [
        f"| steps/s, processor with{'' if results['amx'] else 'out'} AMX | float32, one thread "
        "| bfloat16 | ratio | float32, all threads | bfloat16 | ratio "
        f"| to {SB3}: float32, bfloat16 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, of in results["speeds"].items():
        cells = [name]
        for how in ("one", "all"):
            other = of[how]["peers"][FLOAT32]
            cells += [f"{other[SPEED]:,.0f}", f"{of[how]['ours'][SPEED]:,.0f}"]
            cells.append(f"{other['ratio']:.2f}")
        peers = of["all"]["peers"]
        of_float32 = peers[FLOAT32][SPEED] / peers[SB3][SPEED]
        cells.append(f"{of_float32:.1f}, {peers[SB3]['ratio']:.1f}")
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        f"| mean return of {SEEDS} seeds (95 % interval) | {FLOAT32} | {BFLOAT16} | overlap |",
        "|---|---|---|---|",
    ]
    for task, of in results["curves"].items():
        for point, title in (("half", "half-way"), ("last", "at the end")):
            cells, bounds = [f"{task}, {title}"], []
            for precision in (FLOAT32, BFLOAT16):
                low, high = of[precision][point]["interval"]
                bounds.append((low, high))
                cells.append(f"{of[precision][point]['mean']:.4g} ({low:.4g} to {high:.4g})")
            overlap = bounds[0][0] <= bounds[1][1] and bounds[1][0] <= bounds[0][1]
            lines.append(f"| {' | '.join([*cells, 'yes' if overlap else 'no'])} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "speed":
        print(json.dumps(speed(*rest)))
    else:
        print(json.dumps(learn(rest[0], rest[1], int(rest[2]))))
