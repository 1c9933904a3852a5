"""Tells which sweep a directory holds, and keeps a second process out of it."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from neroRL.config.checks import flat
from neroRL.errors import OutputError
from neroRL.files import check_place, write_text
from neroRL.records.results import PLACE
from neroRL.records.sweep_record import RECORD_FILE, SweepRecord
from neroRL.sweep.grid import Axis

LOCK_FILE = ".lock"
HOLDER_FILE = ".lock-holder"


def axes_of(axes: Sequence[Axis]) -> dict[str, list[Any]]:
    """The axes as they are recorded."""
    return {axis.key: [choice.value for choice in axis.choices] for axis in axes}


def difference(old: SweepRecord, new: SweepRecord) -> list[str]:
    """What makes two sweeps different ones, a line each; empty for the same sweep."""
    lines = []
    for key in dict.fromkeys([*old.axes, *new.axes]):
        was, now = old.axes.get(key), new.axes.get(key)
        if was != now:
            lines.append(f"{key}: there {_shown(was)}, now {_shown(now)}")
    if not lines and list(old.axes) != list(new.axes):
        lines.append(f"order of keys: there {list(old.axes)}, now {list(new.axes)}")
    was_flat, now_flat = flat(old.base), flat(new.base)
    for key in dict.fromkeys([*was_flat, *now_flat]):
        was, now = was_flat.get(key), now_flat.get(key)
        if was != now and key not in (*PLACE, "seed") and key not in new.axes:
            lines.append(f"{key}: there {was}, now {now}")
    if list(old.conditional) != list(new.conditional):
        was, now = list(old.conditional), list(new.conditional)
        lines.append(f"values that apply beside some choices: there {was}, now {now}")
    return lines


def refuse_other_sweep(directory: Path, there: SweepRecord, now: SweepRecord) -> None:
    """Compares the sweep in a directory with the one that is to run there.

    Raises:
        OutputError: they differ; every difference is told.
    """
    lines = difference(there, now)
    if there.seed != now.seed:
        lines.append(f"seed: there {there.seed}, now {now.seed}")
    if lines:
        listed = "\n  ".join(lines)
        raise OutputError(
            f"{directory} holds a different sweep; nothing was changed. "
            f"Use another --run-id or --out, or remove it.\n  {listed}"
        )


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Holds a sweep's directory for one process; the lock dies with the process.

    Raises:
        OutputError: another process holds it; it is named.
    """
    lock = FileLock(directory / LOCK_FILE)
    holder = directory / HOLDER_FILE
    try:
        lock.acquire(timeout=0)
    except Timeout:
        name = holder.read_text(encoding="utf-8").strip() if holder.exists() else "unknown"
        raise OutputError(f"{directory} is in use by another sweep: {name}") from None
    try:
        since = datetime.now(UTC).isoformat(timespec="seconds")
        write_text(holder, f"process {os.getpid()} on {platform.node()} since {since}\n")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def check_directory(directory: Path) -> None:
    """Refuses an output directory that cannot hold a sweep, without creating anything.

    Raises:
        OutputError: it is a file, not writable, or holds something that is no sweep.
    """
    check_place(directory)
    if directory.exists() and not (directory / RECORD_FILE).exists():
        foreign = sorted(path.name for path in directory.iterdir() if path.name[0] != ".")
        if foreign:
            raise OutputError(
                f"{directory} holds {', '.join(foreign[:3])} but no {RECORD_FILE}; nothing there "
                "is overwritten, use another --out or --run-id"
            )


def _shown(choices: Sequence[Any] | None) -> str:
    return "not swept" if choices is None else str(list(choices))
