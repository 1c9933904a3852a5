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
        The exit status; 130 where Ctrl-C came while the command was being imported.
    """
    try:
        return door()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
