"""Compares environment steps alone with the real packages.

Both step 16 environments with random actions for the same time, and make their observations.
Environments that do not step as arrays are the real ones with our bookkeeping.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any

import numpy as np
from gymnasium import spaces

from benchmarks.measuring import measure
from benchmarks.peer import make
from benchmarks.workloads import WORKERS, WORKLOADS
from neroRL.config.schema import EnvironmentConfig
from neroRL.environments import registry
from neroRL.environments.factory import make_vector

SECONDS, ROUNDS = 2.0, 5
ENVIRONMENTS: dict[str, dict[str, Any]] = {
    **{name: WORKLOADS[name].environment for name in ("W1", "W2", "W4", "W5")},
    "Acrobot": {"type": "Gymnasium", "name": "Acrobot-v1"},
    "MortarMayhem": {"type": "MemoryGym", "name": "MortarMayhem-v0"},
    "MysteryPath": {"type": "MemoryGym", "name": "MysteryPath-v0"},
    "SearingSpotlights": {"type": "MemoryGym", "name": "SearingSpotlights-v0"},
}


def ours(environment: dict[str, Any]) -> float:
    """Returns the steps per second of our vector environment."""
    env = make_vector(EnvironmentConfig(**environment), WORKERS, 0)
    env.restart()
    generator = np.random.default_rng(0)
    choices = env.specification.actions
    assert isinstance(choices, tuple)  # all of these environments are discrete
    steps, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        env.begin_rollout()
        for _ in range(256):
            env.advance(generator.integers(choices, size=(WORKERS, len(choices))))
        env.table.at(np.unique(env.ids))
        steps += 256 * WORKERS
    return steps / (time.perf_counter() - began)


def real(environment: dict[str, Any]) -> float:
    """Returns the steps per second of the real environments, one after the other."""
    known = registry.environment_type(environment["type"])
    known.check_name(EnvironmentConfig(**environment))  # registers its ids
    envs = [make(environment) for _ in range(WORKERS)]
    space = envs[0].action_space
    choices = space.nvec if isinstance(space, spaces.MultiDiscrete) else space.n
    if "MiniGrid-Memory" in environment["name"]:
        choices = 4
    generator = np.random.default_rng(0)
    for number, env in enumerate(envs):
        env.reset(seed=number)
    steps, began = 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        for env in envs:
            _, _, terminated, truncated, _ = env.step(generator.integers(choices))
            if terminated or truncated:
                env.reset(seed=int(generator.integers(100)))
        steps += WORKERS
    return steps / (time.perf_counter() - began)


def measure_one(name: str) -> dict[str, float]:
    """Measures both in turn on one environment."""
    environment = ENVIRONMENTS[name]
    pairs = [(ours(environment), real(environment)) for _ in range(ROUNDS)]
    a, b = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {"ours": a, "real": b, "ratio": statistics.median(x / y for x, y in pairs)}


def run(rounds: int) -> dict[str, Any]:  # noqa: ARG001 - has rounds of its own
    """Measures each environment in its own process."""
    return {name: measure("environments", name) for name in ENVIRONMENTS}


def table(results: dict[str, Any]) -> str:
    """Returns a table with a row for each environment."""
    lines = ["| environment alone, steps/s | ours | real package | ratio |", "|---|---|---|---|"]
    for name, r in results.items():
        environment = ENVIRONMENTS[name]
        title = f"{environment['type']} {environment['name']}"
        lines.append(f"| {title} | {r['ours']:,.0f} | {r['real']:,.0f} | {r['ratio']:.1f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(json.dumps(measure_one(sys.argv[1])))
