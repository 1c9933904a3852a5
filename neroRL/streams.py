"""Prepares standard input, output and error for commands, however they were started."""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from typing import Any, TextIO, cast


class LastingStream:
    """A text stream that outlives its reader: text that cannot be written is dropped.

    A training continues when the other end of a pipe is closed or the disk of a log is full.

    Args:
        stream: on a file descriptor; handles everything else.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Writes text."""
        with self._dropping():
            self.stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes several texts."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Flushes the stream."""
        with self._dropping():
            self.stream.flush()

    @contextlib.contextmanager
    def _dropping(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)


def open_descriptors() -> None:
    """Opens ``/dev/null`` in the place of standard streams that are closed.

    Otherwise the next opened file would take their number, and printed text would end up in it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest number
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def never_fail_to_encode() -> None:
    """Writes characters that a terminal cannot show as escapes, such as ``\\xe4``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


class _OneLine(logging.Formatter):
    """Formats records as another formatter does, without tracebacks."""

    def __init__(self, formatter: logging.Formatter | None) -> None:
        super().__init__()
        self._formatter = formatter or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        record = copy.copy(record)
        record.exc_info = record.exc_text = None
        return self._formatter.format(record)


def keep_tracebacks_off_the_console() -> None:
    """Makes log handlers write tracebacks to files only."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and not hasattr(handler, "baseFilename"):
            handler.setFormatter(_OneLine(handler.formatter))


@contextlib.contextmanager
def lasting() -> Iterator[None]:
    """Makes standard output and error lasting while the block runs."""
    open_descriptors()
    never_fail_to_encode()
    kept = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, LastingStream(stream)) for stream in kept)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = kept


@contextlib.contextmanager
def as_data() -> Iterator[None]:
    """Makes standard output data for other programs: UTF-8, and an error once the reader ends.

    Raises:
        BrokenPipeError: nobody reads any more.
    """
    kept: Any = sys.stdout
    raw = kept.stream if isinstance(kept, LastingStream) else kept
    encoding, errors = raw.encoding, raw.errors
    if isinstance(raw, TextIOWrapper):
        raw.reconfigure(encoding="utf-8")
    sys.stdout = raw
    try:
        yield
        raw.flush()
    finally:
        sys.stdout = kept
        kept.flush()
        if isinstance(raw, TextIOWrapper):
            raw.reconfigure(encoding=encoding, errors=errors)
