"""Writing files so that a reader, or a crash, finds the old content or the new, never a part."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from neroRL.errors import OutputError, UsageError
from neroRL.texts import shortened

# Linux allows 107 bytes; multiprocessing adds two names of its own.
LONGEST_PLACE_OF_SOCKETS = 70
# The names of the temporary files of ``replacing``, also of earlier versions.
_TEMPORARY = re.compile(r"\..+\.([a-z0-9_]{8}\.tmp|(csv|json|pt|yaml)\.[a-z0-9_]{8})")
# What the machine lacks or refuses, whatever a file holds.
FAULTS_OF_THE_MACHINE = (
    errno.EACCES,
    errno.EAGAIN,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ESTALE,
)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


# Reading it sets it for a moment, for all threads of the process.
_UMASK = _umask()


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Opens a temporary file beside ``path``, which replaces it if the block succeeds.

    Args:
        path: the file to write; its directory exists.
        durable: whether it must also survive a crash of the machine, which takes longer.

    Yields:
        The temporary file. If the block raises, it is removed and ``path`` stays as it was.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_UMASK)  # noqa: PTH101 - mkstemp makes it private
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def expanded(path: str) -> Path:
    """Returns the path, with ``~`` replaced by the home directory.

    Raises:
        UsageError: there is no such home directory.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UsageError(
            f"{path}: no home directory is known for ~; write the whole path"
        ) from None


def is_file(path: Path) -> bool:
    """Returns whether a path names a file; False for a path that no file can have."""
    with contextlib.suppress(OSError, ValueError):
        return path.is_file()
    return False


@contextlib.contextmanager
def short_temporary_directory() -> Iterator[None]:
    """Uses ``/tmp`` for temporary files while the block runs, if sockets need a shorter name.

    Raises:
        OutputError: there is no temporary directory.
    """
    before = tempfile.tempdir
    try:
        place = tempfile.gettempdir()
    except FileNotFoundError as error:
        message = f"{reason_of(error)}; set TMPDIR to a directory that can be written to"
        raise OutputError(message) from None
    if len(os.fsencode(place)) > LONGEST_PLACE_OF_SOCKETS:
        tempfile.tempdir = "/tmp"
    try:
        yield
    finally:
        tempfile.tempdir = before


def check_place(directory: Path) -> None:
    """Checks that a directory is, or could be made, writable.

    Raises:
        OutputError: it is a file, lies below one, is not writable, or no directory can have its
            name.
    """
    existing = directory
    try:
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
    except (OSError, ValueError) as error:
        raise OutputError(f"{shortened(directory)}: {reason_of(error)}") from None
    if not existing.is_dir():
        raise OutputError(f"{existing} is a file; expected a directory")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise OutputError(f"{existing} is not writable")


def check_place_of_file(path: Path) -> None:
    """Checks that a file can be written to a path.

    Raises:
        OutputError: it is a directory, or :func:`check_place` refuses the one that it is in.
    """
    if os.path.isdir(path):  # noqa: PTH112 - False where nothing may be read
        raise OutputError(f"{path} ({path.absolute()}) is a directory; expected a file")
    check_place(path.absolute().parent)


def undecoded(text: str) -> str | None:
    """Returns why a name from the system cannot be written to a file; None if it can."""
    try:
        text.encode()
    except UnicodeEncodeError:
        encoding = sys.getfilesystemencoding()
        way = "rename it" if encoding == "utf-8" else "set PYTHONUTF8=1"
        shown = os.fsencode(text).decode(errors="backslashreplace")
        return f"{shown} is no text in the encoding {encoding}; {way}"
    return None


def check_place_of_jobs(directory: Path) -> None:
    """Checks that Hydra can run jobs in a directory or below it.

    Raises:
        OutputError: :func:`check_place` refuses it, it is no text, or Hydra would take a part of
            its path for an interpolation.
    """
    problem = undecoded(str(directory.absolute()))
    if problem is not None:
        raise OutputError(problem)
    if "${" in str(directory.absolute()):
        raise OutputError(f"{directory.absolute()}: Hydra cannot run below a name with ${{ in it")
    check_place(directory)


def make_directory(directory: Path) -> None:
    """Makes a directory and its parents, as far as they are missing.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        message = f"{shortened(directory)} cannot be made: {reason_of(error)}; choose another place"
        raise OutputError(message) from None


def make_new_directory(directory: Path) -> Path:
    """Makes a new directory: ``<name>``, or else ``<name>-1``, ``<name>-2``, ….

    Returns:
        The directory.

    Raises:
        OutputError: none can be made.
    """
    make_directory(directory.parent)
    for number in itertools.count():
        new = directory.with_name(f"{directory.name}-{number}") if number else directory
        try:
            new.mkdir()
        except FileExistsError:
            continue
        except OSError as error:
            raise OutputError(f"{new} cannot be made: {reason_of(error)}") from None
        return new
    raise AssertionError("counting does not end")


def numbered_directories(directory: Path) -> Iterator[int]:
    """Yields the numbers of the directories that are named by one, in any order."""
    with os.scandir(directory) as entries:
        for entry in entries:
            name = entry.name
            if name.isdecimal() and name == str(int(name)) and entry.is_dir():
                yield int(name)


def reason_of(error: Exception) -> str:
    """Returns the operating system's reason for an error, without the file's name."""
    return getattr(error, "strerror", None) or str(error)


def keep_beside(path: Path) -> Path | None:
    """Renames a file or directory that is about to be replaced, so that nothing is lost.

    Returns:
        Its new name, see :func:`free_name`; None if there is nothing there.
    """
    return path.rename(free_name(path)) if path.exists() else None


def free_name(path: Path) -> Path:
    """Returns ``<stem>.0<suffix>``, or the next number that nothing has yet."""
    number = 0
    while (free := path.with_name(f"{path.stem}.{number}{path.suffix}")).exists():
        number += 1
    return free


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Replaces a text file atomically; see :func:`replacing`."""
    with replacing(path, durable=durable) as file:
        file.write(text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file atomically."""
    with replacing(path) as file:
        file.write(content)


def remove_leftovers(directory: Path) -> None:
    """Removes the temporary files of killed writers, while no writer is active."""
    for path in directory.glob(".*"):
        if _TEMPORARY.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)
