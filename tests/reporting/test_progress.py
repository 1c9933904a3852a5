"""Tests the progress display of a running sweep."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from neroRL.ranking.ranking import rank
from neroRL.ranking.standing import Standing
from neroRL.records.job_progress import JobProgress, ProgressFile, read_progress
from neroRL.records.results import FAILED, JobResult
from neroRL.reporting.analysis.costs import endings
from neroRL.reporting.progress import (
    PlainDisplay,
    SweepStatus,
    TerminalDisplay,
    duration,
    finished_line,
    make_display,
    status_line,
)
from neroRL.reporting.summary import print_summary

RUNNING = JobProgress(5, 20, 4096, 1234.5, 0.25)
STATUS = SweepStatus(
    total=10,
    ended={"completed": 4, "failed": 1, "diverged": 0, "stopped": 0},
    paused=0,
    worked=0.0,
    worked_before=2.0,
    running={"3/0": RUNNING},
    best=Standing(1, {"gamma": 0.9}, {0: 0.4, 1: 0.6}, 0.5),
    elapsed_seconds=65.0,
)
FAILED_JOB = JobResult(
    4, 0, seed=1, status=FAILED, directory="4/0", wall_seconds=3.0, error="ValueError: [bad]"
)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_time_left_comes_from_the_work_of_this_run():
    # 3.25 jobs took 65 s, and 4.75 are left.
    assert STATUS.seconds_left == pytest.approx(65.0 / 3.25 * 4.75)


def test_a_line_has_every_number():
    assert status_line(STATUS) == (
        "5/10 jobs · 1 failed · 1m05s gone · 1m35s left · "
        "3/0: update 5/20, 1,234 steps/s, reward 0.25 · "
        "best 0.5 in permutation 1, 2 runs: gamma=0.9"
    )


@pytest.mark.parametrize(("term", "display"), [("xterm", TerminalDisplay), ("dumb", PlainDisplay)])
def test_a_terminal_gets_a_bar_and_a_dumb_one_or_a_pipe_gets_lines(monkeypatch, term, display):
    monkeypatch.setenv("TERM", term)
    assert isinstance(make_display(_Terminal()), display)
    assert isinstance(make_display(io.StringIO()), PlainDisplay)


@pytest.mark.parametrize(("total", "told"), [(1, "sweep of 1 job"), (2, "sweep of 2 jobs")])
def test_a_sweep_begins_with_the_number_of_its_jobs(total, told):
    stream = io.StringIO()
    PlainDisplay(stream).start(total)
    assert stream.getvalue() == f"{told}\n"


@pytest.mark.parametrize(
    ("paused", "told"), [(1, "1 job waiting at a rung"), (2, "2 jobs waiting at a rung")]
)
def test_the_bar_counts_the_jobs_at_a_rung(paused, told):
    stream = _Terminal()
    display = TerminalDisplay(stream)
    display.start(10)
    display.stop(replace(STATUS, paused=paused))
    assert told in stream.getvalue()


def test_the_bar_shows_running_jobs_and_the_best():
    stream = _Terminal()
    display = TerminalDisplay(stream)
    display.start(10)
    display.update(STATUS)
    display.job_finished(FAILED_JOB)
    display.stop(STATUS)
    shown = stream.getvalue()
    for text in ("5/10", "update 5/20", "1,234 steps/s", "best 0.5 in permutation 1", "1m35s left",
                 "4/0: failed in 3s: ValueError: [bad]"):  # fmt: skip
        assert text in shown


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("ValueError: boom\nsecond line", "ValueError: boom …"),
        ("ValueError: \n\n  boom\n", "ValueError: boom"),
        ("CheckpointError: x.pt does not fit this model:\n  a has 2\n  b has 3",
         "CheckpointError: x.pt does not fit this model: a has 2 …"),
        ("its process died", "its process died"),
    ],
)  # fmt: skip
def test_the_display_the_summary_and_the_page_tell_the_same_reason(error, told):
    failed = replace(FAILED_JOB, error=error)
    printed = io.StringIO()
    print_summary([failed], rank([failed], 1), "out", printed)
    assert finished_line(failed) == f"4/0: failed in 3s: {told}"
    assert f"failed: 4/0: {told}\n" in printed.getvalue()
    assert [one.reason for one in endings([failed])] == [told]


def test_progress_travels_through_a_file(tmp_path):
    file = ProgressFile(tmp_path, 20)
    assert read_progress(tmp_path) is None
    file.write(RUNNING)
    assert read_progress(tmp_path) == RUNNING
    file.remove()
    assert read_progress(tmp_path) is None


@pytest.mark.parametrize(
    ("seconds", "shown"), [(3.4, "3s"), (59.6, "1m00s"), (3599, "59m59s"), (7260, "2h01m")]
)
def test_duration(seconds, shown):
    assert duration(seconds) == shown
