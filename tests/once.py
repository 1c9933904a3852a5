"""Makes what several tests read once for all of them, in whichever processes they run."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Returns a directory that the first test to ask for it fills; tests change copies of it."""
    place = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # each has a directory in that of the session
        place = place.parent
    directory = place / name
    with FileLock(f"{directory}.lock"):
        if not directory.exists():
            unfinished = Path(tempfile.mkdtemp(dir=place))  # a test that fails leaves it so
            make(unfinished)
            unfinished.rename(directory)
    return directory
