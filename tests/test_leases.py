"""Tests that a lease has one holder at a time, ends with its process, and shares things evenly."""

import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from neroRL import leases
from neroRL.errors import OutputError
from neroRL.leases import share, try_lease

HOLD = "import sys; from neroRL.leases import try_lease; held = try_lease(sys.argv[1]); "


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """Puts the leases into the test's directory, and returns where they are."""
    monkeypatch.setattr(leases, "PLACES", (str(tmp_path),))
    return tmp_path / f"nerorl-leases-{os.getuid()}"


def test_one_holder_at_a_time():
    first = try_lease("thing")
    assert first is not None
    assert try_lease("thing") is None
    other = try_lease("another thing")
    assert other is not None
    first.release()
    assert try_lease("thing") is not None


def test_a_lease_dies_with_its_process_and_holds_whatever_its_temporary_directory(
    tmp_path, monkeypatch
):
    """Clusters set another TMPDIR for each job."""
    monkeypatch.undo()
    name = f"thing-{os.getpid()}"
    code = HOLD + "print(held is not None, flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, name],
        env={**os.environ, "TMPDIR": str(tmp_path), "HOME": "/nowhere"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    assert try_lease(name) is None
    process.kill()
    process.communicate()
    assert try_lease(name) is not None
    (leases._directory() / f"{name}.lock").unlink()
    assert list(tmp_path.iterdir()) == []


def test_users_share_things_evenly_as_they_come_and_go():
    """Compares with counting: each newcomer gets the first thing with the fewest users."""
    generator = random.Random(0)
    names = ["gpu-0", "gpu-1", "gpu-10"]
    held = []
    for _ in range(60):
        if held and generator.random() < 0.4:
            held.pop(generator.randrange(len(held)))[1].release()
            continue
        users = Counter(index for index, _ in held)
        index, lease = share(names)
        assert index == min(range(3), key=lambda i: users[i])
        held.append((index, lease))


def test_things_are_known_by_their_names_in_any_order():
    seen = [["gpu-3", "gpu-7"], ["gpu-3", "gpu-7"], ["gpu-7", "gpu-3", "gpu-5"]]
    chosen = [share(names) for names in seen]
    names = [names[index] for names, (index, _) in zip(seen, chosen, strict=True)]
    assert names == ["gpu-3", "gpu-7", "gpu-5"]


def test_nobody_else_can_write_to_the_leases(place):
    assert try_lease("thing") is not None
    assert place.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("kind", ["link", "file", "open", "foreign"])
def test_a_place_that_someone_else_has_prepared_is_not_used(
    place, tmp_path, tmp_path_factory, monkeypatch, kind
):
    if kind == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        place.symlink_to(tmp_path / "elsewhere")
    elif kind == "file":
        place.touch()
    else:
        place.mkdir()
        place.chmod(0o777 if kind == "open" else 0o700)
    if kind == "foreign":
        if os.getuid() != 0:
            pytest.skip("only root can give a directory away")
        os.chown(place, 12345, 12345)
    with pytest.raises(OutputError, match=f"no place for leases: none of {tmp_path} can"):
        try_lease("thing")
    second = tmp_path_factory.mktemp("second")
    monkeypatch.setattr(leases, "PLACES", (str(tmp_path), None))
    monkeypatch.setattr("tempfile.tempdir", str(second))
    assert try_lease("thing") is not None
    assert [path.name for path in Path(second).iterdir()] == [place.name]
    assert not list((tmp_path / "elsewhere").glob("*"))
