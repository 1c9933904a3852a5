"""The frame around every command: every error ends in one line and an exit status.

It is in place before anything else is imported.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import resource
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from neroRL.cores import limit_spinning
from neroRL.errors import FailedError, NeroRLError, TransientError, UsageError, described
from neroRL.records.exits import Exit
from neroRL.signals import interrupting, is_interrupted
from neroRL.streams import lasting

FEWEST_FILES = 64
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_REMEDIES = {
    errno.EMFILE: "allow more open files, e.g. ulimit -n 4096, and run the same command again",
    errno.ENFILE: "this machine has no open files left; close some and run the command again",
    errno.ENOMEM: "free some memory and run the same command again",
    errno.EACCES: "it may not be read or written; change its permissions or choose another place",
    errno.EPERM: "it may not be read or written; change its permissions or choose another place",
    errno.EROFS: "choose a place that can be written to",
    errno.ENAMETOOLONG: "use shorter names",
    **dict.fromkeys(DISK_FULL, "make room and run the same command again"),
}


def guarded(door: Callable[[], int]) -> int:
    """Runs a command.

    Args:
        door: the command; returns its exit status, or raises.

    Returns:
        The exit status.
    """
    # Handlers run in reverse order, so this is the last one. After it, an interrupt would replace
    # the exit status by the signal.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    # Clusters send SIGTERM.
    with lasting(), interrupting(KeyboardInterrupt):
        status = _status(door)
    # After an interrupt within exec(), which dataclasses use when they are imported, Python ends
    # with the signal itself, until the next exec().
    exec("")
    return status


def _status(door: Callable[[], int]) -> int:
    try:
        _check_working_directory()
        _allow_open_files()
        limit_spinning()
        return door()
    except TransientError as error:  # a fault of the machine during a training
        return _reported(described(error), Exit.FAILED)
    except NeroRLError as error:
        return _interrupted() if _is_of_interrupt(error) else _reported(str(error), Exit.BAD_INPUT)
    except FailedError as error:
        return _reported("; ".join([str(error), *_remedy(error.__cause__)]), Exit.FAILED)
    except KeyboardInterrupt:
        return _interrupted()
    except SystemExit as end:
        if isinstance(end.code, int) or end.code is None:
            return end.code or Exit.WELL
        print(end.code, file=sys.stderr)
        return Exit.FAILED
    except BrokenPipeError:  # the reader has closed the pipe
        return Exit.WELL
    except Exception as error:
        return (
            _interrupted()
            if _is_of_interrupt(error)
            else _reported(_unforeseen(error), Exit.FAILED)
        )


def _is_of_interrupt(error: BaseException | None) -> bool:
    """Returns whether an error took the place of an interrupt, or came on its way out."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None or is_interrupted()


def _interrupted() -> int:
    print("interrupted", file=sys.stderr)
    return Exit.INTERRUPTED


def _reported(text: str, status: int) -> int:
    print(f"error: {text}", file=sys.stderr)
    return status


def _unforeseen(error: Exception) -> str:
    """Returns the error, what to do about it, and the file of its traceback."""
    if isinstance(error, OSError) and error.strerror:
        happened = ": ".join(str(part) for part in (error.filename, error.strerror) if part)
    else:
        happened = " ".join(described(error).split())
    told = [happened, *(_remedy(error) or ["nobody foresaw this; please report it"])]
    if not (isinstance(error, OSError) and error.errno in DISK_FULL):
        told += [f"its traceback is in {file}" for file in _keep_traceback(error)]
    return "; ".join(told)


def _remedy(error: BaseException | None) -> list[str]:
    """Returns advice on an error; empty if there is none."""
    if isinstance(error, RecursionError):
        return ["something is nested too deeply"]
    if isinstance(error, MemoryError):
        return [_REMEDIES[errno.ENOMEM]]
    number = error.errno if isinstance(error, OSError) else None
    return [_REMEDIES[number]] if number in _REMEDIES else []


def _keep_traceback(error: Exception) -> list[Path]:
    """Writes the traceback to the temporary or working directory; empty if both fail."""
    name = f"nerorl-error-{datetime.now():%Y-%m-%d_%H-%M-%S}-{os.getpid()}.txt"
    for directory in (tempfile.gettempdir, Path.cwd):
        with contextlib.suppress(OSError):
            path = Path(directory(), name)
            path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
            return [path]
    return []


def _check_working_directory() -> None:
    try:
        Path.cwd()
    except OSError as error:
        message = "the working directory does not exist any more; go to one that does"
        raise UsageError(message) from error


def _allow_open_files() -> None:
    """Raises the limit of open files to its maximum; a sweep has pipes to its workers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if 0 <= hard < FEWEST_FILES:
        message = f"only {hard} files may be open at a time, and {FEWEST_FILES} are needed"
        raise UsageError(f"{message}; allow more, e.g. ulimit -n 4096")
