"""Steps environments one after the other in this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from neroRL.environments.specification import Observation, SingleEnvironment
from neroRL.environments.vector.interface import EpisodeSeeds, OneByOneEnvironment, Step


class SequentialEnvironment(OneByOneEnvironment):
    """Steps environments one after the other in this process.

    An environment's process, pipe and pickle cost more than a step of most.

    Args:
        environments: at least one; each deterministic, given its seed and actions.
        seeds: the episodes' seeds, for each environment.
    """

    def __init__(
        self, environments: Sequence[SingleEnvironment], seeds: Sequence[EpisodeSeeds]
    ) -> None:
        super().__init__(environments[0], seeds)
        self.environments = list(environments)
        self._episode_actions: list[list[list[int]]] = [[] for _ in environments]

    def state_dict(self) -> dict[str, Any]:
        """Seeds and actions of the running episodes, from which they can be played again."""
        played = [list(actions) for actions in self._episode_actions]
        return {**super().state_dict(), "episode_actions": played}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Plays the running episodes again, up to where they were."""
        super().load_state_dict(state)
        for worker, actions in enumerate(state["episode_actions"]):
            for action in actions:
                observation = self.environments[worker].step(np.array(action))[0]
            if actions:
                self.ids[worker] = self.table.add(observation)
            self._episode_actions[worker] = [list(action) for action in actions]

    def close_extras(self, **kwargs: Any) -> None:  # noqa: ARG002 - Gymnasium's signature
        """Closes every environment."""
        for environment in self.environments:
            environment.close()

    def _reset_some(self, workers: Sequence[int], seeds: Sequence[int]) -> list[Observation]:
        for worker in workers:
            self._episode_actions[worker] = []
        return [
            self.environments[worker].reset(seed=seed)[0]
            for worker, seed in zip(workers, seeds, strict=True)
        ]

    def _step_all(self, actions: np.ndarray) -> list[Step]:
        for taken, action in zip(self._episode_actions, actions, strict=True):
            taken.append(action.tolist())
        return [
            environment.step(action)
            for environment, action in zip(self.environments, actions, strict=True)
        ]
