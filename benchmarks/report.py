"""Measures the end of a sweep and ``nreport`` on 10,000 jobs of made-up results.

``python -m benchmarks.report end|nreport SWEEP`` prints seconds and peak memory of one of them.
"""

from __future__ import annotations

import time

BEGAN = time.perf_counter()  # before the imports, which are part of what a user waits for
BUSY = 0.0

import contextlib  # noqa: E402
import io  # noqa: E402
import json  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from benchmarks.measuring import measure, medians, peak_mib  # noqa: E402

AXES = {
    "trainer.learning_rate_schedule.initial": [1e-5 * 1.4**number for number in range(20)],
    "trainer.beta_schedule.initial": [1e-5 * 2**number for number in range(10)],
    "trainer.gamma": [0.9 + 0.01 * number for number in range(10)],
}
PERMUTATIONS = 2000
REPETITIONS = 5
UPDATES = 100
TAGS = 18
PARTS = {"end": "the ranking at the end of a sweep", "nreport": "`nreport`, page and figures"}


def write_sweep(sweep: Path) -> None:
    """Writes the files that a sweep of 10,000 jobs leaves, event files included.

    All jobs have the same curve, which takes as long to read as different ones.
    """
    import itertools

    import numpy as np

    from neroRL.composition.completion import defaults
    from neroRL.config.documents import dump_yaml
    from neroRL.records.results import COMPLETED, JobResult
    from neroRL.records.sweep_record import SweepRecord
    from neroRL.reporting.analysis.curves import REWARD
    from neroRL.reporting.tensorboard import EVENT_FILES, SUMMARIES, Summaries

    jobs = PERMUTATIONS * REPETITIONS
    base = defaults()
    base["trainer"]["updates"] = UPDATES
    SweepRecord(base, AXES, 0, "space.yaml", REPETITIONS, PERMUTATIONS, jobs).write(sweep)
    curve = sweep.parent / "curve"
    summaries = Summaries(curve)
    summaries.begin(0)
    for update in range(1, UPDATES + 1):
        others = {f"loss/{number}": float(update) for number in range(TAGS)}
        summaries.scalars(update, 4096 * update, {REWARD: update / UPDATES, **others})
    summaries.close()
    (events,) = curve.glob(EVENT_FILES)
    content = events.read_bytes()
    config = dump_yaml(defaults())
    random = np.random.default_rng(0)
    for permutation, point in enumerate(itertools.product(*AXES.values())):
        for repetition in range(REPETITIONS):
            place = f"{permutation}/{repetition}"
            (sweep / place / SUMMARIES).mkdir(parents=True)
            (sweep / place / SUMMARIES / events.name).write_bytes(content)
            (sweep / place / ".hydra").mkdir()
            (sweep / place / ".hydra/config.yaml").write_text(config)
            reward = float(point[2] - abs(point[0] - 1e-3) + 0.1 * random.normal())
            result = JobResult(
                permutation, repetition, repetition, COMPLETED, dict(zip(AXES, point, strict=True)),
                objective=reward, reward_mean=reward, reward_std=0.1, length_mean=100.0,
                updates=UPDATES, env_steps=4096 * UPDATES, wall_seconds=60.0, directory=place,
            )  # fmt: skip
            result.write(sweep / place)


def end(sweep: Path) -> None:
    """Ranks results that are in memory, prints the summary, and writes the files."""
    global BEGAN, BUSY
    from neroRL.ranking.ranking import rank
    from neroRL.records.sweeps import read_sweep
    from neroRL.reporting.ranking_files import write_files
    from neroRL.reporting.summary import print_summary

    results = read_sweep(sweep).results
    BEGAN, BUSY = time.perf_counter(), time.process_time()
    ranking = rank(results, PERMUTATIONS)
    print_summary(results, ranking, str(sweep), sys.stdout)
    write_files(sweep, ranking, list(AXES), results)


def nreport(sweep: Path) -> None:
    """Runs the command on the sweep."""
    from neroRL.report import main as report

    sys.argv = ["nreport", str(sweep)]
    if report():
        raise RuntimeError("nreport failed")


WORK: dict[str, Callable[[Path], None]] = {"end": end, "nreport": nreport}


def main(part: str, sweep: Path) -> None:
    """Measures one part."""
    with contextlib.redirect_stdout(io.StringIO()):
        WORK[part](sweep)
    seconds, busy = time.perf_counter() - BEGAN, time.process_time() - BUSY
    print(json.dumps({"seconds": seconds, "cpu_seconds": busy, "peak_mib": peak_mib()}))


def run(rounds: int) -> dict[str, Any]:
    """Measures both parts in turn, each in a process of its own."""
    with tempfile.TemporaryDirectory() as directory:
        sweep = Path(directory, "sweep")
        sweep.mkdir()
        write_sweep(sweep)
        runs: dict[str, list[dict[str, float]]] = {part: [] for part in PARTS}
        for number in range(rounds):
            for part, found in runs.items():
                found.append(measure("report", part, str(sweep)))
            now = ", ".join(f"{part} {found[-1]['seconds']:.1f} s" for part, found in runs.items())
            print(f"report round {number + 1}: {now}", flush=True)
        page = (sweep / "report/report.html").stat().st_size
    return {**{part: medians(found) for part, found in runs.items()}, "page_mb": page / 1e6}


def table(results: dict[str, Any]) -> str:
    """Returns a row for each part."""
    rows = [
        f"| {name} | {results[part]['seconds']:.1f} | {results[part]['cpu_seconds']:.1f} "
        f"| {results[part]['peak_mib']:.0f} |"
        for part, name in PARTS.items()
    ]
    head = [f"| {PERMUTATIONS * REPETITIONS:,} jobs with curves | s | CPU s | peak MiB |"]
    head.append("|---|---|---|---|")
    return "\n".join([*head, *rows, ""])


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
