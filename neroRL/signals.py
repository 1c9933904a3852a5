"""Signals that ask a process to end, and handlers that last as long as a block."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any

ENDING = (signal.SIGINT, signal.SIGTERM)

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
