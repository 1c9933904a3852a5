"""The exit statuses of all entry points."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """The exit status of a command."""

    WELL = 0
    """Everything was done."""
    FAILED = 1
    """Some training failed; the others finished."""
    BAD_INPUT = 2
    """Nothing was created."""
    INTERRUPTED = 130
    """Ctrl-C or SIGTERM; the same command goes on."""
