"""How long tests wait for what must come: so long that no slow or busy machine fails them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 600.0
"""Seconds after which something hangs for ever."""


def wait_for(condition: Callable[[], T]) -> T:
    """Waits until a condition holds; returns what it then gives."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)
    return found
