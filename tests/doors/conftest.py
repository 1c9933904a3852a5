"""Fixtures of the tests that run whole sweeps."""

from __future__ import annotations

import hashlib
import os
import shutil

import pytest

from tests.doors.sweeps import ARGUMENTS, FAILING, PROJECT, start
from tests.once import made_once
from tests.patience import PATIENCE


@pytest.fixture
def failing(tiny, tmp_path, monkeypatch):
    """Writes a base config whose environment fails as ``how`` says, and a space over ``how``."""
    (tmp_path / "failing_environment.py").write_text(FAILING)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(PROJECT)]))
    environment = "type: CartPole\n  name: CartPole-v1"
    failing = "type: Gymnasium\n  name: failing_environment:Failing-v0\n  reset_params: {how: ''}"
    tiny.write_text(tiny.read_text().replace(environment, failing))
    space = tmp_path / "space.yaml"
    space.write_text("hyperparameters:\n  environment.reset_params.how: ['', raise, exit, '']\n")
    return space


@pytest.fixture
def long(tiny, tmp_path):
    """Writes a sweep of four jobs of some seconds each, with a checkpoint every fifth update."""
    text = tiny.read_text().replace("updates: 2", "updates: 60")
    tiny.write_text(text.replace("model:\n", "model:\n  checkpoint_interval: 5\n"))
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9, 0.95, 0.99, 1.0]\n")
    return tiny


@pytest.fixture
def undisturbed(tmp_path, tmp_path_factory):
    """Returns a function that sweeps as the test's own files say, once for all tests.

    It gives the sweep's directory, which is to be read only; what the command printed is in
    ``output.txt`` beside ``out``.
    """

    def sweep(*arguments):
        files = [tmp_path / "tiny.yaml", tmp_path / "space.yaml"]
        same = repr(([path.read_text() for path in files], arguments))

        def run(directory):
            for path in files:
                shutil.copy(path, directory)
            process = start(directory, *ARGUMENTS, *arguments)
            output, _ = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0, output
            (directory / "output.txt").write_text(output)

        name = f"sweep-{hashlib.sha256(same.encode()).hexdigest()[:12]}"
        return made_once(tmp_path_factory, name, run) / "out/run"

    return sweep
