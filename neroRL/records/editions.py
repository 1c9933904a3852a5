"""Keeps jobs that waited in a cluster's queue out of a sweep that was changed meanwhile.

A queued job knows its sweep as it was when the job was submitted. If the sweep has been extended
since, or removed and begun anew, the job's directory may be another permutation's. Each extension
makes a new edition of the sweep, and a job that starts in another edition than its own does not
train.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from neroRL.errors import OutputError
from neroRL.records.sweep_record import RECORD_FILE, read_record

_RESOLVER = "nerorl.job_of_edition"


def edition_of(sweep: Path) -> int:
    """Returns the edition of a sweep; -1 if there is no sweep."""
    record = read_record(sweep)
    return -1 if record is None else record.edition


def overrides_for(job: str, edition: int) -> list[str]:
    """Returns the overrides with which a job can only start in its edition.

    Hydra writes the job's config into its directory before the job itself runs, so finding the
    directory checks the edition, too. The job's ``hydra.yaml`` names this resolver therefore.

    Args:
        job: its directory, relative to the sweep's.
        edition: of the sweep.
    """
    return [
        f"hydra.sweep.subdir=${{{_RESOLVER}:{job}}}",
        f"hydra.sweeper.job.edition={edition}",
    ]


def check_edition(sweep: Path, identity: str, edition: int) -> None:
    """Refuses to run a job in another edition of its sweep, or in another sweep.

    Args:
        sweep: the directory.
        identity: the ``id`` of the job's sweep.
        edition: of the job's sweep.

    Raises:
        OutputError: the sweep has been changed since the job was submitted, or cannot be seen here.
    """
    record = read_record(sweep)
    if record is None:
        message = f"there is no {RECORD_FILE}, which each machine must see; the job is not run"
        raise OutputError(f"{sweep}: {message}")
    if (record.id, record.edition) != (identity, edition):
        message = "the sweep was changed after this job was submitted; the job is not run"
        raise OutputError(f"{sweep}: {message}")


def _job_of_edition(job: str, *, _root_: Any) -> str:
    hydra = _root_.hydra
    known = hydra.sweeper.job
    check_edition(Path(hydra.runtime.cwd, hydra.sweep.dir), known.sweep, known.edition)
    return job


OmegaConf.register_new_resolver(_RESOLVER, _job_of_edition, replace=True)
