"""Signals that ask a process to end, and handlers that last as long as a block."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any, NoReturn

from neroRL.patching import patched

ENDING = (signal.SIGINT, signal.SIGTERM)
SECONDS_TO_LEAVE = 0.01

Handler = Callable[[int, FrameType | None], Any]

# The signals that have raised an interrupt in this process, which whoever takes it forgets.
_raised: list[int] = []


def heeded() -> list[int]:
    """Returns the signals that ask a process to end and that this one does not ignore."""
    return [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]


def handlers_of(numbers: tuple[signal.Signals, ...]) -> dict[int, Handler]:
    """Returns the functions that handle signals now; those left to the system have none."""
    handlers = {int(number): signal.getsignal(number) for number in numbers}
    return {number: handler for number, handler in handlers.items() if callable(handler)}


@contextlib.contextmanager
def handled(handlers: Mapping[int, Handler]) -> Iterator[None]:
    """Handles signals while the block runs; only a main thread can.

    Args:
        handlers: by the number of the signal. They are told of an interrupt that was lost before.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        if _raised and _raised[-1] in handlers:
            handlers[_raised[-1]](_raised[-1], None)
        yield
    finally:
        for number, handler in previous.items():
            if handler is not None:  # one that is not of Python cannot be set again
                signal.signal(number, handler)


@contextlib.contextmanager
def interrupting(error: type[KeyboardInterrupt]) -> Iterator[None]:
    """Raises an error when a signal asks this process to end, and does not lose the request.

    Python drops what is raised in ``__del__`` and in callbacks of weak references, which imports
    have; the signal is sent again then. A library's ``finally`` may fail because the interrupt came
    in the line before it, and its caller may go on after that error. Therefore handlers that take
    over later are told of the request, and :func:`raise_lost` raises it again.

    Args:
        error: called with the signal's name. A signal that is ignored stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = len(_raised)
    timers: list[threading.Timer] = []
    report = sys.unraisablehook

    def interrupt(signum: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001
        _raised.append(signum)
        raise error(signal.Signals(signum).name)

    def send_again(unraisable: sys.UnraisableHookArgs) -> None:
        if _raised and isinstance(unraisable.exc_value, KeyboardInterrupt):
            timers.append(threading.Timer(SECONDS_TO_LEAVE, os.kill, (os.getpid(), _raised[-1])))
            timers[-1].start()
        else:
            report(unraisable)

    try:
        with (
            handled(dict.fromkeys(heeded(), interrupt)),
            patched(sys, "unraisablehook", send_again),
        ):
            yield
    finally:
        for timer in timers:  # the signal is not for whoever handles signals next
            timer.cancel()
        del _raised[before:]


def is_interrupted() -> bool:
    """Returns whether a signal has raised an interrupt, which may have been lost."""
    return bool(_raised)


def raise_lost() -> None:
    """Raises an interrupt again that was lost.

    Raises:
        KeyboardInterrupt: one was.
    """
    if _raised:
        raise KeyboardInterrupt
