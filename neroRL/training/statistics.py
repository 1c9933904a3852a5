"""Statistics of updates and of the most recent episodes."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from neroRL.environments.vector.interface import EpisodeEnd
from neroRL.training.schedules import Hyperparameters
from neroRL.training.update import UpdateStatistics

WINDOW = 100
# Summarised for every episode; further statistics of an environment keep their names.
MEASURED = ("reward", "length", "success")


class Summary(NamedTuple):
    """Mean, minimum, maximum and standard deviation of some numbers."""

    mean: float
    min: float
    max: float
    std: float


def summarise(numbers: Sequence[float]) -> Summary:
    """Summarises at least one number."""
    array = np.asarray(numbers, np.float64)
    return Summary(float(array.mean()), float(array.min()), float(array.max()), float(array.std()))


def episode_summaries(episodes: Iterable[EpisodeEnd]) -> dict[str, Summary]:
    """Returns summaries of ``reward``, ``length``, ``success`` and other reported statistics."""
    episodes = list(episodes)
    numbers: dict[str, list[float]] = {
        "reward": [episode.reward for episode in episodes],
        "length": [float(episode.length) for episode in episodes],
        "success": [episode.success for episode in episodes if episode.success is not None],
    }
    for episode in episodes:
        for name, value in episode.others.items():
            numbers.setdefault(name, []).append(value)
    return {name: summarise(values) for name, values in numbers.items() if values}


def as_scalars(prefix: str, summaries: dict[str, Summary]) -> dict[str, float]:
    """Returns the tags of summaries: ``<prefix>/<name>_{mean,min,max}``."""
    return {
        f"{prefix}/{name}_{part}": getattr(summary, part)
        for name, summary in summaries.items()
        for part in ("mean", "min", "max")
    }


def update_scalars(done: UpdateStatistics, scheduled: Hyperparameters) -> dict[str, float]:
    """Returns the tags of an update and of the hyperparameters it was done with."""
    return {
        "episode/value_mean": done.value_mean,
        "episode/advantage_mean": done.advantage_mean,
        "loss/loss": done.loss,
        "loss/policy_loss": done.policy_loss,
        "loss/value_loss": done.value_loss,
        "decay/learning_rate": scheduled.learning_rate,
        "decay/beta": scheduled.beta,
        "decay/clip_range": scheduled.clip_range,
        "other/entropy": done.entropy,
        "other/kl_divergence": done.kl_divergence,
        "other/clip_fraction": done.clip_fraction,
        "other/sequence_length": done.sequence_length,
        "gradient/norm": done.gradient_norm,
        **{f"gradient_norm/{name}_norm": norm for name, norm in done.module_norms.items()},
    }


def not_finite(done: UpdateStatistics) -> list[str]:
    """Returns the names of an update's statistics that are not finite."""
    numbers = {**done._asdict(), "module_norms": sum(done.module_norms.values())}
    return [name for name, value in numbers.items() if not math.isfinite(value)]


class RecentEpisodes:
    """The last 100 episodes of a training."""

    def __init__(self) -> None:
        self._episodes: deque[EpisodeEnd] = deque(maxlen=WINDOW)

    def add(self, episodes: Iterable[EpisodeEnd]) -> None:
        """Adds episodes in the order in which they ended."""
        self._episodes.extend(episodes)

    def summaries(self) -> dict[str, Summary]:
        """Returns the summaries of all statistics; empty before the first episode ended."""
        return episode_summaries(self._episodes)

    def state_dict(self) -> list[list[Any]]:
        """Returns the episodes, as plain Python."""
        return [list(episode) for episode in self._episodes]

    def load_state_dict(self, state: Iterable[Sequence[Any]]) -> None:
        """Restores the episodes."""
        self._episodes.clear()
        self._episodes.extend(EpisodeEnd(*episode) for episode in state)
