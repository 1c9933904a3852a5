"""Hands jobs to a launcher of Hydra and finds out what became of each.

What a launcher returns is not trusted: jobs of a cluster outlive it, and most launchers raise for
all jobs when the process of one dies. Each job's ``result.json`` tells how it ended, and a job
that is killed leaves the file of its progress behind.
"""

from __future__ import annotations

import contextlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher

from neroRL.records.job_progress import read_progress
from neroRL.records.results import FAILED, read_result
from neroRL.sweep.jobs import Job, JobPlan
from neroRL.sweep.pool import Ended

# Jobs handed to a launcher at a time, unless asked otherwise: their overrides are held in memory,
# and clusters bound the size of a job array.
DEFAULT_BATCH = 1000


def launch_all(
    launcher: Launcher,
    plan: JobPlan,
    pending: Sequence[int],
    sweep: Path,
    begin: Callable[[Job], Any],
    *,
    batch_size: int | None = None,
    max_retries: int = 0,
    fail_fast: bool = False,
) -> Iterator[Ended]:
    """Launches jobs in batches.

    Args:
        launcher: runs a batch and returns when its jobs have ended, or raises.
        plan: the jobs of the sweep.
        pending: numbers of those to run.
        sweep: the sweep's directory.
        begin: called with each job before every try.
        batch_size: jobs handed to the launcher at a time.
        max_retries: how often a job is tried again whose fault is not its config's.
        fail_fast: whether no further batch follows one with a failed job.

    Yields:
        Each job as its end becomes known.

    Raises:
        SystemExit: the launcher failed before a single job had begun.
    """
    waiting, suspects = deque(pending), deque[int]()
    tries: Counter[int] = Counter()
    while waiting or suspects:
        size = min(len(waiting), batch_size or DEFAULT_BATCH)
        # Which job broke a launch is not known, so those that were running run by themselves.
        numbers = [suspects.popleft()] if suspects else [waiting.popleft() for _ in range(size)]
        batch = [plan[number] for number in numbers]
        for job in batch:
            begin(job)
        errors, broken = _launch(launcher, batch)
        endings = [_ending(job, error, sweep) for job, error in zip(batch, errors, strict=True)]
        if broken is not None:
            lost = [ended for ended in endings if ended.transient and ended.error is not None]
            running = [e for e in lost if read_progress(sweep / e.job.directory) is not None]
            if len(lost) == len(batch) and not running:
                raise SystemExit(f"error: the launcher started no job: {errors[0]}") from broken
            if len(batch) > 1:
                endings = [ended for ended in endings if ended not in lost]
                suspects.extend(ended.job.number for ended in running)
                waiting.extendleft(e.job.number for e in reversed(lost) if e not in running)
        for ended in endings:
            number = ended.job.number
            tries[number] += 1
            if ended.transient and tries[number] <= max_retries:
                waiting.append(number)
            else:
                yield ended
        if fail_fast and any(ended.failed for ended in endings):
            return


def _launch(launcher: Launcher, batch: Sequence[Job]) -> tuple[list[str | None], Exception | None]:
    """Launches a batch; each job's error as the launcher tells it, and what broke the launch."""
    with _deaths_as_returns(launcher):
        try:
            returns = launcher.launch(
                [list(job.overrides) for job in batch], initial_job_idx=batch[0].number
            )
        except Exception as error:
            return [_text(error)] * len(batch), error
    errors = [_error_of(returned) for returned in returns]
    return [*errors, *[None] * (len(batch) - len(errors))], None


def _ending(job: Job, error: str | None, sweep: Path) -> Ended:
    """How a job ended: by its result, else by what the launcher says."""
    result = read_result(sweep / job.directory)
    if result is not None:
        return Ended(job, None, failed=result.status == FAILED, transient=result.transient)
    return Ended(job, error, failed=True, transient=True)


@contextlib.contextmanager
def _deaths_as_returns(launcher: Launcher) -> Iterator[None]:
    """Has launchers return the death of a job's process among the other jobs' returns.

    submitit's and Ray's collect results one by one and raise at the first job that died, while
    the others run on.
    """
    name = type(launcher).__module__
    if name.startswith("hydra_plugins.hydra_submitit_launcher"):
        from submitit.core.core import Job as SubmittedJob

        collect = _never_raising(SubmittedJob.results, lambda returned: [returned])
        with mock.patch.object(SubmittedJob, "results", collect):
            yield
    elif name.startswith("hydra_plugins.hydra_ray_launcher"):
        import ray

        # Ray would start a job whose process died three times more.
        remote: Any = launcher.ray_cfg.remote  # type: ignore[attr-defined]
        remote.setdefault("max_retries", 0)
        with mock.patch.object(ray, "get", _never_raising(ray.get, lambda returned: returned)):
            yield
    else:
        yield


def _never_raising(
    collect: Callable[..., Any], as_result: Callable[[JobReturn], Any]
) -> Callable[..., Any]:
    def collected(*args: Any, **kwargs: Any) -> Any:
        try:
            return collect(*args, **kwargs)
        except Exception as error:
            failed = JobReturn(status=JobStatus.FAILED)
            failed.return_value = error
            return as_result(failed)

    return collected


def _error_of(returned: JobReturn) -> str | None:
    if returned.status == JobStatus.FAILED:
        return _text(returned._return_value)
    return None


def _text(error: Any) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
