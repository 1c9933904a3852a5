"""A single training shows how far it is, and at its end where everything is."""

from __future__ import annotations

import io
import logging
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from neroRL.records.job_progress import PROGRESS_FILE, JobProgress
from neroRL.reporting.progress import SECONDS_BETWEEN_LINES
from neroRL.reporting.training_display import ShownProgress
from tests.doors.sweeps import PROJECT
from tests.patience import PATIENCE

NTRAIN = ["-c", "import sys; from neroRL.train import ntrain; sys.exit(ntrain())"]


def test_a_training_of_one_update_of_one_step_says_so(door, tiny):
    sizes = ["trainer.updates=1", "sampler.n_workers=1", "sampler.worker_steps=1"]
    outcome = door("ntrain", ["--config=tiny.yaml", *sizes, "trainer.n_mini_batches=1"])
    assert "completed after 1 update, 1 step, " in outcome.out, outcome.err


def test_a_training_ends_by_saying_where_its_files_are(door, tiny, tmp_path):
    outcome = door("ntrain", ["--config=tiny.yaml", "--run-id=pole"])
    assert outcome.status == 0
    (job,) = (tmp_path / "runs/pole").iterdir()
    lines = outcome.out.splitlines()
    assert re.search(r"completed after 2 updates, 64 steps, .*s, reward \d+", outcome.out)
    told = dict(
        re.split(r":\s+", line, maxsplit=1) for line in lines if re.match(r"[a-z ]+: ", line)
    )
    assert told["directory"] == str(job)
    assert told["checkpoint"] == str(job / "checkpoints/pole-2.pt")
    assert told["curves"] == f"tensorboard --logdir {job}"
    evaluated = told["evaluate it"].split()
    assert door(evaluated[0], [*evaluated[1:], "--num-seeds=1"]).status == 0


def test_the_time_left_of_a_continued_training_that_counts_from_elsewhere(
    tmp_path, caplog, monkeypatch
):
    """Its config begins with update 100, and its checkpoint is of update 150."""
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    now = 0.0
    shown = ShownProgress(tmp_path, 200, 100, clock=lambda: now)
    shown.begin()
    shown.go_on(150, env_steps=0, seconds=9.0)
    with caplog.at_level(logging.INFO, "neroRL.training"):
        for update in range(151, 161):
            now += 10.0
            shown.write(JobProgress(update, 200, 0, 1.0, None))
    assert [record.message for record in caplog.records][-1].endswith("6m50s left")
    shown.remove()


@pytest.mark.slow
def test_a_terminal_has_a_bar(tiny, tmp_path):
    """With updates, speed, reward; and log lines above it, each by itself."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, True)
    process = subprocess.Popen(
        [sys.executable, *NTRAIN, "--config=tiny.yaml", "--run-id=a", "trainer.updates=40"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "COLUMNS": "120", "TERM": "xterm"},
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:  # the other end is closed
        pass
    assert process.wait(PATIENCE) == 0
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    lines = re.split(r"[\r\n]+", text)
    last = [line for line in lines if line.startswith("training ")][-1]
    assert re.search(r"40/40 [\d,]+ steps/s, reward \d", last)
    assert [line for line in lines if re.fullmatch(r"\[.*\]\[INFO\] - saved a-40.pt", line)]
    assert "checkpoint:  " in text


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_log_and_a_dumb_terminal_have_a_line_now_and_then(
    tmp_path, caplog, monkeypatch, is_terminal
):
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: is_terminal)
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setenv("TERM", "dumb")
    now = 100.0
    shown = ShownProgress(tmp_path, 200, clock=lambda: now)
    shown.begin()
    with caplog.at_level(logging.INFO, "neroRL.training"):
        # A training that goes on from update 99; each update takes two seconds.
        for update in range(100, 151):
            now += 2.0
            shown.write(JobProgress(update, 200, 4096 * update, 2048.0, 0.5))
    lines = [record.message for record in caplog.records]
    assert len(lines) == int(51 * 2 / SECONDS_BETWEEN_LINES)
    # Of the updates of this run alone.
    assert lines[0] == "update 114/200, 2,048 steps/s, reward 0.5, 2m52s left"
    assert Path(tmp_path, PROGRESS_FILE).exists()
    shown.remove()
    assert not Path(tmp_path, PROGRESS_FILE).exists()
