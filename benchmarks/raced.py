"""Times whole grids: neroRL's race, neroRL without one, and the peer's, two jobs at a time.

The peer has no race, so it trains every job to the end. All of its jobs have the same steps, and
their time depends on the epochs alone; so it trains some, half of them with each number of epochs,
and the time of the whole grid follows.

python -m benchmarks.raced NAME RATE BETA CLIP GAMMA EPOCHS OUT    one job of the peer
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.measuring import ROOT, medians
from benchmarks.racing_grids import PERMUTATIONS, TASKS, train
from benchmarks.workloads import Workload

GOAL = 12.0
REPETITIONS = 5
AT_A_TIME = 2
GRIDS = {"lavagap": "Stable-Baselines3"}
RACE = "hydra.sweeper.race=true"


def _seconds(began: float) -> float:
    return time.perf_counter() - began


def ours(name: str, directory: Path, *options: str) -> tuple[float, list[tuple[int, float]]]:
    """Trains the grid, and returns the seconds and the ranking: permutations with their means."""
    began = time.perf_counter()
    sweep = train(name, directory, REPETITIONS, *options)
    seconds = _seconds(began)
    with (sweep / "report" / "ranking.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["iqm"]]
    return seconds, [(int(row["permutation"]), float(row["iqm"])) for row in rows]


def peer(name: str, directory: Path) -> float:
    """Returns the seconds that the whole grid takes, from those of one job of each core."""
    space = TASKS[name].space()
    epochs = space["hyperparameters"]["epochs"]
    jobs = [
        (rate, epoch) for epoch in epochs for rate in space["learning_rate_schedule"]["initial"]
    ]

    def job(number: int) -> None:
        rate, epoch = jobs[number]
        arguments = [name, str(rate), "0.001", "0.1", "0.99", str(epoch), f"{directory}/{number}"]
        subprocess.run(
            [sys.executable, "-m", "benchmarks.raced", *arguments],
            cwd=ROOT, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    began = time.perf_counter()
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        list(pool.map(job, range(len(jobs))))
    return _seconds(began) * PERMUTATIONS * REPETITIONS / len(jobs)


def peers_job(
    name: str, rate: float, beta: float, clip: float, gamma: float, epochs: int, out: str
) -> None:
    """Trains one job of the grid with the peer, and saves it."""
    from benchmarks.peer import make_model  # needs the peers

    task = TASKS[name]
    config = task.config()
    sampler, trainer = config["sampler"], config["trainer"]
    model = make_model(
        Workload(
            task.title,
            config["environment"],
            config["model"]["recurrence"],
            task.updates,
            None,
            model={"num_hidden_units": task.units},
            epochs=epochs,
            mini_batches=trainer["n_mini_batches"],
            trainer={"gamma": gamma},
        ),
        sampler["n_workers"],
        sampler["worker_steps"],
        learning_rate=rate,
        ent_coef=beta,
        clip_range=clip,
    )
    model.learn(sampler["n_workers"] * sampler["worker_steps"] * task.updates)
    model.save(out)


def run(rounds: int) -> dict[str, Any]:
    """Measures the race and the peer in turn, and once the grid without a race."""
    found: dict[str, Any] = {"goal": GOAL}
    for name, peer_name in GRIDS.items():
        timed, best = [], None
        with tempfile.TemporaryDirectory() as place:
            whole, ranking = ours(name, Path(place))
        for number in range(rounds):
            with tempfile.TemporaryDirectory() as place:
                seconds, raced = ours(name, Path(place), RACE)
                of_peer = peer(name, Path(place))
            timed.append({"raced": seconds, "peer": of_peer, "ratio": of_peer / seconds})
            print(f"{name} round {number + 1}: {of_peer / seconds:.1f} × {peer_name}", flush=True)
            best = raced[0][0]
        places = [permutation for permutation, _ in ranking]
        found[name] = {
            **medians(timed),
            "title": TASKS[name].title,
            "peer_name": peer_name,
            "ratios": [values["ratio"] for values in timed],
            "whole": whole,
            "rank": places.index(best) + 1,
            "winner": ranking[0][1],
            "winner_raced": dict(ranking)[best],
        }
    return found


def table(results: dict[str, Any]) -> str:
    """Returns a table with a row for each grid."""
    lines = [
        f"| a grid of {PERMUTATIONS} permutations, {REPETITIONS} repetitions: seconds | neroRL's "
        "race | without a race | the peer, every job | ratio | goal | the race's winner, in the "
        "whole grid | return there, and of the first |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in GRIDS:
        r = results[name]
        lines.append(
            f"| {r['title']} | {r['raced']:.0f} | {r['whole']:.0f} | {r['peer']:,.0f} "
            f"({r['peer_name']}) | {r['ratio']:.1f} | {results['goal']:g} | rank {r['rank']} "
            f"| {r['winner_raced']:.4g}, {r['winner']:.4g} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    name, *numbers, epochs, out = sys.argv[1:]
    rate, beta, clip, gamma = map(float, numbers)
    peers_job(name, rate, beta, clip, gamma, int(epochs), out)
