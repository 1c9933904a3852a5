"""The frame around every command, which is there before anything else is imported."""

from __future__ import annotations

import sys
from collections.abc import Callable

INTERRUPTED = 130


def guarded(door: Callable[[], int]) -> int:
    """Runs a command.

    Args:
        door: the command; returns its exit status.

    Returns:
        The exit status; 130 where the command was interrupted.
    """
    try:
        status = door()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        status = INTERRUPTED
    # An interrupt that came while text was executed, as dataclasses do when they are imported,
    # makes Python end with the signal itself, until text is executed again.
    exec("")
    return status
