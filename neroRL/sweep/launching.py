"""Hands jobs to a launcher of Hydra and finds out how each ended.

A launcher's return values are not reliable: jobs of a cluster outlive it, and most launchers raise
for all jobs when the process of one dies. Each job's ``result.json`` tells how it ended, and a
killed job leaves its file of progress.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from neroRL.errors import Interrupted, OutputError
from neroRL.patching import patched
from neroRL.records.editions import overrides_for
from neroRL.signals import ENDING, handled, handlers_of
from neroRL.sweep.dispatch import Dispatch
from neroRL.sweep.jobs import Job
from neroRL.sweep.schedule import End
from neroRL.sweep.task import Ended

# Default number of jobs per batch: their overrides are held in memory, and clusters limit the size
# of a job array.
DEFAULT_BATCH = 1000
# A launcher that breaks this often in a row before a job has begun is given up.
MOST_FRUITLESS = 3


class LauncherRunner:
    """Runs jobs by a launcher of Hydra, batch by batch.

    Args:
        launcher: runs a batch and returns when its jobs have ended, or raises.
        edition: of the sweep; its jobs may outlive the command, and must not run in a later one.
        batch_size: jobs handed to the launcher at a time.
    """

    def __init__(self, launcher: Launcher, edition: int, batch_size: int | None = None) -> None:
        self._launcher = launcher
        self._edition = edition
        self._size = batch_size or DEFAULT_BATCH
        self._works = False
        self._fruitless = 0

    def run(self, dispatch: Dispatch) -> None:
        """Launches jobs until there are no more.

        Args:
            dispatch: hands out jobs and takes their results.

        Raises:
            SystemExit: the launcher starts no job.
        """
        _end_processes_of_earlier_sweeps(self._launcher)
        while batch := self._batch(dispatch):
            told, returned = self._launch(batch), time.monotonic()
            begun = any(dispatch.has_begun(job) for job in batch)
            broken = next((one.error for one in told if one.end is End.LOST), None)
            if broken is None or begun:
                self._works, self._fruitless = True, 0
            elif len(batch) > 1 or not self._works:
                self._fruitless += 1
                if self._fruitless == MOST_FRUITLESS:
                    raise SystemExit(f"error: the launcher started no job: {broken}")
            for job, one in zip(batch, told, strict=True):
                dispatch.ended(job, one.end, one.error, returned=returned)

    def _batch(self, dispatch: Dispatch) -> list[Job]:
        return list(itertools.islice(iter(dispatch.start_next, None), self._size))

    def _launch(self, batch: Sequence[Job]) -> list[Ended]:
        """Launches a batch and returns how the launcher says that each job ended."""
        overrides = [
            [*job.overrides, *overrides_for(job.directory, self._edition)] for job in batch
        ]
        with _deaths_as_returns(self._launcher), _signals_noted() as noted:
            try:
                returns = self._launcher.launch(overrides, initial_job_idx=batch[0].number)
            except Interrupted:  # a job in this process has passed the user's signal on
                raise
            except (Exception, KeyboardInterrupt) as error:
                if noted:
                    raise
                # Without a signal to this process, an interrupt also comes from a job's process.
                return [replace(Ended.with_error(error), end=End.LOST)] * len(batch)
        told = [_ended(returned) for returned in returns]
        return [*told, *[Ended(End.FINISHED)] * (len(batch) - len(told))]


def check_place(launcher: Launcher, directory: Path) -> None:
    """Checks that a launcher can write below a directory.

    Raises:
        OutputError: submitit would replace a part of its name, such as ``%j`` by the job's id.
    """
    if _is_of("submitit", launcher) and re.search(r"%[A-Za-z]", str(directory.absolute())):
        message = "submitit cannot run below a name in which a letter follows %"
        raise OutputError(f"{directory.absolute()}: {message}")


def _end_processes_of_earlier_sweeps(launcher: Launcher) -> None:
    """Ends the idle processes that joblib's launcher would take from an earlier sweep.

    They have the working directory, the environment variables and the modules of that sweep.
    """
    if _is_of("joblib", launcher):
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor().shutdown(wait=True)


@contextlib.contextmanager
def _signals_noted() -> Iterator[list[int]]:
    """Records the signals to this process while the block runs, and passes them on."""
    noted: list[int] = []
    previous = handlers_of(ENDING)

    def note(signum: int, frame: FrameType | None) -> None:
        noted.append(signum)
        previous[signum](signum, frame)

    with handled(dict.fromkeys(previous, note)):
        yield noted


def _ended(returned: JobReturn) -> Ended:
    if returned.status != JobStatus.FAILED:
        return Ended(End.FINISHED)
    error = returned._return_value
    if isinstance(error, _Death):
        return Ended(End.DIED, str(error))
    ended = Ended.with_error(error)
    return replace(ended, end=End.TRANSIENT) if ended.end is End.INTERRUPTED else ended


class _Death(Exception):
    """The process of a job died; the text is the launcher's account of it."""


@contextlib.contextmanager
def _deaths_as_returns(launcher: Launcher) -> Iterator[None]:
    """Makes launchers return the death of a job's process like the other jobs' results.

    submitit's and Ray's collect results one by one, and would raise at the first dead job while the
    others still run.
    """
    if _is_of("submitit", launcher):
        from submitit.core.core import Job as SubmittedJob

        collect = _never_raising(SubmittedJob.results, lambda returned: [returned])
        with patched(SubmittedJob, "results", collect):
            yield
    elif _is_of("ray", launcher):
        import ray

        # By default Ray starts a job whose process died three more times.
        remote: Any = launcher.ray_cfg.remote  # type: ignore[attr-defined]
        remote.setdefault("max_retries", 0)
        with patched(ray, "get", _never_raising(ray.get, lambda returned: returned)):
            yield
    else:
        yield


def _is_of(library: str, launcher: Launcher) -> bool:
    return type(launcher).__module__.startswith(f"hydra_plugins.hydra_{library}_launcher")


def _never_raising(
    collect: Callable[..., Any], as_result: Callable[[JobReturn], Any]
) -> Callable[..., Any]:
    def collected(*args: Any, **kwargs: Any) -> Any:
        try:
            return collect(*args, **kwargs)
        except Exception as error:
            failed = JobReturn(status=JobStatus.FAILED)
            failed.return_value = _Death(Ended.with_error(error).error)
            return as_result(failed)

    return collected
