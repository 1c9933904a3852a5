"""Signals that ask a process to end, and handlers that last as long as a block."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any

ENDING = (signal.SIGINT, signal.SIGTERM)
SECONDS_TO_LEAVE = 0.01

Handler = Callable[[int, FrameType | None], Any]


def handlers_of(numbers: tuple[signal.Signals, ...]) -> dict[int, Handler]:
    """Returns the functions that handle signals now; those left to the system have none."""
    handlers = {int(number): signal.getsignal(number) for number in numbers}
    return {number: handler for number, handler in handlers.items() if callable(handler)}


@contextlib.contextmanager
def handled(handlers: Mapping[int, Handler]) -> Iterator[None]:
    """Handles signals while the block runs; only a main thread can.

    Args:
        handlers: by the number of the signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            if handler is not None:  # one that is not of Python cannot be set again
                signal.signal(number, handler)


@contextlib.contextmanager
def resent(interrupt: type[KeyboardInterrupt], number: signal.Signals) -> Iterator[None]:
    """Sends a signal again whose interrupt was lost while the block ran.

    Python drops what is raised in ``__del__`` and in callbacks of weak references, which imports
    have. A signal that comes there would be ignored.

    Args:
        interrupt: what the signal's handler raises.
        number: the signal to send.
    """
    ignored = sys.unraisablehook

    def send_again(unraisable: sys.UnraisableHookArgs) -> None:
        if isinstance(unraisable.exc_value, interrupt):
            arguments = (os.getpid(), number)
            threading.Timer(SECONDS_TO_LEAVE, os.kill, arguments).start()
        else:
            ignored(unraisable)

    sys.unraisablehook = send_again
    try:
        yield
    finally:
        sys.unraisablehook = ignored
