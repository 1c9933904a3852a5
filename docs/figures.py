"""Draws the README's picture: learning curves of a sweep, one line a permutation.

python docs/figures.py grid_search/first docs/images/sweep.png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def main(sweep: Path, picture: Path) -> None:
    """Draws the mean reward over environment steps."""
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for result_file in sorted(sweep.glob("*/*/result.json")):
        result = json.loads(result_file.read_text())
        (run,) = {path.parent for path in (result_file.parent / "summaries").rglob("events.*")}
        events = EventAccumulator(str(run)).Reload()
        steps = {event.step: event.value for event in events.Scalars("time/env_steps")}
        rewards = events.Scalars("episode/reward_mean")
        label = ", ".join(f"{key.split('.', 1)[1]} {value}" for key, value in
                          result["overrides"].items())  # fmt: skip
        axes.plot([steps[e.step] for e in rewards], [e.value for e in rewards], label=label)
    axes.set_xlabel("environment steps")
    axes.set_ylabel("mean reward of 100 episodes")
    axes.legend(fontsize="small")
    axes.grid(alpha=0.3)
    figure.savefig(picture, dpi=120)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
