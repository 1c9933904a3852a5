"""Finds checkpoints by their names, without importing torch."""

from __future__ import annotations

import re
from pathlib import Path

DIRECTORY = "checkpoints"
_NAME = re.compile(r"(?P<run>.+)-(?P<update>\d+)\.pt")


def checkpoints_of(directory: Path) -> list[Path]:
    """Returns the checkpoints of a job, ordered by update."""
    return checkpoints_in(directory / DIRECTORY)


def checkpoints_in(directory: Path) -> list[Path]:
    """Returns the checkpoints that lie in a directory, ordered by update.

    Raises:
        OSError: the directory cannot be read.
    """
    try:
        paths = list(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = [(update, path) for path in paths if (update := update_of(path)) is not None]
    return [path for _, path in sorted(found)]


def update_of(path: Path) -> int | None:
    """Returns the update that a checkpoint's name tells; None if it tells none."""
    match = _NAME.fullmatch(path.name)
    return None if match is None else int(match["update"])
