"""Shared fixtures, among them the doors: the commands as a user calls them."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from neroRL.train import main as train_main
from tests.patience import PATIENCE

PROJECT = Path(__file__).resolve().parent.parent
# Tests started in the background ignore Ctrl-C, and so would every process that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
# How long examples take tells about the machine only.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
# A training of a second: a tiny network on CartPole.
TINY = """\
environment:
  type: CartPole
  name: CartPole-v1
model:
  num_vec_encoder_units: 8
  num_hidden_layers: 1
  num_hidden_units: 8
sampler:
  n_workers: 2
  worker_steps: 16
trainer:
  updates: 2
  n_mini_batches: 2
seed: 5
threads: 1
"""


@dataclass
class Outcome:
    """A command's exit status and output."""

    status: int
    out: str
    err: str


@pytest.fixture
def door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[[str, Sequence[str]], Outcome]]:
    """Calls a command in an empty directory, in this process."""
    from neroRL import enjoy, eval_checkpoints, report, tune
    from neroRL import eval as neval
    from neroRL.train import ntrain

    monkeypatch.chdir(tmp_path)
    doors = {
        "ntune": tune.main,
        "ntrain": ntrain,
        "train": train_main,
        "nreport": report.main,
        "nenjoy": enjoy.main,
        "neval": neval.main,
        "neval-checkpoints": eval_checkpoints.main,
    }

    def call(name: str, arguments: Sequence[str]) -> Outcome:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        capfd.readouterr()
        try:
            status = doors[name]()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        captured = capfd.readouterr()
        return Outcome(status, captured.out, captured.err)

    yield call
    # Hydra's handlers write to streams that end with the test.
    logging.getLogger().handlers.clear()


@pytest.fixture
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Lets only one test at a time use ports, in all processes that run tests."""
    with FileLock(tmp_path_factory.getbasetemp().parent / "ports.lock"):
        yield


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The path of a base config that trains in a second."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs ``python -m neroRL.<door>`` in a separate process."""

    def call(door: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
        return subprocess.run(
            [sys.executable, "-m", f"neroRL.{door}", *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    return call
