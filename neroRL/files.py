"""Writing files so that a reader, or a crash, finds the old content or the new, never a part."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from neroRL.errors import OutputError

# What ``replacing`` calls its temporary files.
_TEMPORARY = re.compile(r"\..+\.[a-z0-9_]{8}")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Opens a temporary file beside ``path`` that takes its place when the block ends well.

    Args:
        path: the file to write; its directory exists.

    Yields:
        The temporary file. When the block raises, it is removed and ``path`` is what it was.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # noqa: PTH101 - mkstemp makes it private
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def check_place(directory: Path) -> None:
    """Checks that a directory exists or could be made, and written to.

    Raises:
        OutputError: it is a file, lies below one, or is not writable.
    """
    existing = directory
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise OutputError(f"{existing} is a file; expected a directory")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise OutputError(f"{existing} is not writable")


def write_text(path: Path, text: str) -> None:
    """Replaces a text file as a whole."""
    with replacing(path) as file:
        file.write(text.encode())


def remove_leftovers(directory: Path) -> None:
    """Removes the temporary files of writers that were killed; none may be at work."""
    for path in directory.glob(".*"):
        if _TEMPORARY.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
