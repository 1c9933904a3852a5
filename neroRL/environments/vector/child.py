"""A Python process of its own and the connection to it, seen from both ends.

The child leads a process group. Whatever runs in it joins the group and ends with it: when the
parent says so, when the parent is gone, and when the parent ends the group.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection

SECONDS_TO_END = 15.0
STANDARD_INPUT, STANDARD_ERROR = 0, 2
_START = (
    "import importlib, sys; sys.path[:] = sys.argv[3:]; "
    "importlib.import_module(sys.argv[1]).main(int(sys.argv[2]))"
)


class ChildProcess:
    """Runs ``main(descriptor)`` of a module, where the descriptor is that of a connection.

    A plain child, unlike one of multiprocessing, may be started from any process, be it itself a
    worker of a pool, and leaves no server process behind.

    Args:
        module: its full name; found with this process's ``sys.path``.
        name: of the process, for messages.
        quiet: whether what it writes to standard output goes to standard error.

    Attributes:
        connection: to the child.
    """

    def __init__(self, module: str, name: str, *, quiet: bool = False) -> None:
        self._name = name
        self.connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START, module, str(theirs.fileno()), *sys.path],
                stdin=subprocess.PIPE,
                stdout=STANDARD_ERROR if quiet else None,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def end(self, seconds: float) -> None:
        """Waits some seconds for the end, then ends the process and all that it has started."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self.connection.close()

    def end_shown(self) -> str:
        """Says how the process has ended, once its connection is closed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(SECONDS_TO_END)
        status = self._process.returncode
        if status is not None and status < 0:
            return f"{self._name} was killed by {signal.Signals(-status).name}"
        return f"{self._name} ended with status {status}"


@contextlib.contextmanager
def connected(descriptor: int) -> Iterator[Connection]:
    """Yields the child's end of the connection; its process group ends with it or the parent.

    Args:
        descriptor: of the connection.
    """
    # A scheduler's signal reaches all processes; the parent saves and ends this one then.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        with Connection(descriptor) as parent, contextlib.suppress(EOFError, ConnectionError):
            yield parent
    except Exception:
        traceback.print_exc()
    finally:
        os.killpg(0, signal.SIGKILL)  # whatever was left behind


def _end_with_parent() -> None:
    """Waits for the end of standard input, which only the parent holds, and ends the group."""
    with contextlib.suppress(OSError):
        os.read(STANDARD_INPUT, 1)
    os.killpg(0, signal.SIGKILL)
