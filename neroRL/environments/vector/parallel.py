"""Steps environments at the same time, each in a process of its own."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from typing import Any, ClassVar

import cloudpickle
import gymnasium
import numpy as np

from neroRL.environments.specification import Observation, SingleEnvironment
from neroRL.environments.vector.interface import EpisodeSeeds, OneByOneEnvironment, Step
from neroRL.environments.vector.worker import Failure, Spaces
from neroRL.errors import EnvironmentCrashError

SECONDS_TO_END = 15.0
_START = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    "from neroRL.environments.vector.worker import main; main(int(sys.argv[1]))"
)


class ParallelEnvironment(OneByOneEnvironment):
    """Steps environments at the same time, each in a process of its own.

    For environments that wait for something else than this process: a game engine, a server. How
    they came to their state is not kept, so a restored state starts their episodes again.

    Args:
        makers: each makes an environment, in its process.
        seeds: the episodes' seeds, for each environment.

    Raises:
        Exception: what a maker raised, its traceback in the process as the cause.
    """

    continues: ClassVar[bool] = False

    def __init__(
        self, makers: Sequence[Callable[[], SingleEnvironment]], seeds: Sequence[EpisodeSeeds]
    ) -> None:
        self._workers: list[WorkerProcess] = []
        try:
            for number, make in enumerate(makers):
                self._workers.append(WorkerProcess(make, number))
            spaces = [worker.receive() for worker in self._workers]
        except BaseException:
            self._end_workers()
            raise
        super().__init__(_OnlySpaces(spaces[0]), seeds)

    def close_extras(self, **kwargs: Any) -> None:  # noqa: ARG002 - Gymnasium's signature
        """Closes every environment and ends every process."""
        self._end_workers()

    def _end_workers(self) -> None:
        for worker in self._workers:
            worker.ask_to_end()
        deadline = time.monotonic() + SECONDS_TO_END
        for worker in self._workers:
            worker.end(max(deadline - time.monotonic(), 0.0))
        self._workers.clear()

    def _reset_some(self, workers: Sequence[int], seeds: Sequence[int]) -> list[Observation]:
        asked = [self._workers[worker] for worker in workers]
        for worker, seed in zip(asked, seeds, strict=True):
            worker.send("reset", seed=seed)
        return [worker.receive()[0] for worker in asked]

    def _step_all(self, actions: np.ndarray) -> list[Step]:
        for worker, action in zip(self._workers, actions, strict=True):
            worker.send("step", action)
        return [worker.receive() for worker in self._workers]


class WorkerProcess:
    """A process that runs one environment.

    Args:
        make: makes the environment.
        number: of the worker, for messages.
    """

    def __init__(self, make: Callable[[], SingleEnvironment], number: int) -> None:
        self._number = number
        self._connection, theirs = Pipe()
        with theirs:
            # A plain child, unlike one of multiprocessing, may be started from any process, be
            # it itself a worker of a pool, and leaves no server process behind.
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, str(theirs.fileno()), *sys.path],
                stdin=subprocess.PIPE,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        with contextlib.suppress(OSError):  # the first answer tells
            self._connection.send_bytes(cloudpickle.dumps(make))

    def send(self, method: str, *positional: Any, **named: Any) -> None:
        """Asks for a method of the environment."""
        with contextlib.suppress(OSError):  # the answer tells
            self._connection.send((method, positional, named))

    def receive(self) -> Any:
        """Waits for the answer.

        Raises:
            Exception: what the environment raised.
            EnvironmentCrashError: the process has ended.
        """
        try:
            answer: Spaces | Failure | tuple[Any, ...] = self._connection.recv()
        except (EOFError, OSError):
            raise EnvironmentCrashError(self._end_shown()) from None
        if isinstance(answer, Failure):
            raise pickle.loads(answer.error) from WorkerTraceback(answer.traceback)
        return answer

    def ask_to_end(self) -> None:
        """Asks to close the environment and end."""
        self.send("close")

    def end(self, seconds: float) -> None:
        """Waits some seconds for the end, then ends the process and all that it has started."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._connection.close()

    def _end_shown(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(SECONDS_TO_END)
        status = self._process.returncode
        shown = f"the process of environment worker {self._number}"
        if status is not None and status < 0:
            return f"{shown} was killed by {signal.Signals(-status).name}"
        return f"{shown} ended with status {status}"


class WorkerTraceback(Exception):
    """The traceback of an error in an environment's process, as text.

    Args:
        text: of the traceback.
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
