"""Runs sweeps in separate processes, and reads the files that they leave."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
import yaml

from tests.conftest import Outcome

PROJECT = Path(__file__).resolve().parents[2]
ARGUMENTS = ["--config=tiny.yaml", "--tune=space.yaml", "--run-id=run", "--out=out"]
# Environments that fail as their argument ``how`` says, unless they are healed.
FAILING = """
import ctypes, os, pathlib, signal, sys
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv
from neroRL.errors import TransientError

class Failing(CartPoleEnv):
    def __init__(self, how="", at=5, **rest):
        super().__init__(**rest)
        self._how, self._at, self._count = how, at, 0

    def step(self, action):
        self._count += 1
        if self._count == self._at and not pathlib.Path("healed").exists():
            if self._how == "raise":
                raise RuntimeError("the pole is made of glass")
            if self._how == "exit":
                sys.exit(3)
            if self._how == "keyboard":
                raise KeyboardInterrupt
            if self._how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self._how == "crash":
                ctypes.string_at(0)
            if self._how == "once":
                self._fail_once()
        return super().step(action)

    def _fail_once(self):
        mark = pathlib.Path("tried")
        if not mark.exists():
            mark.touch()
            raise TransientError("the port is taken")

gymnasium.register("Failing-v0", Failing)
"""


def table(sweep: Path) -> list[dict[str, str]]:
    """Returns the rows of ``results.csv``."""
    with (sweep / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def write_space(directory: Path, text: str) -> None:
    """Writes the tuning file that ``ARGUMENTS`` names."""
    (directory / "space.yaml").write_text(text)


def printed(outcome: Outcome) -> tuple[list[str], list[Any]]:
    """Returns the heads of the jobs that a dry run prints, and their configs."""
    assert outcome.status == 0, outcome.err
    heads = re.findall(r"^# job \d+: (.*)$", outcome.out, flags=re.MULTILINE)
    return heads, list(yaml.safe_load_all(outcome.out))


def start(directory: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    """Starts ``ntune`` in a new session, and so in a new process group."""
    path = os.pathsep.join([str(directory), str(PROJECT)])
    return subprocess.Popen(
        [sys.executable, "-m", "neroRL.tune", *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": path, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def checkpoints(job: Path) -> list[int]:
    """Returns the updates at which a job has complete checkpoints, ascending."""
    names = [path.stem for path in job.glob("checkpoints/run-*.pt")]
    return sorted(int(name.rpartition("-")[2]) for name in names)


def jobs_of(sweep: Path) -> list[Path]:
    """Returns the directories of a sweep's jobs."""
    return sorted(sweep.glob("[0-9]*/[0-9]*"))


def last_checkpoint(job: Path) -> dict:
    """Returns the content of a job's last checkpoint."""
    path = job / f"checkpoints/run-{checkpoints(job)[-1]}.pt"
    return torch.load(path, weights_only=True)


def assert_same_trainings(ours: Path, theirs: Path) -> None:
    """Checks that weights, optimiser, generators, environments and statistics are equal."""
    jobs = [job.relative_to(ours) for job in jobs_of(ours)]
    assert jobs
    assert jobs == [job.relative_to(theirs) for job in jobs_of(theirs)]
    for job in jobs:
        first, second = last_checkpoint(ours / job), last_checkpoint(theirs / job)
        for key in first.keys() - {"training_seconds", "wall_seconds"}:
            assert_equal(first[key], second[key], f"{job}: {key}")


def assert_equal(a, b, where: str) -> None:
    """Compares nested values with tensors in them."""
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key, value in a.items():
            assert_equal(value, b[key], f"{where}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_equal(x, y, f"{where}[{index}]")
    else:
        assert a == b, where


def processes_of(session: int) -> list[int]:
    """Returns the running processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            number = int(path.name)
            if os.getsid(number) == session and "Z" not in (path / "stat").read_text().split()[2]:
                found.append(number)
        except (ProcessLookupError, FileNotFoundError, PermissionError):
            continue
    return found


def workers_of(session: int) -> list[int]:
    """Returns a sweep's worker processes: the children of the server that forks them."""
    servers = servers_of(session)
    return [number for number in processes_of(session) if _parent(number) in servers]


def servers_of(session: int) -> list[int]:
    """Returns the processes that the workers of a sweep are forked from: one, or none."""
    others = [number for number in processes_of(session) if number != session]
    return [n for n in others if "forkserver" in _command_line(n) and _parent(n) in (session, 1)]


def _command_line(number: int) -> str:
    return Path(f"/proc/{number}/cmdline").read_text()


def _parent(number: int) -> int:
    return int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])
