"""Environment steps alone, against the real packages: ``python -m benchmarks.environments``.

Both step 16 environments with random actions for the same time; observations are made in both.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np

from benchmarks.peer import make
from benchmarks.workloads import WORKERS, WORKLOADS
from neroRL.config.schema import EnvironmentConfig
from neroRL.environments.factory import make_vector

SECONDS, ROUNDS = 2.0, 5


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


def main() -> None:
    """Alternates both and prints medians."""
    print("| environment | steps/s | real package | ratio |\n|---|---|---|---|")
    for name in ("W1", "W2", "W4", "W5"):
        environment = WORKLOADS[name].environment
        pairs = [(ours(environment), real(environment)) for _ in range(ROUNDS)]
        a, b = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(first / second for first, second in pairs)
        title = f"{environment['type']} {environment['name']}"
        print(f"| {title} | {a:,.0f} | {b:,.0f} | {ratio:.1f} |", flush=True)


if __name__ == "__main__":
    main()
