"""Ctrl-C and SIGTERM: the first ends a training after the current update, the second at once."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

logger = logging.getLogger("neroRL.training")

SECONDS_OF_ONE_REQUEST = 1.0
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Whether someone asked the training to end."""

    requested = False
    _first = 0.0

    def handle(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Notes the first signal, raises on the second."""
        now = time.monotonic()
        if self.requested:
            # A cluster and the sweep may both pass the same request on.
            if now - self._first > SECONDS_OF_ONE_REQUEST:
                raise KeyboardInterrupt
            return
        self.requested, self._first = True, now
        logger.warning("interrupted: saving after this update; once more ends at once")


@contextlib.contextmanager
def interruption() -> Iterator[Interruption]:
    """Catches the signals while the block runs; outside of the main thread nothing changes."""
    caught = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    heeded = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, caught.handle) for number in heeded}
    try:
        yield caught
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
