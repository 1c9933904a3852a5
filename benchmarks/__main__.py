"""Runs workloads for us and the peers, alternating, and writes the tables.

python -m benchmarks                  all workloads, 5 rounds
python -m benchmarks W2 W4 --rounds 9
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.workloads import WORKLOADS

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ("torch", "numpy", "gymnasium", "minigrid", "stable-baselines3", "sb3-contrib")
JOBS_OF_OVERHEAD = {"ours": 1000, "peer": 100}
GOAL_OF_OVERHEAD = 10.0


def measure(module: str, *arguments: str) -> dict[str, float]:
    """Runs one measurement in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{module}", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    measured: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return measured


def run_training(name: str, rounds: int) -> dict[str, Any]:
    """Alternates us and Stable-Baselines3 on one workload."""
    ours, peer = [], []
    for number in range(rounds):
        ours.append(measure("ours", name))
        peer.append(measure("peer", name))
        ratio = ours[-1]["steps_per_second"] / peer[-1]["steps_per_second"]
        print(f"{name} round {number + 1}: {ratio:.2f}", flush=True)
    ratios = [
        a["steps_per_second"] / b["steps_per_second"] for a, b in zip(ours, peer, strict=True)
    ]
    return {
        "title": WORKLOADS[name].title,
        "goal": WORKLOADS[name].goal,
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "ours": {key: statistics.median(run[key] for run in ours) for key in ours[0]},
        "peer": {key: statistics.median(run[key] for run in peer) for key in peer[0]},
    }


def run_overhead(rounds: int) -> dict[str, Any]:
    """Alternates us and Hydra's basic sweeper on jobs that do nothing."""
    times: dict[str, list[float]] = {"ours": [], "peer": []}
    for number in range(rounds):
        for who, jobs in JOBS_OF_OVERHEAD.items():
            times[who].append(measure("overhead", who, str(jobs))["milliseconds_a_job"])
        print(f"W6 round {number + 1}: {times['ours'][-1]:.1f} ms", flush=True)
    medians = {who: statistics.median(values) for who, values in times.items()}
    return {"title": "1000 jobs that do nothing, ms a job", "goal_ms": GOAL_OF_OVERHEAD, **medians}


def versions() -> dict[str, str]:
    """What was measured with."""
    return {"python": platform.python_version(), **{p: metadata.version(p) for p in PACKAGES}}


def table(results: dict[str, Any]) -> str:
    """The measured workloads as Markdown."""
    lines = [
        "| workload | steps/s | Stable-Baselines3 | ratio (median) | goal | MiB, ours / theirs |",
        "|---|---|---|---|---|---|",
    ]
    for name in WORKLOADS:
        if name in results:
            r = results[name]
            lines.append(
                f"| {name}: {r['title']} | {r['ours']['steps_per_second']:,.0f} "
                f"| {r['peer']['steps_per_second']:,.0f} | {r['ratio']:.1f} | {r['goal']:g} "
                f"| {r['ours']['peak_mib']:,.0f} / {r['peer']['peak_mib']:,.0f} |"
            )
    if "W6" in results:
        r = results["W6"]
        lines += [
            "",
            f"W6, {r['title']}: {r['ours']:.1f} (goal {r['goal_ms']:g}); Hydra's basic sweeper and "
            f"launcher: {r['peer']:.1f}.",
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures, and writes ``results/latest.json`` and ``results/latest.md``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [*WORKLOADS, "W6"]
    parser.add_argument("workloads", nargs="*", metavar="W", help=f"{', '.join(names)} [all]")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    latest = RESULTS / "latest.json"
    results = json.loads(latest.read_text()) if latest.is_file() else {}
    for name in arguments.workloads or names:
        run = run_overhead if name == "W6" else lambda rounds, n=name: run_training(n, rounds)
        results[name] = {**run(arguments.rounds), "rounds": arguments.rounds}
        results["versions"] = versions()
        latest.write_text(json.dumps(results, indent=2) + "\n")
        (RESULTS / "latest.md").write_text(table(results))
    print(table(results))


if __name__ == "__main__":
    main()
