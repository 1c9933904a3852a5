"""Runs jobs in worker processes of this machine; a crash in one never stops the rest.

Workers live as long as the sweep, so torch is imported once and environments keep their tables. If
a worker dies, only its job fails, and a new worker replaces it.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

import cloudpickle
from hydra.core.singleton import Singleton
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from neroRL.errors import described
from neroRL.signals import ENDING, handled
from neroRL.sweep.dispatch import Dispatch
from neroRL.sweep.jobs import Job
from neroRL.sweep.schedule import End
from neroRL.sweep.server import METHOD, prepare
from neroRL.sweep.task import Ended
from neroRL.sweep.worker import VISIBLE_DEVICES, Assignment, work

POLL_SECONDS = 0.1  # longest delay until a signal is answered
SECONDS_TO_END = 5.0
OUTPUT_FILE = "output.log"
DEVICES = Path("/dev")
OUT_OF_RESOURCES = (errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOMEM)


@dataclass
class _Worker:
    process: BaseProcess
    tasks: Connection
    lifeline: Connection
    slot: int
    job: Job | None = None


class WorkerPool:
    """Worker processes that share the cores of this machine.

    Args:
        context: composes jobs.
        task: called with each job's config.
        config: the master config.
        size: number of workers.
        threads: torch threads of each worker.
        gpus: names of the GPUs, of which each worker sees one.
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
        self._processes: Any = multiprocessing.get_context(METHOD)
        self._workers: list[_Worker] = []
        self._stopping = self._interrupted = False

    def run(self, dispatch: Dispatch) -> None:
        """Runs jobs as workers become free.

        Args:
            dispatch: hands out jobs and takes their results.

        Raises:
            KeyboardInterrupt: SIGINT or SIGTERM came; running jobs have saved a checkpoint.
        """
        with self._signals():
            try:
                self._assign(dispatch)
                while any(worker.job is not None for worker in self._workers):
                    self._take_in(dispatch)
                    if (self._interrupted or dispatch.stopping) and not self._stopping:
                        self._stop()
                    self._assign(dispatch)
            finally:
                self._close()
        if self._interrupted:
            raise KeyboardInterrupt

    def _assign(self, dispatch: Dispatch) -> None:
        """Gives every free worker a job, and starts workers as needed."""
        while not (self._stopping or self._interrupted):
            free = next((worker for worker in self._workers if worker.job is None), None)
            if free is None and len(self._workers) >= self._size:
                return
            job = dispatch.start_next()
            if job is None:
                return
            try:
                worker = free or self._start()
            except (OSError, EOFError) as error:
                if isinstance(error, OSError) and error.errno in OUT_OF_RESOURCES:
                    self._size = max(len(self._workers), 1)
                dispatch.ended(job, End.DIED, f"its process did not start: {described(error)}")
                continue
            worker.job = job
            output = str(dispatch.directory(job) / OUTPUT_FILE)
            # The sentinel shows a worker that has died meanwhile.
            with contextlib.suppress(OSError):
                worker.tasks.send(Assignment(job.number, job.overrides, output))

    def _start(self) -> _Worker:
        prepare()
        ours, theirs = self._processes.Pipe()
        lifeline, end_of_worker = self._processes.Pipe()
        slot = min(set(range(self._size)) - {worker.slot for worker in self._workers})
        gpu = self._gpus[slot % len(self._gpus)] if self._gpus else None
        process = self._processes.Process(
            target=work, args=(theirs, end_of_worker, self._payload, gpu)
        )
        with theirs, end_of_worker:
            process.start()
        worker = _Worker(process, ours, lifeline, slot)
        self._workers.append(worker)
        return worker

    def _take_in(self, dispatch: Dispatch) -> None:
        """Waits a moment for workers that finished a job or died."""
        handles = {worker.tasks: worker for worker in self._workers}
        sentinels = {worker.process.sentinel: worker for worker in self._workers}
        ready = wait([*handles, *sentinels], POLL_SECONDS)
        for worker in {id(w): w for w in (handles.get(h) or sentinels[h] for h in ready)}.values():  # type: ignore[call-overload, index]
            done = _received(worker)
            if done is None and worker.process.is_alive():
                continue
            if done is None or done.end is End.INTERRUPTED:
                self._retire(worker)
            if worker.job is None:
                continue
            job, worker.job = worker.job, None
            if done is None:
                done = Ended(End.DIED, _reason(worker.process.exitcode))
            if done.end not in (End.DIED, End.INTERRUPTED):
                dispatch.ended(job, done.end, done.error)
            elif self._stopping or self._interrupted:  # the signal may have reached all processes
                dispatch.ended(job, End.INTERRUPTED)
            else:  # the sweep did not send the signal
                end = End.DIED if done.end is End.DIED else End.TRANSIENT
                dispatch.ended(job, end, done.error, at=time.time())

    def _retire(self, worker: _Worker) -> None:
        """Removes a worker that ends or has ended."""
        self._workers.remove(worker)
        worker.tasks.close()
        worker.lifeline.close()
        worker.process.join()

    def _stop(self) -> None:
        """Asks running jobs to save and end."""
        self._stopping = True
        for worker in self._workers:
            if worker.process.is_alive() and worker.process.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.process.pid, signal.SIGTERM)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Handles signals: the first asks the jobs to save and end, a second ends them at once."""
        asked_at = 0.0

        def handle(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001
            nonlocal asked_at
            now = time.monotonic()
            if not self._interrupted:
                asked_at = now
                self._interrupted = True
                with contextlib.suppress(OSError):  # the signal may have interrupted a print()
                    os.write(2, b"interrupted: jobs save and end; once more ends at once\n")
            elif now - asked_at > 1.0:
                self._kill()
                raise KeyboardInterrupt

        with handled(dict.fromkeys(ENDING, handle)):
            yield

    def _kill(self) -> None:
        for worker in self._workers:
            worker.process.kill()

    def _close(self) -> None:
        """Ends all workers: idle ones end by themselves, others are killed after a while."""
        for worker in self._workers:
            worker.tasks.close()
            worker.lifeline.close()
        deadline = time.monotonic() + SECONDS_TO_END
        for worker in self._workers:
            worker.process.join(max(deadline - time.monotonic(), 0.0))
        self._kill()
        self._workers.clear()


def _received(worker: _Worker) -> Ended | None:
    with contextlib.suppress(EOFError, OSError):  # of a worker that died; its exit code tells how
        if worker.tasks.poll():
            done = worker.tasks.recv()
            assert isinstance(done, Ended)
            return done
    return None


def _reason(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"its process was killed by {signal.Signals(-exit_code).name}"
    return f"its process ended with status {exit_code}"


def default_size(jobs: int, cores: int, gpus: Sequence[str]) -> int:
    """Returns the number of parallel jobs: one per GPU if there are any, else one per core."""
    return max(min(jobs, len(gpus) or cores), 1)


def threads_of(size: int, cores: int) -> int:
    """Returns the torch threads of each of ``size`` workers."""
    return max(cores // size, 1)


def visible_gpus() -> list[str]:
    """Returns the GPUs' names for ``CUDA_VISIBLE_DEVICES``, found without importing torch."""
    visible = os.environ.get(VISIBLE_DEVICES)
    if visible is not None:
        return [name.strip() for name in visible.split(",") if name.strip() not in ("", "-1")]
    if not _torch_has_cuda():
        return []
    numbers = [path.name.removeprefix("nvidia") for path in DEVICES.glob("nvidia[0-9]*")]
    return sorted(numbers, key=int)


def _torch_has_cuda() -> bool:
    """Returns whether torch was built for GPUs, found without importing it."""
    spec = importlib.util.find_spec("torch")
    places = spec.submodule_search_locations if spec is not None else None
    return any(any(Path(place, "lib").glob("*torch_cuda*")) for place in places or ())
