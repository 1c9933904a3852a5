"""Measures the time from a command to its first answer: ``python -m benchmarks start``.

The first update ends when the first job's ``result.json`` is there: each training has one update
of 128 steps. ``import torch`` is the part that no training can do without.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measuring import ROOT

BASE = """
environment: {type: CartPole, name: CartPole-v1}
sampler: {n_workers: 4, worker_steps: 32}
trainer: {updates: 1, n_mini_batches: 2}
model: {num_hidden_units: 16}
threads: 1
"""
SPACE = """
hyperparameters:
  gamma: [0.9, 0.95, 0.99, 0.995]
  lamda: [0.9, 0.95, 1.0]
  epochs: [1, 2]
  max_grad_norm: [0.25, 0.5]
"""
GROUPS = """
hyperparameters:
  environment: [cartpole, minigrid, minigrid_vec]
  model/memory: [none, gru, lstm, transformer]
  gamma: [0.9, 0.99]
  epochs: [1, 2]
"""
DOOR = "import sys; from neroRL.{} import {} as door; sys.exit(door())"
TRAIN, TUNE = DOOR.format("train", "ntrain"), DOOR.format("tune", "main")


def _sweep(space: str) -> list[str]:
    return ["--config=base.yaml", f"--tune={space}", "--run-id=run", "--out=out"]


# The code, its arguments, and the file that ends the measurement; None for the command's end.
COMMANDS: dict[str, tuple[str, list[str], str | None]] = {
    "`import torch`": ("import torch", [], None),
    "`ntune --help`": (TUNE, ["--help"], None),
    "the error of a bad tuning file": (TUNE, _sweep("bad.yaml"), None),
    "the first update of a training": (
        TRAIN,
        ["--config=base.yaml", "hydra.run.dir=job"],
        "job/result.json",
    ),
    "the first update in a sweep of 48": (TUNE, _sweep("space.yaml"), "out/run/*/*/result.json"),
    "the same of 3 environments and 4 memories": (
        TUNE,
        _sweep("groups.yaml"),
        "out/run/*/*/result.json",
    ),
}
POLL_SECONDS = 0.005


def seconds(code: str, arguments: list[str], awaited: str | None, tree: Path = ROOT) -> float:
    """Returns the seconds from a command to its end, or to a file that it writes.

    Args:
        code: run by Python.
        arguments: of the command line.
        awaited: pattern of the file; None waits for the end.
        tree: a checkout of neroRL.
    """
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        (place / "base.yaml").write_text(BASE)
        (place / "space.yaml").write_text(SPACE)
        (place / "groups.yaml").write_text(GROUPS)
        (place / "bad.yaml").write_text(SPACE.replace("gamma", "gama"))
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=place,
            env={**os.environ, "PYTHONPATH": str(tree)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        if awaited is not None:
            while not any(place.glob(awaited)) and process.poll() is None:
                time.sleep(POLL_SECONDS)
            took = time.perf_counter() - began
            process.terminate()
        process.wait()
        return took if awaited is not None else time.perf_counter() - began


def run(rounds: int) -> dict[str, Any]:
    """Measures each command in turn."""
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(rounds):
        for name, command in COMMANDS.items():
            times[name].append(seconds(*command))
        print(f"start round {number + 1}: {times['the first update of a training'][-1]:.2f} s")
    return {name: statistics.median(values) for name, values in times.items()}


def table(results: dict[str, Any]) -> str:
    """Returns a table."""
    lines = ["| from a command to | seconds |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {s:.2f} |" for name, s in results.items()), ""])


def main(earlier: Path, rounds: int) -> None:
    """Prints the medians of this checkout and of an earlier one, measured in turn."""
    for name, command in COMMANDS.items():
        pairs = [(seconds(*command), seconds(*command, tree=earlier)) for _ in range(rounds)]
        now, before = (statistics.median(values) for values in zip(*pairs, strict=True))
        print(f"{name}: {before:.2f} s before, {now:.2f} s now", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), int(sys.argv[2]))
