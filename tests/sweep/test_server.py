"""Tests when the server of the workers starts ahead, and that it ends with its command."""

from __future__ import annotations

import pytest

from neroRL.sweep import server
from tests.doors.sweeps import servers_of, start

if server.METHOD != "forkserver":
    pytest.skip("workers are not forked here", allow_module_level=True)


@pytest.mark.parametrize(
    ("arguments", "starts"),
    [
        (["-m", "trainer.gamma=0.9,0.99"], True),
        (["trainer.gamma=0.9", "--multirun"], True),
        (["-m", "hydra.launcher.n_jobs=2"], True),
        (["trainer.gamma=0.9"], False),
        (["-m", "--cfg", "job"], False),
        (["-m", "--cfg=job"], False),
        (["-m", "--help"], False),
        (["-m", "hydra/launcher=joblib"], False),
        (["-m", "+hydra/launcher=ray"], False),
        (["-m", "hydra/sweeper=basic"], False),
        (["-m", "hydra.sweeper.generate_only=true"], False),
    ],
)
def test_it_starts_ahead_of_commands_that_train_in_workers(arguments, starts, monkeypatch):
    running: list[int] = []
    monkeypatch.setattr(server, "prepare", lambda: running.append(1))
    monkeypatch.setattr(server, "_pid", lambda: running[0] if running else None)
    assert server.begin(arguments) is starts
    assert bool(running) is starts
    assert server.begin(arguments) is False  # it runs already


def test_it_does_not_outlive_a_command_that_fails(tiny, tmp_path):
    """Nor does who reads the command's output wait for its imports."""
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gama: [0.9]\n")
    process = start(tmp_path, "--config=tiny.yaml", "--tune=space.yaml")
    assert process.wait() == 2
    assert servers_of(process.pid) == []  # its imports would still run
    told, _ = process.communicate()
    assert "did you mean" in told
