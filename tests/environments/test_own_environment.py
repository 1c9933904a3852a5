"""Follows the page on environments of one's own in an empty directory."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest

from neroRL.config.schema import EnvironmentConfig
from neroRL.environments.factory import make_single
from tests.conftest import PROJECT
from tests.patience import PATIENCE

PAGE = (PROJECT / "docs/environments.md").read_text()
FILES = dict(re.findall(r"^`(\S+)`\n\n```\w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
TRAIN, TUNE = re.findall(r"^```\n(n\w+ .*)\n```", PAGE, re.MULTILINE)
ENTRIES = {"ntrain": "from neroRL.train import ntrain", "ntune": "from neroRL.tune import main"}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    assert list(FILES) == ["reach.py", "reach.yaml", "space.yaml"]
    for name, content in FILES.items():
        (tmp_path / name).write_text(content)
    return tmp_path


def _run(directory: Path, command: str) -> list[dict]:
    """Runs a command as the console script does; ``-P`` keeps Python from adding the directory."""
    entry, *arguments = command.split()
    call = ENTRIES[entry].split()[-1]
    code = f"import sys; {ENTRIES[entry]}; sys.exit({call}())"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments, "threads=1"],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(path.read_text()) for path in directory.glob("**/result.json")]


@pytest.mark.slow
def test_it_is_learned_from_a_directory_that_python_does_not_know(directory):
    (result,) = _run(directory, TRAIN)
    assert result["status"] == "completed"
    assert result["success_mean"] >= 0.9


@pytest.mark.slow
def test_it_is_found_from_the_directory_of_its_job(directory):
    (result,) = _run(directory, f"{TRAIN} trainer.updates=1 hydra.job.chdir=true")
    assert (result["status"], result["updates"]) == ("completed", 1)


def test_at_random_it_is_not(directory, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(directory)
    env = make_single(EnvironmentConfig(type="Gymnasium", name="reach:Reach-v0"), 0)
    env.action_space.seed(0)
    successes = []
    for seed in range(100):
        env.reset(seed=seed)
        over = False
        while not over:
            _, _, _, over, info = env.step(env.action_space.sample())
        successes.append(bool(info["success"]))
    assert sum(successes) / len(successes) < 0.2
    monkeypatch.delitem(sys.modules, "reach")
    monkeypatch.delitem(gymnasium.registry, "Reach-v0")


@pytest.mark.slow
def test_it_is_tuned(directory):
    """With short trainings: how well it is learned is asked of a single one."""
    results = _run(directory, f"{TUNE} trainer.updates=2")
    assert [result["status"] for result in results] == ["completed"] * 8


@pytest.mark.slow
def test_arguments_of_the_constructor_are_tuned(directory):
    (told,) = re.findall(r"`(environment\.reset_params\.speed=\S+)`", PAGE)
    (written,) = re.findall(r"`(environment\.reset_params\.speed: .*?)`", PAGE)
    (directory / "speeds.yaml").write_text(f"hyperparameters:\n  {written}\n")
    short = "--config=reach.yaml seed=1 trainer.updates=1"
    _run(directory, f"ntune {short} --tune=space.yaml --out=told {told}")
    results = _run(directory, f"ntune {short} --tune=speeds.yaml --out=written")
    speeds = [one["overrides"]["environment.reset_params.speed"] for one in results]
    assert sorted(speeds) == [0.1] * 5 + [0.2] * 5
