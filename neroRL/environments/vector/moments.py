"""Running statistics by which observations and rewards are normalised, kept in checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from neroRL.config.schema import EnvironmentConfig

EPSILON = 1e-8
MOST = 10.0
# Stable-Baselines3 starts with the weight of so many observations of mean 0 and variance 1.
FIRST_COUNT = 1e-4


def limited(values: np.ndarray) -> np.ndarray:
    """Returns values clipped to ±10, as float32; quicker on a few numbers than numpy's clip."""
    clipped: np.ndarray = np.minimum(np.maximum(values, -MOST), MOST)
    return clipped.astype(np.float32)


class RunningMoments:
    """The mean and variance of everything that was added (Chan, Golub and LeVeque 1983).

    >>> moments = RunningMoments()
    >>> moments.add(np.array([[0.0, 2.0], [4.0, 2.0]]))
    >>> moments.mean.round(3), moments.variance.round(3)
    (array([2., 2.]), array([4., 0.]))

    Attributes:
        mean: float64, of the shape of what was added; 0 before.
        variance: of the population; 1 before anything was added.
    """

    def __init__(self) -> None:
        self.mean, self.variance = np.zeros(()), np.ones(())
        self._count = FIRST_COUNT

    def add(self, batch: np.ndarray) -> None:
        """Adds values, shape (N, …)."""
        batch = batch.astype(np.float64)
        count, added = self._count, len(batch)
        total = count + added
        # The arithmetic of numpy's mean and var, which take longer than it on a few numbers.
        mean = np.add.reduce(batch, axis=0) / added
        away = batch - mean
        delta = mean - self.mean
        squares = self.variance * count + np.add.reduce(away * away, axis=0) / added * added
        squares += np.square(delta) * count * added / total
        self.mean = self.mean + delta * added / total
        self.variance = squares / total
        self._count = total

    @property
    def deviation(self) -> np.ndarray:
        """The standard deviation, never 0."""
        deviation: np.ndarray = np.sqrt(self.variance + EPSILON)
        return deviation

    def normalised(self, values: np.ndarray) -> np.ndarray:
        """Shifts, scales and clips values, shape (N, …), to float32."""
        return limited((values - self.mean) / self.deviation)

    def state_dict(self) -> dict[str, Any]:
        """Returns the moments, as plain Python objects."""
        mean, variance = self.mean.tolist(), self.variance.tolist()
        return {"mean": mean, "variance": variance, "count": self._count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a state."""
        self.mean, self.variance = np.array(state["mean"]), np.array(state["variance"])
        self._count = state["count"]


class Normalization:
    """Holds the statistics of the normalisation that a config asks for.

    Those of a training are changed by the environments that it learns from, and read by those that
    it is evaluated in.

    Args:
        config: of the environment.
        gamma: discount of the returns whose variance scales rewards.

    Attributes:
        signs: whether rewards are replaced by their signs.
        gamma: the discount.
        vectors: moments of vector observations; None if they stay as they are.
        returns: moments of the discounted returns so far; None if rewards are not scaled.
    """

    def __init__(self, config: EnvironmentConfig, gamma: float) -> None:
        self.signs, self.gamma = config.clip_rewards, gamma
        self.vectors = RunningMoments() if config.normalize_vector_obs else None
        self.returns = RunningMoments() if config.normalize_returns else None

    @property
    def is_off(self) -> bool:
        """Whether observations and rewards stay as they are."""
        return not (self.signs or self.vectors or self.returns)

    def state_dict(self) -> dict[str, Any]:
        """Returns the statistics, as plain Python objects."""
        return {name: moments.state_dict() for name, moments in self._moments().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> list[str]:
        """Restores statistics; those that the state lacks stay as they are.

        Returns:
            What differs between the training that left the state and this config, a line each.
        """
        own = self._moments()
        for name, moments in own.items():
            if name in state:
                moments.load_state_dict(state[name])
        surplus, missing = state.keys() - own.keys(), own.keys() - state.keys()
        return [
            *(
                f"was trained with normalised {name}, which this config does not ask for"
                for name in sorted(surplus)
            ),
            *(
                f"was trained without normalised {name}, which this config asks for"
                for name in sorted(missing)
            ),
        ]

    def _moments(self) -> dict[str, RunningMoments]:
        named = {"vectors": self.vectors, "returns": self.returns}
        return {name: moments for name, moments in named.items() if moments is not None}
