"""Measures in separate processes and in turn, and records the machine and versions."""

from __future__ import annotations

import json
import platform
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from neroRL.cores import available_cores

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "torch",
    "numpy",
    "gymnasium",
    "minigrid",
    "mujoco",
    "ale-py",
    "stable-baselines3",
    "sb3-contrib",
    "torch-ac",
    "hydra-core",
)
SPEED = "steps_per_second"

Values = dict[str, float]


def measure(module: str, *arguments: str) -> Any:
    """Runs ``python -m benchmarks.MODULE`` and reads the JSON of its last line.

    Args:
        module: a module of this package.
        arguments: its command-line arguments.

    Raises:
        RuntimeError: the module failed; the text is its standard error.
    """
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.strip().splitlines()[-1])


def peak_mib() -> float:
    """Returns this process's peak memory, in MiB."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage also counts memory that the parent held before
        (line,) = (x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def medians(runs: Sequence[Values]) -> Values:
    """Returns the median of each value."""
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def alternate(
    name: str,
    ours: Callable[[], Values],
    peers: Mapping[str, Callable[[], Values]],
    key: str,
    rounds: int,
) -> dict[str, Any]:
    """Measures neroRL and each peer in turn.

    Args:
        name: name that is printed with each round.
        ours: measures neroRL once.
        peers: functions that measure one peer once.
        key: the value to compare. Higher is better for steps per second, and lower for all else.
        rounds: number of rounds.

    Returns:
        Medians, and each round's ratios, which are above 1 if neroRL is better.
    """
    of_us: list[Values] = []
    of_peers: dict[str, list[Values]] = {peer: [] for peer in peers}
    ratios: dict[str, list[float]] = {peer: [] for peer in peers}
    for number in range(rounds):
        of_us.append(ours())
        for peer, run in peers.items():
            of_peers[peer].append(run())
            ratio = of_us[-1][key] / of_peers[peer][-1][key]
            ratios[peer].append(ratio if key == SPEED else 1 / ratio)
        now = ", ".join(f"{values[-1]:.2f} × {peer}" for peer, values in ratios.items())
        print(f"{name} round {number + 1}: {now}", flush=True)
    return {
        "ours": medians(of_us),
        "peers": {
            peer: {
                **medians(of_peers[peer]),
                "ratio": statistics.median(ratios[peer]),
                "ratios": ratios[peer],
            }
            for peer in peers
        },
    }


def versions() -> dict[str, str]:
    """Returns the versions of Python and the packages that matter."""
    return {"python": platform.python_version(), **{p: metadata.version(p) for p in PACKAGES}}


def machine() -> dict[str, Any]:
    """Returns the processor and the number of cores."""
    return {"cpu": _cpu_model(), "cores": available_cores()}


def _cpu_model() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
