"""Trains one workload and prints its speed and peak memory: ``python -m benchmarks.ours W1 3``.

Keys of the top level may follow: ``python -m benchmarks.ours W1 3 precision=bfloat16 threads=1``.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measuring import SPEED, Values, peak_mib
from benchmarks.workloads import WORKLOADS
from neroRL.config.checks import build
from neroRL.cores import limit_spinning
from neroRL.records.job_progress import JobProgress


def measure_training(config: dict[str, Any], updates: int) -> Values:
    """Trains, and returns speed and memory.

    Args:
        config: a config with one update more, to warm up.
        updates: number of measured updates.
    """
    limit_spinning()  # as the commands do before torch is imported
    from neroRL.training.trainer import train

    times: list[float] = []

    def note(_: JobProgress) -> None:
        times.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as directory:
        train(build(config), Path(directory), on_update=note)
    steps = config["sampler"]["n_workers"] * config["sampler"]["worker_steps"] * updates
    return {SPEED: steps / (times[-1] - times[0]), "peak_mib": peak_mib()}


def main(name: str, updates: int, *settings: str) -> None:
    """Measures the updates after the first."""
    chosen = dict(setting.split("=") for setting in settings)
    numbers = {key: int(value) for key, value in chosen.items() if value.isdigit()}
    config = {**WORKLOADS[name].config(updates + 1), **chosen, **numbers}
    print(json.dumps(measure_training(config, updates)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
