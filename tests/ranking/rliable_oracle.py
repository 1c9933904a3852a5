"""Writes what rliable says about some samples, for the tests to compare with.

rliable needs an older pandas than the project has, so its numbers are recorded:

    pip install "rliable==1.2.0" "arch==7.2.0" "pandas<3"
    python tests/ranking/rliable_oracle.py > tests/ranking/rliable.json
"""

from __future__ import annotations

import json
from importlib import metadata

import numpy as np
from rliable import library, metrics

SEED = 11
REPS = 20_000
RESAMPLES = 2000  # of the intervals that are compared
CONFIDENCE = 0.95


def samples() -> list[np.ndarray]:
    """Objectives of permutations: normal ones, ones with ties, and successes."""
    random = np.random.default_rng(SEED)
    normal = [random.normal(size=size) for size in (3, 5, 8, 10, 20)]
    tied = [random.normal(size=size).round(1) for size in (5, 10, 20)]
    successes = [random.integers(0, 2, size=size).astype(float) for size in (6, 12)]
    return [*normal, *tied, *successes]


def iqm(scores: np.ndarray) -> np.ndarray:
    """The statistic, as rliable's bootstrap takes it."""
    return np.array([metrics.aggregate_iqm(scores)])


def main() -> None:
    """Prints samples, statistics, intervals, and probabilities of improvement."""
    np.random.seed(SEED)  # rliable draws from numpy's global generator
    found = []
    for sample in samples():
        scores = sample[:, None]
        point, interval = library.get_interval_estimates(
            {"": scores}, iqm, reps=REPS, confidence_interval_size=CONFIDENCE
        )
        means = library.StratifiedBootstrap(scores).apply(iqm, REPS)
        room = []
        for share in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2):
            # Four standard errors of the share of resamples below a bound.
            error = 4 * np.sqrt(share * (1 - share) / RESAMPLES)
            shares = [max(share - error, 0.0), min(share + error, 1.0)]
            room.append(np.quantile(means, shares).tolist())
        found.append(
            {
                "sample": sample.tolist(),
                "iqm": float(point[""][0]),
                "interval": interval[""].ravel().tolist(),
                "room": room,
                "improvement": [
                    float(metrics.probability_of_improvement(scores, other[:, None]))
                    for other in samples()
                ],
            }
        )
    names = ("rliable", "arch", "numpy", "scipy")
    versions = {name: metadata.version(name) for name in names}
    print(json.dumps({"versions": versions, "seed": SEED, "reps": REPS, "found": found}, indent=1))


if __name__ == "__main__":
    main()
