"""Handles signals that end a training, after the current update or at once.

After the first Ctrl-C or SIGTERM, or a cluster's signal that it takes the node away, the training
finishes its update and saves a checkpoint. A second Ctrl-C or SIGTERM ends it at once.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

from neroRL.errors import Interrupted
from neroRL.signals import ENDING, Handler, handled, handlers_of, heeded, interrupting

logger = logging.getLogger("neroRL.training")

SECONDS_OF_ONE_REQUEST = 1.0
# Launchers that can requeue a job have a handler for one of these; submitit's is SIGUSR2.
REQUEUEING = (signal.SIGUSR1, signal.SIGUSR2)


class Requeued(SystemExit):
    """The launcher ends this process and starts the job again; this is no failure."""


class Interruption:
    """A request to end the training.

    Args:
        requeueing: the launcher's own handlers, by signal.

    Attributes:
        requested: whether a signal came.
        name: of that signal.
    """

    def __init__(self, requeueing: dict[int, Handler]) -> None:
        self.requested = False
        self._first = 0.0
        self.name = ""
        self._requeueing = requeueing
        self._requeue: tuple[Handler, int] | None = None

    def handle(self, signum: int, frame: FrameType | None) -> None:
        """Notes the first signal, raises on the second."""
        if signum in self._requeueing:
            self._requeue = self._requeueing[signum], signum
        now = time.monotonic()
        if self.requested:
            # A cluster and the sweep may both pass on the same request.
            if signum in ENDING and now - self._first > SECONDS_OF_ONE_REQUEST:
                _interrupt(signum, frame)
            return
        self.requested, self._first = True, now
        self.name = signal.Signals(signum).name
        logger.warning("interrupted: saving after this update; once more ends at once")

    def end(self) -> NoReturn:
        """Ends the training after it is saved.

        Raises:
            Requeued: the launcher's handler raised it after its signal.
            Interrupted: otherwise.
        """
        if self._requeue is not None:
            handler, signum = self._requeue
            handler(signum, None)
        raise Interrupted(self.name)


@contextlib.contextmanager
def interruption() -> Iterator[Interruption]:
    """Catches the signals while the block runs; does nothing outside the main thread."""
    requeueing = handlers_of(REQUEUEING)
    caught = Interruption(requeueing)
    with handled(dict.fromkeys([*heeded(), *requeueing], caught.handle)):
        try:
            yield caught
        except KeyboardInterrupt as error:
            if not caught.requested or isinstance(error, Interrupted):
                raise
            raise Interrupted(caught.name) from error  # other code that handles the signal


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Distinguishes signals that end a job from exceptions of its own code.

    Raises:
        Requeued: the launcher's own handler ended the process; a ``SystemExit`` is the job's.
        Interrupted: SIGINT or SIGTERM came; a plain ``KeyboardInterrupt`` is the job's.
    """
    marked = {number: _marking(handler) for number, handler in handlers_of(REQUEUEING).items()}
    with handled(marked), interrupting(Interrupted):
        yield


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001
    raise Interrupted(signal.Signals(signum).name)


def _marking(handler: Handler) -> Handler:
    def handle(signum: int, frame: FrameType | None) -> None:
        try:
            handler(signum, frame)
        except SystemExit as end:
            raise Requeued(end.code) from None

    return handle
