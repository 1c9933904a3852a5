"""A sweep as pandas data frames, for notebooks and other tools."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neroRL.errors import UsageError
from neroRL.records import sweeps
from neroRL.records.results import table_of
from neroRL.records.sweeps import RecordedSweep
from neroRL.reporting.analysis.curves import read_scalars

if TYPE_CHECKING:
    import pandas

SEED = "seed"
INSTALL = 'pip install "neroRL[pandas]"'


@dataclass(frozen=True)
class SweepFrames:
    """The results and the learning curves of a sweep.

    Attributes:
        recorded: the sweep as its files tell it; ``recorded.record`` is what it was asked for.
    """

    recorded: RecordedSweep

    @functools.cached_property
    def results(self) -> pandas.DataFrame:
        """The rows and columns of ``results.csv``, one row for each job that has ended.

        Swept keys have the values of the jobs' configs, and None where they do not apply. Jobs of
        dropped permutations come last, with a column ``dropped`` that tells them from the others.
        """
        pandas = _pandas()
        keys = list(self.recorded.record.axes)
        results = [*self.recorded.results, *self.recorded.dropped]
        columns, rows = table_of(keys, results)
        frame = pandas.DataFrame(list(rows), columns=columns)
        for key in keys:  # pandas would make numbers beside None floats
            if key != SEED:
                values = [result.overrides.get(key) for result in results]
                frame[key] = pandas.Series(values, dtype=object)
        return frame

    @functools.cached_property
    def curves(self) -> pandas.DataFrame:
        """The scalars that jobs told TensorBoard: one row for each update, one column for each tag.

        The index has the levels ``permutation``, ``repetition`` and ``update``. The event files
        are read when the curves are first asked for; those of running jobs, too. Dropped
        permutations have none here.
        """
        rows: list[dict[str, Any]] = []
        index: list[tuple[int, int, int]] = []
        for permutation, repetition in self.recorded.jobs():
            job = self.recorded.job_directory(permutation, repetition)
            for update, scalars in sorted(read_scalars(job).items()):
                index.append((permutation, repetition, update))
                rows.append(scalars)
        names = ["permutation", "repetition", "update"]
        frame = _pandas()
        return frame.DataFrame(rows, index=frame.MultiIndex.from_tuples(index, names=names))

    @functools.cached_property
    def confirmation(self) -> SweepFrames | None:
        """The same of the confirmation, where there is one."""
        confirmed = self.recorded.confirmation
        return None if confirmed is None else SweepFrames(confirmed)


def read_sweep(directory: Path | str) -> SweepFrames:
    """Reads a sweep, running, unfinished or done, as data frames.

    Args:
        directory: of the sweep.

    Raises:
        OutputError: there is no sweep.
        RecordError: its ``sweep.yaml`` is damaged.
        UsageError: pandas is not installed.
    """
    _pandas()
    return SweepFrames(sweeps.read_sweep(directory))


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise UsageError(f"data frames need pandas: {INSTALL}") from None
    return pandas
