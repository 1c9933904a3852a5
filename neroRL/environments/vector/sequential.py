"""Steps environments one after the other in this process."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from neroRL.environments.specification import Observation, SingleEnvironment
from neroRL.environments.vector.interface import EpisodeSeeds
from neroRL.environments.vector.one_by_one import OneByOneEnvironment, Step

FINGERPRINT_BYTES = 16

logger = logging.getLogger("neroRL.environments")


class SequentialEnvironment(OneByOneEnvironment):
    """Steps environments one after the other in this process.

    For most environments a step takes less time than sending it to another process would.

    Args:
        environments: at least one.
        seeds: the seeds of each environment's episodes.
        name: the environment's name, for messages.
    """

    def __init__(
        self,
        environments: Sequence[SingleEnvironment],
        seeds: Sequence[EpisodeSeeds],
        name: str = "the environment",
    ) -> None:
        super().__init__(environments[0], seeds, name)
        self.environments = list(environments)
        self._episode_actions: list[list[list[float]]] = [[] for _ in environments]

    def state_dict(self) -> dict[str, Any]:
        """Returns the running episodes' seeds, actions and fingerprints."""
        played = [list(actions) for actions in self._episode_actions]
        marks = [self._fingerprint(worker) for worker in range(self.num_envs)]
        return {**super().state_dict(), "episode_actions": played, "fingerprints": marks}

    def load_state_dict(self, state: Mapping[str, Any]) -> np.ndarray:
        """Replays the running episodes up to where they were.

        An episode starts again if its replay ends differently, for example because the environment
        draws random numbers that its seed does not determine.

        Returns:
            Whether each environment started its episode again, bool of shape (N,).
        """
        super().load_state_dict(state)
        marks = state.get("fingerprints", [None] * self.num_envs)
        restarted = [
            worker
            for worker, actions in enumerate(state["episode_actions"])
            if not self._replay(worker, actions, marks[worker])
        ]
        if restarted:
            message = (
                "%s: the episodes of environments %s start again: the actions that were done in "
                "them led elsewhere now, so it draws random numbers that its seed does not fix; "
                "the training will not equal an undisturbed one"
            )
            logger.warning(message, self.name, ", ".join(map(str, restarted)))
        self._begin(restarted, [self._episode_seeds[worker] for worker in restarted])
        return np.isin(np.arange(self.num_envs), restarted)

    def close_extras(self, **kwargs: Any) -> None:  # noqa: ARG002 - Gymnasium's signature
        """Closes every environment."""
        for environment in self.environments:
            environment.close()

    def _reset_some(self, workers: Sequence[int], seeds: Sequence[int]) -> Iterator[Observation]:
        for worker, seed in zip(workers, seeds, strict=True):
            self._episode_actions[worker] = []
            yield self.environments[worker].reset(seed=seed)[0]

    def _step_all(self, actions: np.ndarray) -> Iterator[Step]:
        for worker, action in enumerate(actions):
            self._episode_actions[worker].append(action.tolist())
            yield self.environments[worker].step(action)

    def _replay(self, worker: int, actions: Sequence[Sequence[float]], mark: str | None) -> bool:
        """Takes a sequence of actions in an environment whose episode has just begun.

        Args:
            worker: number of the environment.
            actions: the numbers of each step's action.
            mark: fingerprint of the state that the actions led to, if it was saved.

        Returns:
            Whether they led to the same state again.
        """
        for action in actions:
            observation, reward, terminated, truncated, _ = self.environments[worker].step(
                np.array(action)
            )
            if terminated or truncated:
                return False
            self._returns[worker] += np.float32(reward)
        if actions:
            self._add(worker, observation)
        self._steps[worker] = len(actions)
        self._episode_actions[worker] = [list(action) for action in actions]
        return mark is None or mark == self._fingerprint(worker)

    def _fingerprint(self, worker: int) -> str:
        """Returns a digest of an environment's current observation and its episode's reward."""
        digest = hashlib.blake2b(self._returns[worker].tobytes(), digest_size=FINGERPRINT_BYTES)
        for array in self.table.at(self.ids[worker : worker + 1]).values():
            digest.update(array.tobytes())
        return digest.hexdigest()
