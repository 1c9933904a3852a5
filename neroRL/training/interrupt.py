"""Ctrl-C and SIGTERM: the first ends a training after the current update, the second at once."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from types import FrameType

logger = logging.getLogger("neroRL.training")

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Whether someone asked the training to end."""

    requested = False

    def handle(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Notes the first signal, raises on the second."""
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        logger.warning("interrupted: saving after this update; once more ends at once")


@contextlib.contextmanager
def interruption() -> Iterator[Interruption]:
    """Catches the signals while the block runs; outside of the main thread nothing changes."""
    caught = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    previous = {number: signal.signal(number, caught.handle) for number in SIGNALS}
    try:
        yield caught
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
