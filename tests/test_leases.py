"""Leases: one holder at a time, and none after the holder's end."""

import subprocess
import sys

import pytest

from neroRL.leases import try_lease

HOLD = "import sys; from neroRL.leases import try_lease; held = try_lease(sys.argv[1]); "


@pytest.fixture(autouse=True)
def _own_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)


def test_one_holder_at_a_time():
    first = try_lease("thing")
    assert first is not None
    assert try_lease("thing") is None
    other = try_lease("another thing")
    assert other is not None
    first.release()
    assert try_lease("thing") is not None


def test_a_lease_dies_with_its_process():
    code = HOLD + "print(held is not None, flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "thing"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    assert try_lease("thing") is None
    process.kill()
    process.communicate()
    assert try_lease("thing") is not None
