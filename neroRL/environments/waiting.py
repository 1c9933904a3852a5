"""How long environments are waited for, and what is said meanwhile."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
from collections.abc import Iterator

from neroRL.errors import ConfigError, Problem


def seconds_of(variable: str, default: float) -> float:
    """Returns the seconds that an environment variable sets.

    Raises:
        ConfigError: it is set to something else than a number above 0.
    """
    text = os.environ.get(variable, str(default))
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds < math.inf:
        message = f"the variable {variable} is {text!r}; expected a number of seconds above 0"
        raise ConfigError([Problem("", message)])
    return seconds


@contextlib.contextmanager
def told_when_slow(doing: str, seconds: float) -> Iterator[None]:
    """Says on standard error what is being done when it takes longer than some seconds."""

    def tell() -> None:
        print(f"{doing} for {seconds:g} seconds so far; Ctrl-C interrupts", file=sys.stderr)

    timer = threading.Timer(seconds, tell)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
