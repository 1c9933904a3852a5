"""The evaluations of a training: their times, and the results of the last one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from neroRL.acting.evaluator import evaluate
from neroRL.acting.player import Episode
from neroRL.config import Config
from neroRL.config.schema import EvaluationConfig
from neroRL.environments.factory import make_vector
from neroRL.environments.vector.interface import VectorEnvironment
from neroRL.environments.vector.moments import Normalization
from neroRL.environments.vector.normalized import normalized
from neroRL.models.actor_critic import ActorCritic
from neroRL.training.statistics import Summary, episode_summaries


class Evaluations:
    """Evaluates the policy at the config's interval, and after the last update.

    Args:
        config: of the training.
        normalization: of the training; only read.

    Attributes:
        summaries: of the episodes of the last evaluation; empty before it.
    """

    def __init__(self, config: Config, normalization: Normalization) -> None:
        self._config = config
        self._environment = (
            _environment(config, normalization) if config.evaluation.evaluate else None
        )
        self.summaries: dict[str, Summary] = {}
        self._update = 0  # after which the last evaluation was
        self._count, self._seconds = 0, 0.0

    @property
    def seconds(self) -> float | None:
        """The mean duration of an evaluation, in seconds, since this was made; None before one."""
        return self._seconds / self._count if self._count else None

    def run_if_due(
        self, model: ActorCritic, update: int, cancelled: Callable[[], bool]
    ) -> dict[str, Summary]:
        """Evaluates the policy after an update, if an evaluation is due.

        Returns:
            Summaries of the episodes; empty if no evaluation was due.

        Raises:
            Cancelled: it was asked to end. It can be run again, with the same result.
        """
        if self._environment is None or not self._is_due(update):
            return {}
        self.summaries = self._play(self._environment, model, cancelled)
        self._update = update
        return self.summaries

    def after(self, model: ActorCritic, update: int) -> dict[str, Summary]:
        """Returns summaries of the policy after the last update that a training does for now.

        The training may go on, as if nothing had been played here.

        Returns:
            Summaries of the episodes; empty without evaluation.
        """
        if self._environment is None:
            return {}
        return self.summaries if update == self._update else self._play(self._environment, model)

    def _is_due(self, update: int) -> bool:
        last = update == self._config.trainer.updates
        return last or update % self._config.evaluation.interval == 0

    def _play(
        self,
        environment: VectorEnvironment,
        model: ActorCritic,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> dict[str, Summary]:
        began = time.perf_counter()
        lanes = _lanes(self._config.evaluation)
        played = evaluate(environment, model, lanes, cancelled=cancelled)
        self._seconds += time.perf_counter() - began
        self._count += 1
        return episode_summaries([one.end for one in played])

    def state_dict(self) -> dict[str, Any]:
        """Returns the results of the last evaluation and what was played, as plain Python."""
        return {
            "update": self._update,
            "played": self._played(),
            "summaries": {name: list(summary) for name, summary in self.summaries.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores the results of the last evaluation, unless the config now plays others."""
        if self._environment is not None and state.get("played") == self._played():
            self._update = state["update"]
            found = state["summaries"].items()
            self.summaries = {name: Summary(*value) for name, value in found}

    def _played(self) -> list[list[int]]:
        return [[one.seed for one in lane] for lane in _lanes(self._config.evaluation)]

    def close(self) -> None:
        """Closes the environments."""
        if self._environment is not None:
            self._environment.close()


def _lanes(config: EvaluationConfig) -> list[list[Episode]]:
    """Returns the episodes of each worker: each is a repetition, in which it plays every seed."""
    seeds = config.seed_list()
    return [[Episode(seed, worker) for seed in seeds] for worker in range(config.n_workers)]


def _environment(config: Config, normalization: Normalization) -> VectorEnvironment:
    made = make_vector(
        config.environment,
        config.evaluation.n_workers,
        config.seed,
        worker_id=config.worker_id + config.sampler.n_workers,
        episode_seeds=[[one.seed for one in lane] for lane in _lanes(config.evaluation)],
    )
    return normalized(made, normalization, learns=False)
