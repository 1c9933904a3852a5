"""Tests unusual streams, home directories, temporary directories and limits."""

from __future__ import annotations

import functools
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from tests.doors.sweeps import ARGUMENTS, PROJECT, jobs_of, table

NTRAIN = ["-c", "import sys; from neroRL.train import ntrain; sys.exit(ntrain())"]


@pytest.fixture
def run(tiny, tmp_path):
    """Runs a door in a separate process, with a space of two permutations."""
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9, 0.95]\n")

    def call(*arguments, door="tune", **options):
        program = NTRAIN if door == "ntrain" else ["-m", f"neroRL.{door}"]
        variables = options.pop("env", {})
        return subprocess.run(
            [sys.executable, *program, *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(PROJECT), **variables},
            check=False,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )

    return call


def _assert_trained(sweep: Path) -> None:
    assert [row["status"] for row in table(sweep)] == ["completed"] * 2
    for job in jobs_of(sweep):
        assert json.loads((job / "result.json").read_text())["updates"] == 2
        assert torch.load(job / "checkpoints/run-2.pt", weights_only=True)["update"] == 2


def test_a_dry_run_ends_with_its_reader(run):
    reader, writer = os.pipe()
    os.close(reader)
    done = run("--cfg=job", stdout=writer)
    os.close(writer)
    assert done.returncode == 0
    assert [line[:16] for line in done.stderr.decode().splitlines()[:1]] == ["python train.py "]
    assert b"Traceback" not in done.stderr
    assert b"error" not in done.stderr.lower()


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["by their readers", "from the start"])
def test_a_sweep_outlives_its_output(run, tmp_path, closed):
    if closed == "from the start":
        done = run(*ARGUMENTS, preexec_fn=lambda: [os.close(number) for number in range(3)])
    else:
        reader, writer = os.pipe()
        os.close(reader)
        done = run(*ARGUMENTS, stdout=writer, stderr=writer)
        os.close(writer)
    assert done.returncode == 0
    _assert_trained(tmp_path / "out/run")


@pytest.mark.slow
def test_a_full_disk_behind_the_output(run, tmp_path):
    with Path("/dev/full").open("w") as full:
        assert run(*ARGUMENTS, stdout=full).returncode == 0
        _assert_trained(tmp_path / "out/run")
        dry = run(*ARGUMENTS, "--cfg=job", stdout=full)
    assert dry.returncode == 1
    assert b"No space left on device; make room" in dry.stderr


@pytest.mark.slow
def test_a_terminal_that_only_shows_ascii(run, tmp_path):
    ascii_only = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    command = [*ARGUMENTS[:-1], "--out=ä", "model.model_path='größe'"]
    done = run(*command, "run_id='rün'", env=ascii_only)
    assert done.returncode == 0, done.stderr
    assert rb"\xe4/run/results.csv" in done.stdout
    for job in jobs_of(tmp_path / "ä/run"):
        assert (job / "checkpoints/rün-2.pt").is_file()
        assert r"saved r\xfcn-2.pt" in (job / "output.log").read_text()
    for door, arguments in (("tune", command), ("ntrain", [command[0], *command[4:]])):
        dry = run(*arguments, "--cfg=job", door=door, env=ascii_only)
        configs = list(yaml.safe_load_all(dry.stdout.decode()))
        assert configs[0]["model"]["model_path"] == "größe"


@pytest.mark.parametrize("env", [{}, {"LC_ALL": "C", "PYTHONUTF8": "0"}])
def test_names_that_are_no_text_are_refused(run, tmp_path, env):
    name = "ä".encode() if env else b"\xe4"
    done = run(*ARGUMENTS[:-1], b"--out=" + name, env=env)
    assert done.returncode == 2
    told = done.stderr.decode()
    way = "ascii; set PYTHONUTF8=1" if env else "utf-8; rename it"
    assert rf"\xe4/run' is no text in the encoding {way}" in told
    assert {path.name for path in tmp_path.iterdir()} == {"tiny.yaml", "space.yaml"}


@pytest.mark.slow
def test_a_long_temporary_directory(run, tmp_path):
    long = tmp_path / ("x" * 120)
    long.mkdir()
    done = run(*ARGUMENTS, env={"TMPDIR": str(long)})
    assert done.returncode == 0, done.stderr
    _assert_trained(tmp_path / "out/run")


@pytest.mark.parametrize("door", ["tune", "ntrain"])
def test_few_file_descriptors(run, tmp_path, door):
    limits = functools.partial(resource.setrlimit, resource.RLIMIT_NOFILE, (16, 16))
    arguments = ARGUMENTS if door == "tune" else [ARGUMENTS[0], "--out=out"]
    done = run(*arguments, door=door, preexec_fn=limits)
    assert done.returncode == 2
    told = "error: only 16 files may be open at a time, and 64 are needed; allow more, e.g. "
    assert done.stderr.decode() == f"{told}ulimit -n 4096\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_soft_limit_of_file_descriptors_is_raised(run, tmp_path):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limits = functools.partial(resource.setrlimit, resource.RLIMIT_NOFILE, (16, hard))
    assert run(*ARGUMENTS, preexec_fn=limits).returncode == 0
    _assert_trained(tmp_path / "out/run")


def test_a_deleted_working_directory(tmp_path):
    command = f"mkdir gone && cd gone && rmdir ../gone && exec {sys.executable} -m neroRL.tune"
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: the working directory does not exist any more")


@pytest.mark.slow
def test_without_assertions_everything_is_the_same(run):
    sweep = ["--cfg=job", *ARGUMENTS, "trainer.epochs=sort(range(1,4),reverse=true)"]
    sweep += ["evaluation.seeds={start-seed:7}"]
    done = run(*sweep, env={"PYTHONOPTIMIZE": "1"})
    assert done.returncode == 0, done.stderr
    configs = list(yaml.safe_load_all(done.stdout))
    assert [config["trainer"]["epochs"] for config in configs] == [3, 2, 1] * 2
    assert {config["evaluation"]["seeds"]["start-seed"] for config in configs} == {7}


@pytest.mark.parametrize("flag", ["--config", "--tune", "--out"])
def test_an_unknown_home_directory(door, tiny, tmp_path, flag):
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9]\n")
    outcome = door("ntune", [*ARGUMENTS, "--cfg=job", f"{flag}=~nobody-here/x.yaml"])
    assert outcome.status == 2
    assert "~nobody-here/x.yaml: no home directory is known for ~" in outcome.err


@pytest.mark.slow
def test_home_is_understood_in_every_path(door, command, tiny, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    (home / "tiny.yaml").write_text(tiny.read_text())
    (home / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9]\n")
    flags = ["--config=~/tiny.yaml", "--out=~/out", "--run-id=run"]
    assert door("ntrain", [*flags, "hydra.run.dir=first"]).status == 0
    (tmp_path / "first/checkpoints/run-2.pt").rename(home / "weights.pt")
    still = ["model.load_model=true", "trainer.learning_rate_schedule.initial=0"]
    loaded = [*still, "model.model_path='~/weights.pt'"]
    swept = command("tune", *flags, "--tune=~/space.yaml", *loaded)
    assert swept.returncode == 0, swept.stderr
    first = torch.load(home / "weights.pt", weights_only=True)
    last = torch.load(home / "out/run/0/0/checkpoints/run-2.pt", weights_only=True)
    assert all(torch.equal(first["model"][key], last["model"][key]) for key in first["model"])
    more = ["--checkpoint=~/weights.pt", "--num-updates=1"]
    outcome = door("ntrain", [*flags, "--out=~/more", *more])
    assert outcome.status == 0, outcome.err
    assert len(list((home / "more/run").glob("*/checkpoints/run-3.pt"))) == 1
    tuned = ["-m", f"--config-path={home}", "--config-name=tiny", "--cfg=job"]
    assert door("train", [*tuned, "hydra.sweeper.tune='~/space.yaml'"]).status == 0
    assert not (tmp_path / "~").exists()


@pytest.mark.slow
@pytest.mark.parametrize("more", [[], ["--generate-only"]], ids=["sweep", "generate"])
def test_no_temporary_directory(tiny, tmp_path, more):
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9]\n")
    code = (
        "import sys, tempfile\n"
        "tempfile._candidate_tempdir_list = lambda: ['/nowhere']\n"
        "from neroRL.tune import main\n"
        "sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *ARGUMENTS, *more],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    if more:  # needs no temporary directory
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode == 2
    told = "error: No usable temporary directory found in ['/nowhere']; set TMPDIR to a directory"
    assert done.stderr == f"{told} that can be written to\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("door_name", "more"),
    [("ntune", ["--generate-only"]), ("ntune", []), ("ntrain", [])],
    ids=["generate", "sweep", "training"],
)
@pytest.mark.parametrize("place", ["/proc/here", "/sys/here"])
def test_a_directory_that_nobody_can_write_to(door, tiny, tmp_path, door_name, more, place):
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9]\n")
    tune = ["--tune=space.yaml"] if door_name == "ntune" else []
    outcome = door(door_name, ["--config=tiny.yaml", *tune, *more, f"--out={place}"])
    assert outcome.status == 2
    assert place in outcome.err.splitlines()[-1]
    assert "Traceback" not in outcome.err
    assert not Path(place).exists()


LONG = "x" * 300


@pytest.mark.parametrize(
    ("door_name", "flag", "told"),
    [
        ("ntune", f"--out={LONG}", "File name too long"),
        ("ntune", f"--config={LONG}.yaml", "File name too long"),
        ("ntune", f"--tune={LONG}.yaml", "File name too long"),
        ("ntune", f"--run-id={LONG}", "has 300 bytes; at most 200 fit"),
        ("ntune", f"run_id={LONG}", "has 300 bytes; at most 200 fit"),
        ("ntune", f"environment.name={LONG * 300}", "is no CartPole id"),
        ("ntune", f"{LONG * 300}=1", "keys have at most 200 characters"),
        ("ntrain", f"--out={LONG}", "File name too long"),
        ("ntrain", f"--checkpoint={LONG}", "is no file"),
        ("ntrain", f"model={{load_model:true,model_path:{LONG}}}", "is no file"),
        ("train", f"--config-name={LONG}", "no config"),
    ],
)
def test_names_that_are_too_long(door, tiny, tmp_path, door_name, flag, told):
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9]\n")
    base = {
        "ntune": ["--config=tiny.yaml", "--tune=space.yaml", "--out=out"],
        "ntrain": ["--config=tiny.yaml", "--out=out"],
        "train": [],
    }[door_name]
    outcome = door(door_name, [*base, flag])
    assert outcome.status == 2
    assert told in outcome.err
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "out").exists()
