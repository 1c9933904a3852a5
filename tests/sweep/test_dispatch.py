"""Tests what a sweep records of a job's end, whatever its directory showed before."""

from __future__ import annotations

import dataclasses
import io
import threading

import pytest

from neroRL.records.job_progress import PROGRESS_FILE, JobProgress, ProgressFile
from neroRL.records.results import COMPLETED, FAILED, RESULT_FILE, JobResult, load_result
from neroRL.reporting.progress import PlainDisplay, SweepStatus
from neroRL.sweep import dispatch as dispatches
from neroRL.sweep.dispatch import NO_RESULT, Dispatch
from neroRL.sweep.jobs import Job
from neroRL.sweep.monitor import Monitor
from neroRL.sweep.points import Permutation
from neroRL.sweep.schedule import End, Schedule

FAILURE = JobResult(0, 0, seed=1, status=FAILED, error="RuntimeError: the first command's job")
SUCCESS = JobResult(0, 0, seed=1, status=COMPLETED, objective=0.5)


@pytest.fixture
def sweep(tmp_path):
    (tmp_path / "0/0").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def monitor(sweep):
    return Monitor(sweep, [], 1, 1, {}, PlainDisplay(io.StringIO()))


@pytest.fixture
def dispatch(sweep, monitor):
    jobs = [Job(0, Permutation(0, ()), 0, 1, (), {})]
    schedule = Schedule([0], max_retries=0, fail_fast=False)
    return Dispatch(schedule, jobs, sweep, monitor)


def test_the_result_that_a_job_ends_with_replaces_the_one_that_was_read_before(
    sweep, monitor, dispatch
):
    """A job of an earlier command may fail while this command's waits for it, and then trains."""
    job = dispatch.start_next()
    FAILURE.write(sweep / "0/0")
    monitor.poll()
    assert monitor.results() == [FAILURE]
    SUCCESS.write(sweep / "0/0")
    dispatch.ended(job, End.FINISHED)
    assert monitor.results() == [SUCCESS]


def test_a_result_that_a_network_shows_late_is_waited_for(sweep, monitor, dispatch):
    job = dispatch.start_next()
    late = threading.Timer(0.5, SUCCESS.write, [sweep / "0/0"])
    late.start()
    dispatch.ended(job, End.FINISHED)
    late.join()
    assert monitor.results() == [SUCCESS]
    assert load_result(sweep / "0/0") == SUCCESS


def test_a_result_that_cannot_be_read_is_kept_beside_the_failure(
    sweep, monitor, dispatch, monkeypatch
):
    monkeypatch.setattr(dispatches, "LATE_SECONDS", 0.1)
    job = dispatch.start_next()
    (sweep / "0/0" / RESULT_FILE).write_text('{"permutation": 0')
    dispatch.ended(job, End.FINISHED)
    (failed,) = monitor.results()
    assert (failed.status, failed.error) == (FAILED, NO_RESULT)
    assert load_result(sweep / "0/0") == failed
    assert (sweep / "0/0/result.0.json").read_text() == '{"permutation": 0'


class _Seen(PlainDisplay):
    status: SweepStatus

    def update(self, status: SweepStatus) -> None:
        self.status = status


def test_what_earlier_runs_have_done_is_no_work_of_this_one(sweep, monkeypatch):
    """Of eight jobs, one goes on at 90 % and has ended, and one goes on at 50 % and does 10 %."""
    monkeypatch.setattr("neroRL.records.job_progress.SECONDS_BETWEEN", 0.0)
    seen = _Seen(io.StringIO())
    monitor = Monitor(sweep, [], 8, 8, {}, seen)
    for number, earlier, now in ((0, 190, 195), (1, 150, 160)):
        point = Permutation(number, ())
        monitor.watch([Job(number, point, 0, 1, (), {})])
        (sweep / f"{number}/0").mkdir(parents=True, exist_ok=True)
        file = ProgressFile(sweep / f"{number}/0", updates=200, resume_at=100)
        file.begin()
        monitor.poll()
        file.go_on(earlier, env_steps=0, seconds=3.0)
        file.write(JobProgress(now, 200, 0, 1.0, None))
        monitor.poll()
    SUCCESS.write(sweep / "0/0")
    (sweep / "0/0" / PROGRESS_FILE).unlink()
    monitor.poll()
    status = dataclasses.replace(seen.status, elapsed_seconds=20.0)
    assert status.worked_before == pytest.approx(0.9 + 0.5)
    # A tenth of each of the two took ten seconds; 6.4 jobs are left.
    assert status.seconds_left == pytest.approx(20.0 / 0.2 * 6.4)
