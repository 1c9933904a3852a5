"""What a job had reached at the rungs of a race (``rungs.json``).

A job's ``result.json`` tells where it is now; decisions of a race also need where it was.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from neroRL.files import write_text
from neroRL.records.results import JobResult

RUNGS_FILE = "rungs.json"


@dataclass(frozen=True)
class Reached:
    """A job at a rung.

    Attributes:
        updates: that it had done.
        planned: number of updates of the whole training.
        objective: there; None if no episode had ended.
        env_steps: that it had done.
        fingerprint: of the config and weights that the job trained.
    """

    updates: int
    planned: int
    objective: float | None
    env_steps: int
    fingerprint: str


def reached(result: JobResult) -> Reached:
    """Returns what a stopped job had reached."""
    planned = result.whole_updates
    return Reached(result.updates, planned, result.objective, result.env_steps, result.fingerprint)


_ADAPTER = TypeAdapter(list[Reached])


def note_rung(directory: Path, reached: Reached) -> None:
    """Adds a rung to a job's file; the same rung of an earlier training is replaced."""
    others = [one for one in read_rungs(directory) if one.updates != reached.updates]
    content = sorted([*others, reached], key=lambda one: one.updates)
    text = json.dumps([asdict(one) for one in content], indent=2, allow_nan=False)
    write_text(directory / RUNGS_FILE, text + "\n")


def read_rungs(directory: Path) -> list[Reached]:
    """Returns what a job had reached at its rungs, in order; empty if there is no whole file.

    >>> from tempfile import mkdtemp
    >>> job = Path(mkdtemp())
    >>> note_rung(job, Reached(10, planned=100, objective=0.5, env_steps=5120, fingerprint="f"))
    >>> [(one.updates, one.objective) for one in read_rungs(job)]
    [(10, 0.5)]
    """
    try:
        return _ADAPTER.validate_json((directory / RUNGS_FILE).read_bytes())
    except (OSError, ValidationError):
        return []
