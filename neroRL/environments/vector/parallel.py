"""Steps environments in parallel, each in its own process."""

from __future__ import annotations

import contextlib
import logging
import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import cloudpickle
import gymnasium
import numpy as np

from neroRL.environments.specification import Observation, SingleEnvironment
from neroRL.environments.vector.child import SECONDS_TO_END, ChildProcess
from neroRL.environments.vector.interface import EpisodeSeeds
from neroRL.environments.vector.one_by_one import OneByOneEnvironment, Step
from neroRL.environments.vector.worker import Failure, Spaces
from neroRL.errors import EnvironmentCrashError

logger = logging.getLogger("neroRL.environments")

WORKER = "neroRL.environments.vector.worker"


class ParallelEnvironment(OneByOneEnvironment):
    """Steps environments in parallel, each in its own process.

    This is for environments that wait for another program, such as a game engine or a server.
    Their actions are not kept, so restoring a state starts their episodes again.

    Args:
        makers: functions that make one environment each, called in its process.
        seeds: the seeds of each environment's episodes.
        name: the environment's name, for messages.

    Raises:
        Exception: the error of a maker. Its cause is the traceback in the environment's process.
    """

    def __init__(
        self,
        makers: Sequence[Callable[[], SingleEnvironment]],
        seeds: Sequence[EpisodeSeeds],
        name: str = "the environment",
    ) -> None:
        self._workers, spaces = start_all(enumerate(makers))
        with contextlib.ExitStack() as opened:
            opened.callback(end_all, self._workers)
            super().__init__(_OnlySpaces(spaces), seeds, name)
            opened.pop_all()

    def load_state_dict(self, state: Mapping[str, Any]) -> np.ndarray:
        """Starts the running episodes again; see the base class."""
        logger.info("%s: the running episodes start again: it keeps no state", self.name)
        return super().load_state_dict(state)

    def close_extras(self, **kwargs: Any) -> None:  # noqa: ARG002 - Gymnasium's signature
        """Closes every environment and ends every process."""
        end_all(self._workers)

    def _reset_some(self, workers: Sequence[int], seeds: Sequence[int]) -> Iterator[Observation]:
        asked = [self._workers[worker] for worker in workers]
        for worker, seed in zip(asked, seeds, strict=True):
            worker.send("reset", seed=seed)
        for worker in asked:
            yield worker.receive()[0]

    def _step_all(self, actions: np.ndarray) -> Iterator[Step]:
        for worker, action in zip(self._workers, actions, strict=True):
            worker.send("step", action)
        for worker in self._workers:
            yield worker.receive()


class WorkerProcess(ChildProcess):
    """A process that runs one environment.

    Args:
        make: makes the environment.
        number: the worker's number, for messages.
    """

    def __init__(self, make: Callable[[], SingleEnvironment], number: int) -> None:
        super().__init__(WORKER, f"the process of environment worker {number}")
        with contextlib.suppress(OSError):  # receive() reports the error
            self.connection.send_bytes(cloudpickle.dumps(make))

    def send(self, method: str, *positional: Any, **named: Any) -> None:
        """Asks the process to call a method of its environment."""
        with contextlib.suppress(OSError):  # receive() reports the error
            self.connection.send((method, positional, named))

    def receive(self) -> Any:
        """Waits for the answer.

        Raises:
            Exception: the error that the environment raised.
            EnvironmentCrashError: the process has ended.
        """
        try:
            answer: Spaces | Failure | tuple[Any, ...] = self.connection.recv()
        except (EOFError, OSError):
            raise EnvironmentCrashError(self.end_shown()) from None
        if isinstance(answer, Failure):
            raise pickle.loads(answer.error) from WorkerTraceback(answer.traceback)
        return answer

    def ask_to_end(self) -> None:
        """Asks the process to close its environment and end."""
        self.send("close")

    def end(self, seconds: float) -> None:
        """Waits some seconds for the end, then kills the process and everything it started."""
        deadline = time.monotonic() + seconds
        with contextlib.suppress(EOFError, OSError):
            while self.connection.poll(seconds):  # it may wait until a late answer is read
                self.connection.recv_bytes()
        super().end(max(deadline - time.monotonic(), 0.0))


def start_all(
    makers: Iterable[tuple[int, Callable[[], Any]]],
) -> tuple[list[WorkerProcess], Spaces]:
    """Starts a process for each maker; if one fails, all end.

    Args:
        makers: numbers of workers, for messages, and functions that make what they run.

    Returns:
        The processes, and the spaces of the first one's environment.

    Raises:
        Exception: the error of a maker.
    """
    workers: list[WorkerProcess] = []
    try:
        for number, make in makers:
            workers.append(WorkerProcess(make, number))
        spaces = [worker.receive() for worker in workers]
    except BaseException:
        end_all(workers)
        raise
    return workers, spaces[0]


def end_all(workers: list[WorkerProcess]) -> None:
    """Closes the environments of some processes, and ends these; the list is empty then."""
    for worker in workers:
        worker.ask_to_end()
    deadline = time.monotonic() + SECONDS_TO_END
    for worker in workers:
        worker.end(max(deadline - time.monotonic(), 0.0))
    workers.clear()


class WorkerTraceback(Exception):
    """The traceback of an error in an environment's process, as text.

    Args:
        text: the traceback.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        super().__init__(text)

    def __str__(self) -> str:
        return f"in the environment's process:\n{self._text}"


class _OnlySpaces(gymnasium.Env[Observation, np.ndarray]):
    def __init__(self, spaces: Spaces) -> None:
        self.observation_space = spaces.observation
        self.action_space = spaces.action
