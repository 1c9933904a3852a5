"""Runs jobs in worker processes of this machine: fast, and no job can end another.

Workers live as long as the sweep, so that torch is imported once and environments keep their
tables. A worker that dies takes its job with it and nothing else: the job is recorded, and a new
worker takes the place.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

import cloudpickle
from hydra.core.singleton import Singleton
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from neroRL.files import short_temporary_directory
from neroRL.sweep.jobs import Job
from neroRL.sweep.worker import VISIBLE_DEVICES, Assignment, Done, work

POLL_SECONDS = 0.5
# Forked from a server that has imported everything, a worker starts at once.
METHOD = "forkserver" if sys.platform == "linux" else "spawn"
PRELOADED = "neroRL.job"
SECONDS_TO_END = 5.0


@dataclass
class Ended:
    """How a job ended.

    Attributes:
        job: the job.
        error: what went wrong, if the job could not record it itself.
        failed: whether the job ended with an error.
        transient: whether it is worth another try: its process died, or the fault was not its
            config's.
    """

    job: Job
    error: str | None = None
    failed: bool = False
    transient: bool = False


@dataclass
class _Worker:
    process: BaseProcess
    tasks: Connection
    lifeline: Connection
    slot: int
    job: Job | None = None


def prepare() -> None:
    """Starts the server that workers are forked from, if it does not run yet.

    It imports what they need while its caller goes on.
    """
    if METHOD == "forkserver":
        forkserver.set_forkserver_preload([PRELOADED])
        with short_temporary_directory():
            forkserver.ensure_running()


class WorkerPool:
    """Worker processes that share the cores of this machine.

    Args:
        context: composes jobs.
        task: called with each job's config.
        config: the master config.
        size: number of workers.
        threads: torch threads of each worker.
        gpus: names of the GPUs, which the workers share out among themselves.
    """

    def __init__(
        self,
        context: HydraContext,
        task: TaskFunction,
        config: DictConfig,
        size: int,
        threads: int,
        gpus: Sequence[str] = (),
    ) -> None:
        self._payload = cloudpickle.dumps((context, task, config, Singleton.get_state(), threads))
        self._size = size
        self._gpus = list(gpus)
        prepare()
        self._processes: Any = multiprocessing.get_context(METHOD)
        self._workers: list[_Worker] = []
        self._stopping = False

    def run(
        self,
        jobs: Iterator[Job],
        output: Callable[[Job], str],
        *,
        max_retries: int = 0,
        fail_fast: bool = False,
    ) -> Iterator[Ended]:
        """Runs jobs as workers become free.

        Args:
            jobs: taken one by one.
            output: the file a job's standard output and error go to; asked before every try.
            max_retries: how often a job is tried again whose fault is not its config's.
            fail_fast: whether the first failed job stops the others.

        Yields:
            Each job as it ends.

        Raises:
            KeyboardInterrupt: SIGINT or SIGTERM came; running jobs have saved a checkpoint.
        """
        again: deque[Job] = deque()
        tries: dict[int, int] = {}
        with self._signals():
            try:
                self._assign(jobs, again, output)
                while any(worker.job is not None for worker in self._workers):
                    finished = []
                    for ended in self._ended():
                        number = ended.job.number
                        tries[number] = tries.get(number, 0) + 1
                        if ended.transient and tries[number] <= max_retries and not self._stopping:
                            again.append(ended.job)
                            continue
                        finished.append(ended)
                        if fail_fast and ended.failed:
                            self._stop()
                    self._assign(jobs, again, output)
                    yield from finished
            finally:
                self._close()
        if self._stopping and not fail_fast:
            raise KeyboardInterrupt

    def _assign(self, jobs: Iterator[Job], again: deque[Job], output: Callable[[Job], str]) -> None:
        """Gives every free worker a job, starting workers as they are needed."""
        while not self._stopping:
            free = next((worker for worker in self._workers if worker.job is None), None)
            if free is None and len(self._workers) >= self._size:
                return
            job = again.popleft() if again else next(jobs, None)
            if job is None:
                return
            worker = free or self._start()
            worker.job = job
            # A worker that died meanwhile is noticed by its sentinel.
            with contextlib.suppress(OSError):
                worker.tasks.send(Assignment(job.number, job.overrides, output(job)))

    def _start(self) -> _Worker:
        ours, theirs = self._processes.Pipe()
        lifeline, end_of_worker = self._processes.Pipe()
        slot = min(set(range(self._size)) - {worker.slot for worker in self._workers})
        gpu = self._gpus[slot % len(self._gpus)] if self._gpus else None
        process = self._processes.Process(
            target=work, args=(theirs, end_of_worker, self._payload, gpu)
        )
        process.start()
        theirs.close()
        end_of_worker.close()
        worker = _Worker(process, ours, lifeline, slot)
        self._workers.append(worker)
        return worker

    def _ended(self) -> list[Ended]:
        """Waits a moment for workers that finished a job or died."""
        handles = {worker.tasks: worker for worker in self._workers}
        sentinels = {worker.process.sentinel: worker for worker in self._workers}
        ready = wait([*handles, *sentinels], POLL_SECONDS)
        ended = []
        for worker in {id(w): w for w in (handles.get(h) or sentinels[h] for h in ready)}.values():  # type: ignore[call-overload, index]
            done = _received(worker)
            if done is None and worker.process.is_alive():
                continue
            if done is None:
                worker.process.join()
                self._workers.remove(worker)
            if worker.job is None:
                continue
            job, worker.job = worker.job, None
            if done is None:
                if not self._stopping:
                    reason = _reason(worker.process.exitcode)
                    ended.append(Ended(job, reason, failed=True, transient=True))
            elif not done.interrupted:
                failed = done.error is not None
                ended.append(Ended(job, done.error, failed=failed, transient=done.transient))
        return ended

    def _stop(self) -> None:
        """Asks running jobs to save and end."""
        self._stopping = True
        for worker in self._workers:
            if worker.process.is_alive() and worker.process.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.process.pid, signal.SIGTERM)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """The first signal asks the jobs to save and end, a second one ends them at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        asked_at = 0.0

        def handle(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
            nonlocal asked_at
            now = time.monotonic()
            if not self._stopping:
                asked_at = now
                print("interrupted: jobs save and end; once more ends at once", file=sys.stderr)
                self._stop()
            elif now - asked_at > 1.0:
                self._kill()
                raise KeyboardInterrupt

        previous = {number: signal.signal(number, handle) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _kill(self) -> None:
        for worker in self._workers:
            worker.process.kill()

    def _close(self) -> None:
        """Ends all workers: those without a job by themselves, others after a while."""
        for worker in self._workers:
            worker.tasks.close()
            worker.lifeline.close()
        deadline = time.monotonic() + SECONDS_TO_END
        for worker in self._workers:
            worker.process.join(max(deadline - time.monotonic(), 0.0))
        self._kill()
        self._workers.clear()


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _received(worker: _Worker) -> Done | None:
    try:
        if worker.tasks.poll():
            done = worker.tasks.recv()
            assert isinstance(done, Done)
            return done
    except (EOFError, OSError):
        pass
    return None


def _reason(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"its process was killed by {signal.Signals(-exit_code).name}"
    return f"its process ended with status {exit_code}"


def default_size(jobs: int, cores: int, gpus: Sequence[str]) -> int:
    """How many jobs run at a time: one a core, or one a GPU where there are any."""
    return max(min(jobs, len(gpus) or cores), 1)


def threads_of(size: int, cores: int) -> int:
    """Torch threads of each of ``size`` workers."""
    return max(cores // size, 1)


def visible_gpus() -> list[str]:
    """Names of the GPUs for ``CUDA_VISIBLE_DEVICES``, found without importing torch."""
    visible = os.environ.get(VISIBLE_DEVICES)
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]
    numbers = [path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*")]
    return sorted(numbers, key=int)
