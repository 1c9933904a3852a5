"""W7: times the example's 48 permutations on W2's task, 2 updates each, from start to last file.

The peer trains the same grid with sb3-contrib, with one process for each job and two at a time, as
a shell script around a training script would.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.measuring import alternate

GOAL = 5.0

UPDATES = 2
GRID = list(
    itertools.product(
        [64, 128], [8, 16], [3.0e-3, 1.0e-4], [1.0e-5, 1.0e-6], [0.01, 0.001, 0.001], [0.0001]
    )
)
JOB = """
import sys
from stable_baselines3.common.vec_env import DummyVecEnv
from sb3_contrib import RecurrentPPO
from benchmarks.peer import Features, make
from benchmarks.workloads import WORKLOADS
steps, workers, rate, beta, out = sys.argv[1:]
steps, workers = int(steps), int(workers)
policy = {"features_extractor_class": Features, "features_extractor_kwargs": {"units": 32},
          "net_arch": {"pi": [512, 512], "vf": [512, 512]}, "lstm_hidden_size": 32,
          "shared_lstm": True, "enable_critic_lstm": False}
environments = DummyVecEnv([lambda: make(WORKLOADS["W2"].environment)] * workers)
model = RecurrentPPO("MlpLstmPolicy", environments, n_steps=steps, n_epochs=4,
                     batch_size=steps * workers // 8, learning_rate=float(rate),
                     ent_coef=float(beta), policy_kwargs=policy, device="cpu")
model.learn(steps * workers * UPDATES)
model.save(out)
""".replace("UPDATES", str(UPDATES))


def ours(directory: str) -> float:
    """Returns the seconds of one ``ntune``."""
    command = [
        sys.executable, "-m", "neroRL.tune", "--config=./configs/minigrid_vec.yaml",
        f"--out={directory}", f"trainer.updates={UPDATES}", "model.recurrence.hidden_state_size=32",
        "device=cpu", "seed=0",
    ]  # fmt: skip
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def peer(directory: str) -> float:
    """Returns the seconds of 48 training processes, two at a time with one thread each."""

    def job(item: tuple[int, tuple[float, ...]]) -> None:
        number, (steps, workers, rate, _, beta, _) = item
        arguments = [str(steps), str(workers), str(rate), str(beta), f"{directory}/{number}.zip"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-c", JOB, *arguments]
        subprocess.run(command, check=True, capture_output=True, env=environment)

    began = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(job, enumerate(GRID)))
    return time.perf_counter() - began


def run(rounds: int) -> dict[str, Any]:
    """Measures neroRL and the peer in turn on the whole grid."""

    def seconds(of: Callable[[str], float]) -> Callable[[], dict[str, float]]:
        def measure() -> dict[str, float]:
            with tempfile.TemporaryDirectory() as directory:
                return {"seconds": of(directory)}

        return measure

    peers = {"sb3-contrib": seconds(peer)}
    return {"goal": GOAL, **alternate("W7", seconds(ours), peers, "seconds", rounds)}


def table(results: dict[str, Any]) -> str:
    """Returns the grid's results as a sentence."""
    of_peer = results["peers"]["sb3-contrib"]
    return (
        "W7, the 48 permutations of the example on W2's environment, 2 updates each, from command "
        f"to last file: {results['ours']['seconds']:.0f} s; sb3-contrib, a process a job, two at a "
        f"time: {of_peer['seconds']:.0f} s. Ratio {of_peer['ratio']:.1f}, goal {GOAL:g}.\n"
    )
