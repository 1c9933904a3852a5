"""Steps environments in a few processes, each of which steps its share one after the other."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import gymnasium
import numpy as np

from neroRL.environments.specification import Observation, SingleEnvironment
from neroRL.environments.vector.interface import EpisodeSeeds
from neroRL.environments.vector.one_by_one import Step
from neroRL.environments.vector.parallel import WorkerProcess, end_all, start_all
from neroRL.environments.vector.sequential import SequentialEnvironment


class DividedEnvironment(SequentialEnvironment):
    """Steps environments in several processes, with the results of one.

    Args:
        makers: functions that make one environment each, called in its process.
        seeds: the seeds of each environment's episodes.
        name: the environment's name, for messages.
        processes: at most; each has at least one environment.

    Raises:
        Exception: the error of a maker. Its cause is the traceback in the environment's process.
    """

    def __init__(
        self,
        makers: Sequence[Callable[[], SingleEnvironment]],
        seeds: Sequence[EpisodeSeeds],
        name: str,
        processes: int,
    ) -> None:
        parts = np.array_split(np.arange(len(makers)), min(processes, len(makers)))
        self.processes = len(parts)
        self._first = [int(part[0]) for part in parts]
        shares = [partial(_Share, [makers[worker] for worker in part]) for part in parts]
        self._processes, spaces = start_all(zip(self._first, shares, strict=True))
        environments = [
            _Remote(spaces, process, number)
            for process, part in zip(self._processes, parts, strict=True)
            for number in range(len(part))
        ]
        with contextlib.ExitStack() as opened:
            opened.callback(end_all, self._processes)
            super().__init__(environments, seeds, name)
            opened.pop_all()

    def close_extras(self, **kwargs: Any) -> None:  # noqa: ARG002 - Gymnasium's signature
        """Closes every environment and ends every process."""
        end_all(self._processes)

    def _reset_some(self, workers: Sequence[int], seeds: Sequence[int]) -> Iterator[Observation]:
        process = np.searchsorted(self._first, workers, side="right") - 1
        asked = np.unique(process).tolist()
        for one in asked:
            own = [
                (workers[place] - self._first[one], seeds[place])
                for place in np.flatnonzero(process == one).tolist()
            ]
            self._processes[one].send("reset_some", own)
        for worker in workers:
            self._episode_actions[worker] = []
        for one in asked:
            yield from self._processes[one].receive()

    def _step_all(self, actions: np.ndarray) -> Iterator[Step]:
        for process, own in zip(self._processes, np.split(actions, self._first[1:]), strict=True):
            process.send("step_all", own)
        for worker, action in enumerate(actions.tolist()):
            self._episode_actions[worker].append(action)
        for process in self._processes:
            yield from process.receive()


class _Share:
    """The environments of one process, which are called together.

    Args:
        makers: of the environments; at least one.
    """

    def __init__(self, makers: Sequence[Callable[[], SingleEnvironment]]) -> None:
        with contextlib.ExitStack() as opened:
            self._environments = [
                opened.enter_context(contextlib.closing(make())) for make in makers
            ]
            self._opened = opened.pop_all()
        self.observation_space = self._environments[0].observation_space
        self.action_space = self._environments[0].action_space

    def reset_some(self, chosen: Sequence[tuple[int, int]]) -> list[Observation]:
        """Resets some environments, each by its number and with its seed."""
        return [_copied(self.reset(number, seed)[0]) for number, seed in chosen]

    def step_all(self, actions: np.ndarray) -> list[Step]:
        """Takes an action in every environment."""
        steps = (self.step(number, action) for number, action in enumerate(actions))
        return [(_copied(observation), *rest) for observation, *rest in steps]

    def reset(self, number: int, seed: int) -> tuple[Observation, dict[str, Any]]:
        """Resets one environment."""
        return self._environments[number].reset(seed=seed)

    def step(self, number: int, action: np.ndarray) -> Step:
        """Takes an action in one environment."""
        return self._environments[number].step(action)

    def close(self) -> None:
        """Closes every environment."""
        self._opened.close()


def _copied(observation: Observation) -> Observation:
    """Returns a copy, since the next environment may overwrite the arrays."""
    return {key: array.copy() for key, array in observation.items()}


class _Remote(gymnasium.Env[Observation, np.ndarray]):
    """One of a process's environments, called by itself, as when its episode is replayed."""

    def __init__(self, spaces: Any, process: WorkerProcess, number: int) -> None:
        self.observation_space, self.action_space = spaces.observation, spaces.action
        self._process, self._number = process, number

    def step(self, action: np.ndarray) -> Any:
        self._process.send("step", self._number, action)
        return self._process.receive()
