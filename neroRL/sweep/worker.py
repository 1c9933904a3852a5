"""A worker process: runs one job after the other, as Hydra's launchers do."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import logging
import os
import pickle
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from hydra.core.singleton import Singleton
from hydra.core.utils import setup_globals
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from neroRL.composition.grammar import remember_interpolations
from neroRL.composition.run import run_composed
from neroRL.cores import set_share
from neroRL.signals import ENDING
from neroRL.streams import never_fail_to_encode
from neroRL.sweep.schedule import End
from neroRL.sweep.task import Ended

VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Assignment:
    """A job for a worker.

    Attributes:
        number: of the job.
        overrides: that compose it.
        output: file for its standard output and error.
    """

    number: int
    overrides: Sequence[str]
    output: str


def work(tasks: Connection, lifeline: Connection, payload: bytes, gpu: str | None) -> None:
    """Runs jobs until there are no more, or a signal asks it to end.

    Args:
        tasks: receives assignments and sends their outcomes.
        lifeline: closes when the sweep's process ends in any way.
        payload: pickled context, task function, master config, Hydra's singletons, threads.
        gpu: the only one that jobs see; None for all or none.
    """
    if gpu is not None:
        os.environ[VISIBLE_DEVICES] = gpu
    # The terminal's Ctrl-C reaches all processes; the sweep passes it on once, as SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)  # the server it is forked from blocks them
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    context, task, config, singletons, threads = pickle.loads(payload)
    setup_globals()
    Singleton.set_state(singletons)
    set_share(threads)
    never_fail_to_encode()
    remember_interpolations()
    gc.freeze()  # imported modules stay, so garbage collection can skip them
    while True:
        try:
            assignment = tasks.recv()
        except EOFError:
            return
        done = _run(assignment, context, task, config)
        with contextlib.suppress(OSError):
            tasks.send(done)
        if done.end is End.INTERRUPTED:  # whoever sent the signal wants this process to end
            return


def _end_with(lifeline: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        lifeline.recv_bytes()
    os._exit(1)


def _run(
    assignment: Assignment, context: HydraContext, task: TaskFunction, config: DictConfig
) -> Ended:
    try:
        with _output_to(Path(assignment.output)):
            composed = context.config_loader.load_sweep_config(config, list(assignment.overrides))
            with open_dict(composed):
                composed.hydra.job.id = f"{composed.hydra.job.name}_{assignment.number}"
                composed.hydra.job.num = assignment.number
            error = run_composed(composed, task, context)
            # Handlers of this job's log; the next job has its own.
            logging.shutdown()
    except Exception as raised:
        error = raised
    return Ended(End.FINISHED) if error is None else Ended.with_error(error)


@contextlib.contextmanager
def _output_to(path: Path) -> Iterator[None]:
    """Redirects standard output and error, also of C code, to a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    with path.open("ab", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        faulthandler.enable(file)  # a segmentation fault leaves a traceback
        try:
            yield
        finally:
            faulthandler.disable()
            sys.stdout.flush()
            sys.stderr.flush()
            for number, saved in zip((1, 2), kept, strict=True):
                os.dup2(saved, number)
                os.close(saved)
