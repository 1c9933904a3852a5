"""Tests that every error of a command ends in one line and an exit status.

Unforeseen errors also leave their traceback in a file.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import tempfile
from pathlib import Path

import pytest

from neroRL.boundary import guarded
from neroRL.errors import FailedError, UsageError


@pytest.fixture(autouse=True)
def _own_place(tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def _raising(error: BaseException):
    def door() -> int:
        raise error

    return door


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (UsageError("a: b"), 2, "error: a: b"),
        (FailedError("it failed"), 1, "error: it failed"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (SystemExit("no"), 1, "no"),
        (SystemExit(3), 3, None),
        (SystemExit(), 0, None),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 0, None),
        (OSError(errno.ENOSPC, "No space left on device", "x"), 1,
         "error: x: No space left on device; make room and run the same command again"),
    ],
)  # fmt: skip
def test_known_errors(error, status, line, capsys, tmp_path):
    assert guarded(_raising(error)) == status
    assert capsys.readouterr().err == ("" if line is None else f"{line}\n")
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("two\nlines"), "ValueError: two lines; nobody foresaw this; please report it"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files; allow more open"),
        (
            PermissionError(errno.EACCES, "Permission denied", "p"),
            "p: Permission denied; it may not be read or written",
        ),
        (RecursionError("deep"), "RecursionError: deep; something is nested too deeply"),
        (MemoryError(), "MemoryError; free some memory"),
        (AssertionError(), "AssertionError; nobody foresaw this"),
    ],
)
def test_unforeseen_errors(error, told, capsys, tmp_path):
    assert guarded(_raising(error)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {told}")
    (file,) = (tmp_path / "temporary").iterdir()
    assert line.endswith(f"; its traceback is in {file}")
    text = file.read_text()
    assert text.startswith("Traceback")
    assert "in door" in text


def test_the_message_says_how_to_remedy_the_cause_of_a_failed_training(capsys):
    error = FailedError("the training failed")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert guarded(_raising(error)) == 1
    told = capsys.readouterr().err
    assert told == "error: the training failed; make room and run the same command again\n"


def test_without_a_temporary_directory_the_traceback_is_in_the_working_directory(
    capsys, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    assert guarded(_raising(ValueError("x"))) == 1
    (file,) = (tmp_path / "here").iterdir()
    assert str(file) in capsys.readouterr().err


def test_a_deleted_working_directory(capsys, tmp_path):
    (tmp_path / "here").rmdir()
    assert guarded(lambda: 0) == 2
    assert re.fullmatch(
        "error: the working directory does not exist any more; .*\n", capsys.readouterr().err
    )
    os.chdir(Path(__file__).parent)


def test_sigterm_is_an_interrupt(capsys):
    def door() -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        return 0

    before = signal.getsignal(signal.SIGTERM)
    assert guarded(door) == 130
    assert signal.getsignal(signal.SIGTERM) is before
