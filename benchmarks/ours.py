"""Trains one workload and prints its speed and peak memory: ``python -m benchmarks.ours W1``."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.workloads import BATCH, WORKLOADS
from neroRL.config.checks import build
from neroRL.training.trainer import Progress, train


def main(name: str) -> None:
    """Measures the updates after the first."""
    workload = WORKLOADS[name]
    times: list[float] = []

    def note(_: Progress) -> None:
        times.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as directory:
        train(build(workload.config(workload.updates + 1)), Path(directory), on_update=note)
    speed = BATCH * workload.updates / (times[-1] - times[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"steps_per_second": speed, "peak_mib": peak}))


if __name__ == "__main__":
    main(sys.argv[1])
