"""W6: times jobs that do nothing: ``python -m benchmarks.overhead ours|peer JOBS``.

neroRL checks, composes and launches each job in worker processes; the peer is Hydra's basic
sweeper and launcher. Both write each job's ``.hydra`` files.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from benchmarks.measuring import alternate, measure
from neroRL.composition.application import run as run_hydra
from neroRL.sweep import server

GOAL_MILLISECONDS = 10.0
JOBS = {"ours": "1000", "peer": "100"}
BASIC = "Hydra's basic sweeper"


def nothing(config: DictConfig) -> float:
    """Runs a job that only writes its result."""
    from hydra.core.hydra_config import HydraConfig

    from neroRL.identity import identity_of
    from neroRL.records.results import COMPLETED, JobResult

    directory = Path(HydraConfig.get().runtime.output_dir)
    job = identity_of(config)
    JobResult(job.permutation, 0, int(config.seed), COMPLETED, directory=directory.name).write(
        directory
    )
    return 0.0


def main(who: str, jobs: int) -> None:
    """Times one sweep, and prints the milliseconds per job."""
    with tempfile.TemporaryDirectory() as directory:
        gammas = ",".join(str(number / jobs) for number in range(jobs))
        arguments = ["-m", f"hydra.sweep.dir={directory}/out"]
        arguments += [] if who == "ours" else ["hydra/sweeper=basic"]
        arguments += [f"trainer.gamma={gammas}", "hydra.hydra_logging.root.level=ERROR", "seed=1"]
        began = time.perf_counter()
        server.begin(arguments)  # as the command does; it starts nothing for other sweepers
        status = run_hydra(arguments, nothing)
        seconds = time.perf_counter() - began
    assert status == 0
    print(json.dumps({"milliseconds_a_job": 1000 * seconds / jobs}))


def run(rounds: int) -> dict[str, Any]:
    """Measures neroRL and Hydra's basic sweeper in turn."""
    ours = partial(measure, "overhead", "ours", JOBS["ours"])
    peers = {BASIC: partial(measure, "overhead", "peer", JOBS["peer"])}
    return alternate("W6", ours, peers, "milliseconds_a_job", rounds)


def table(results: dict[str, Any]) -> str:
    """Returns the results as a sentence."""
    return (
        f"W6, 1000 jobs that do nothing: {results['ours']['milliseconds_a_job']:.1f} ms a job "
        f"(goal {GOAL_MILLISECONDS:g}); {BASIC} and launcher: "
        f"{results['peers'][BASIC]['milliseconds_a_job']:.1f} ms.\n"
    )


if __name__ == "__main__":
    from benchmarks.overhead import main as importable  # workers import the task by name

    importable(sys.argv[1], int(sys.argv[2]))
