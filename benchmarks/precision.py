"""Compares trainings in float32 and in bfloat16.

``python -m benchmarks.precision TASK bfloat16 0`` trains one, with the seed 0.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import torch

from benchmarks.curves import SEEDS, cell, overlap, points, published, returns_of
from benchmarks.measuring import SPEED, Values, alternate, measure
from benchmarks.training import SB3
from benchmarks.workloads import WORKLOADS
from neroRL.training.precision import BFLOAT16, FLOAT32

NAMES = ("W1", "W2", "W3", "W4", "W4-GRU", "W5", "W8")
# Updates of CartPole, whose batch of 4096 steps has products of 512 rows.
UPDATES = 40
IMAGES = {"type": "Minigrid", "name": "MiniGrid-Empty-Random-6x6-v0"}
TASKS: dict[str, dict[str, Any]] = {
    "CartPole": WORKLOADS["W4"].config(UPDATES),
    "CartPole without velocities, as published": published(60),
    "MiniGrid-Empty-Random-6x6 from images": {**WORKLOADS["W5"].config(30), "environment": IMAGES},
}


def learn(task: str, precision: str, seed: int) -> list[float]:
    """Trains a task in a precision; see :func:`benchmarks.curves.returns_of`."""
    return returns_of({**TASKS[task], "precision": precision}, seed)


def _measuring(name: str, precision: str, *settings: str) -> Callable[[], Values]:
    """Returns a function that measures a workload in a precision."""
    updates = str(WORKLOADS[name].updates)
    return partial(measure, "ours", name, updates, f"precision={precision}", *settings)


def compared(name: str, rounds: int) -> dict[str, Any]:
    """Measures the speed of a workload in both precisions, with one thread and with all."""
    updates = str(WORKLOADS[name].updates)
    one = {FLOAT32: _measuring(name, FLOAT32, "threads=1")}
    low = _measuring(name, BFLOAT16, "threads=1")
    both = {FLOAT32: _measuring(name, FLOAT32), SB3: partial(measure, "peer", name, updates)}
    of_both = _measuring(name, BFLOAT16)
    return {
        "one": alternate(f"{name}, one thread,", low, one, SPEED, rounds),
        "all": alternate(name, of_both, both, SPEED, rounds),
    }


def run(rounds: int) -> dict[str, Any]:
    """Trains all seeds of all tasks, two at a time, then measures speeds in turn."""
    jobs = [(t, p, str(s)) for t in TASKS for p in (FLOAT32, BFLOAT16) for s in range(SEEDS)]
    with ThreadPoolExecutor(2) as pool:
        made = pool.map(lambda job: measure("precision", *job), jobs)
        curves = dict(zip(jobs, made, strict=True))
    learned: dict[str, Any] = {}
    for task in TASKS:
        learned[task] = {}
        for precision in (FLOAT32, BFLOAT16):
            of = [curves[task, precision, str(seed)] for seed in range(SEEDS)]
            learned[task][precision] = points(of)
    speeds = {name: compared(name, rounds) for name in NAMES}
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
            both = [of[precision][point] for precision in (FLOAT32, BFLOAT16)]
            told = "yes" if overlap(*both) else "no"
            lines.append(f"| {' | '.join([f'{task}, {title}', *map(cell, both), told])} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(json.dumps(learn(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
