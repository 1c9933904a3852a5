"""Tests ``nreport --watch`` and ``--serve`` during a sweep, and reports of two sweeps."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import numpy as np
import pytest

from neroRL.errors import OutputError
from neroRL.records.results import FAILED, STOPPED, JobResult
from neroRL.records.rungs import note_rung, reached
from neroRL.reporting.live import keep_current, serving
from tests.doors.sweeps import PROJECT
from tests.patience import PATIENCE, wait_for
from tests.reporting.landscapes import sweep_of


@pytest.fixture
def running(tmp_path):
    """Runs a sweep of two jobs of which one has ended; also gives what ends the other."""
    sweep = tmp_path / "run"
    sweep.mkdir()
    sweep_of(sweep, {"a.b": [1, 2]}, np.array([[1.0], [2.0]]))
    result = sweep / "1/0/result.json"
    text = result.read_text()
    result.unlink()

    def end() -> None:
        result.with_suffix(".new").write_text(text)
        result.with_suffix(".new").rename(result)

    return sweep, end


def _start(sweep, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "neroRL.report", str(sweep), *arguments],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _rows(sweep) -> int:
    path = sweep / "report/ranking.csv"
    return len(path.read_text().splitlines()) - 1 if path.exists() else 0


@pytest.mark.slow
def test_watching_ends_with_the_sweep(running):
    sweep, end = running
    process = _start(sweep, "--watch")
    wait_for(lambda: (sweep / "report/report.html").exists() and _rows(sweep) == 1)
    end()
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    assert _rows(sweep) == 2
    assert "1 of 2 jobs have ended" in output
    assert "2 of 2 jobs have ended" in output


def test_a_race_that_is_not_over_tells_how_many_jobs_stand_at_a_rung(tmp_path, door):
    """Nothing is saved yet, since those that stand there may go on."""
    sweep = tmp_path / "run"
    sweep.mkdir()
    stopped = [
        JobResult(number, 0, 0, STOPPED, {"a.b": number}, 1.0, directory=f"{number}/0",
                  updates=3, planned_updates=10, env_steps=20)
        for number in range(3)
    ]  # fmt: skip
    race = {"rungs": [0.25, 0.5]}
    sweep_of(sweep, {"a.b": [0, 1, 2, 3]}, np.full((4, 1), np.nan), stopped, race=race)
    for one in stopped:
        note_rung(sweep / one.directory, reached(one))
    outcome = door("nreport", ["run"])
    assert "the race is not over; jobs at a rung: 3, gone on from one: 0" in outcome.out
    assert "saved" not in outcome.out
    for one in stopped:  # they go on
        (sweep / one.directory / "result.json").unlink()
    outcome = door("nreport", ["run"])
    assert "no job has ended\n" in outcome.out
    assert "the race is not over; jobs at a rung: 0, gone on from one: 3" in outcome.out


@pytest.mark.slow
def test_watching_goes_on_after_a_sweep_was_extended_and_although_another_has_gone(
    running, tmp_path
):
    sweep, end = running
    other = tmp_path / "other"
    shutil.copytree(sweep, other)
    process = _start(sweep, str(other), "--watch")
    assert process.stdout is not None
    next(line for line in process.stdout if line.startswith("Side by side"))  # both are reported
    (sweep / ".extension.json").write_text("{}")
    other.rename(tmp_path / "gone")
    told = ("; its report waits\n", "is left out from now on\n")
    warned = (line for line in process.stdout if line.endswith(told))
    first, second = next(warned), next(warned)
    assert f"{other} is gone" in first + second
    assert f"{sweep} is being extended" in first + second
    end()
    (sweep / ".extension.json").unlink()
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    assert _rows(sweep) == 2
    assert not other.exists()


def test_a_report_that_cannot_be_written_ends_watching_with_the_sweep(running):
    """It is tried again as jobs end, not again and again."""
    sweep, end = running
    reported = []

    def report(sweeps):
        reported.append(len(sweeps[0].results))
        if len(reported) == 1:
            end()
        else:
            raise OutputError("the disk is full")

    with pytest.raises(OutputError, match="the disk is full"):
        keep_current(report, [sweep])
    assert reported == [1, 2, 2]


@pytest.mark.slow
def test_the_page_is_served_while_the_sweep_runs(running):
    sweep, end = running
    process = _start(sweep, "--serve", "--port=0")
    assert process.stdout is not None
    for line in process.stdout:
        if address := re.match(r"serving: (http://127\.0\.0\.1:\d+/)", line):
            break
    else:
        pytest.fail("it did not serve")

    def page():
        try:
            with urllib.request.urlopen(address[1]) as answer:
                return answer.headers, answer.read().decode()
        except urllib.error.HTTPError:  # not written yet
            return {}, ""

    wait_for(lambda: "Permutation 0" in page()[1])
    assert page()[0]["Refresh"]
    end()
    wait_for(lambda: "Permutation 1" in page()[1] and "Refresh" not in page()[0])
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{address[1]}../sweep.yaml")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output


def test_a_port_that_is_taken_is_refused(running, door):
    sweep, _ = running
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        outcome = door("nreport", [str(sweep), "--serve", f"--port={taken.getsockname()[1]}"])
    assert outcome.status == 2
    assert "--port=0 picks a free one" in outcome.err


def test_several_pages_are_listed_by_the_names_of_their_sweeps(tmp_path):
    pages = [("a<b", tmp_path / "out/one.html"), ("c", tmp_path / "out/two.html")]
    (tmp_path / "out").mkdir()
    for name, path in pages:
        path.write_text(f"page of {name}")
    with serving(pages, 0, lambda: False) as address:
        with urllib.request.urlopen(address) as answer:
            listed = answer.read().decode()
        with urllib.request.urlopen(f"{address}1") as answer:
            assert answer.read() == b"page of c"
    assert re.findall(r'<a href="/(\d)">(.*?)</a>', listed) == [("0", "a&lt;b"), ("1", "c")]


def test_damage_and_failures_of_a_confirmation_are_reported(tmp_path, door):
    sweep, below = tmp_path / "run", tmp_path / "run/confirmation"
    below.mkdir(parents=True)
    sweep_of(sweep, {"a.b": [1, 2]}, np.array([[1.0] * 3, [2.0, 2.1, 2.2]]))
    failed = JobResult(1, 1, 7, FAILED, {"a.b": 2}, directory="1/1", error="no luck")
    values = np.full((2, 3), np.nan)
    values[1, 0] = values[1, 2] = 1.5
    sweep_of(below, {"a.b": [1, 2]}, values, [failed], id="-confirmation")
    (below / "1/2/result.json").write_text("{")
    outcome = door("nreport", ["run"])
    assert "1 job of the confirmation did not complete" in outcome.out
    assert "1 job of the confirmation did not complete" in (
        (sweep / "report/report.html").read_text()
    )
    assert "run/confirmation/1/2/result.json is damaged" in outcome.err


def test_two_sweeps_side_by_side(tmp_path, door):
    for name, mean in (("a", 0.0), ("b", 5.0)):
        (tmp_path / name).mkdir()
        values = np.random.default_rng(0).normal(mean, 1.0, size=(2, 5))
        sweep_of(tmp_path / name, {"a.b": [1, 2]}, values)
    outcome = door("nreport", ["a", "b"])
    assert outcome.status == 0, outcome.err
    assert "a and b: a run of the first one's best does better with a chance of 0 %" in outcome.out
    assert (tmp_path / "b/report/report.html").exists()
