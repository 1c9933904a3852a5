"""Both ends of the connection between this process and a child that runs Python.

The child leads a process group, which everything that it starts joins. The group ends when the
parent asks for it, when the parent kills it, and when the parent is gone.
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

from neroRL.signals import ENDING

SECONDS_TO_END = 15.0
STANDARD_INPUT, STANDARD_ERROR = 0, 2
_START = (
    "import importlib, sys; sys.path[:] = sys.argv[3:]; "
    "importlib.import_module(sys.argv[1]).main(int(sys.argv[2]))"
)


class ChildProcess:
    """Runs a module's ``main(descriptor)`` in a child; the descriptor is that of a connection.

    Unlike a process of multiprocessing, a plain child can be started from any process, also from a
    worker of a pool, and leaves no server process behind.

    Args:
        module: full name of the module, which is found with this process's ``sys.path``.
        name: the process's name in messages.
        quiet: whether its standard output goes to standard error.

    Attributes:
        connection: the parent's end of the connection.
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
        """Waits some seconds for the end, then kills the process and everything it started."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        self.connection.close()

    def end_shown(self) -> str:
        """Returns in words how the process ended, once its connection is closed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(SECONDS_TO_END)
        status = self._process.returncode
        if status is not None and status < 0:
            return f"{self._name} was killed by {signal.Signals(-status).name}"
        return f"{self._name} ended with status {status}"


@contextlib.contextmanager
def connected(descriptor: int) -> Iterator[Connection]:
    """Yields the child's end of the connection; then, or if the parent ends, ends the group.

    Args:
        descriptor: file descriptor of the connection.
    """
    # A scheduler signals all processes. The parent saves its state first, and then ends this one.
    for number in ENDING:
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
    """Ends the group when standard input ends; only the parent has its other end."""
    with contextlib.suppress(OSError):
        os.read(STANDARD_INPUT, 1)
    os.killpg(0, signal.SIGKILL)
