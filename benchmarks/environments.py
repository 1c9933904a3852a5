"""Environment steps alone, against the real packages.

Both step 16 environments with random actions for the same time; observations are made in both.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any

import numpy as np

from benchmarks.measuring import measure
from benchmarks.peer import make
from benchmarks.workloads import WORKERS, WORKLOADS
from neroRL.config.schema import EnvironmentConfig
from neroRL.environments.factory import make_vector

SECONDS, ROUNDS = 2.0, 5
NAMES = ("W1", "W2", "W4", "W5")


def ours(environment: dict[str, Any]) -> float:
    """Steps a second of our vector environment, from the second rollout on."""
    env = make_vector(EnvironmentConfig(**environment), WORKERS, 0)
    env.restart()
    generator = np.random.default_rng(0)
    choices = env.specification.actions[0]
    steps, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        env.begin_rollout()
        for _ in range(256):
            env.advance(generator.integers(choices, size=(WORKERS, 1)))
        env.table.rows(np.unique(env.ids))
        steps += 256 * WORKERS
    return steps / (time.perf_counter() - began)


def real(environment: dict[str, Any]) -> float:
    """Steps a second of the real environments, one after the other."""
    envs = [make(environment) for _ in range(WORKERS)]
    choices = 4 if "Memory" in environment["name"] else envs[0].action_space.n
    generator = np.random.default_rng(0)
    for number, env in enumerate(envs):
        env.reset(seed=number)
    steps, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        for env in envs:
            _, _, terminated, truncated, _ = env.step(int(generator.integers(choices)))
            if terminated or truncated:
                env.reset(seed=int(generator.integers(100)))
        steps += WORKERS
    return steps / (time.perf_counter() - began)


def measure_one(name: str) -> dict[str, float]:
    """Alternates both on the environment of a workload."""
    environment = WORKLOADS[name].environment
    pairs = [(ours(environment), real(environment)) for _ in range(ROUNDS)]
    a, b = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {"ours": a, "real": b, "ratio": statistics.median(x / y for x, y in pairs)}


def run(rounds: int) -> dict[str, Any]:  # noqa: ARG001 - has rounds of its own
    """Measures the environments of the workloads, each in a process of its own."""
    return {name: measure("environments", name) for name in NAMES}


def table(results: dict[str, Any]) -> str:
    """A row an environment."""
    lines = ["| environment alone, steps/s | ours | real package | ratio |", "|---|---|---|---|"]
    for name, r in results.items():
        environment = WORKLOADS[name].environment
        title = f"{environment['type']} {environment['name']}"
        lines.append(f"| {title} | {r['ours']:,.0f} | {r['real']:,.0f} | {r['ratio']:.1f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(json.dumps(measure_one(sys.argv[1])))
