"""Measures training with ``threads: auto`` alone and beside busy processes.

``python -m benchmarks busy`` keeps as many processes busy as there are cores, and alternates.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from benchmarks.measuring import SPEED, measure
from neroRL.cores import available_cores

NAMES = ("W2", "W4")
UPDATES = {"W2": "3", "W4": "8"}
GOAL = 0.5
SPIN = "while True: pass"


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """Keeps processes busy while the block runs."""
    spinning = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def run(rounds: int) -> dict[str, Any]:
    """Measures each workload alone and beside others, in turn."""
    speeds: dict[str, dict[str, list[float]]] = {
        name: {"alone": [], "beside": []} for name in NAMES
    }
    for number in range(rounds):
        for name, of in speeds.items():
            of["alone"].append(measure("ours", name, UPDATES[name])[SPEED])
            with busy(available_cores()):
                of["beside"].append(measure("ours", name, UPDATES[name])[SPEED])
            share = of["beside"][-1] / of["alone"][-1]
            print(f"busy round {number + 1}: {name} {share:.2f} of alone", flush=True)
    return {
        name: {
            **{how: statistics.median(values) for how, values in of.items()},
            "shares": [b / a for a, b in zip(of["alone"], of["beside"], strict=True)],
        }
        for name, of in speeds.items()
    }


def table(results: dict[str, Any]) -> str:
    """Returns a table."""
    lines = [
        "| steps/s with `threads: auto` | alone | beside as many busy processes as cores | share |",
        "|---|---|---|---|",
    ]
    for name, of in results.items():
        share = statistics.median(of["shares"])
        lines.append(f"| {name} | {of['alone']:,.0f} | {of['beside']:,.0f} | {share:.2f} |")
    return "\n".join([*lines, "", f"Goal: at least {GOAL:g} of alone.", ""])
