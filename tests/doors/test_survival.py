"""Tests that a sweep survives failing, killed and interrupted jobs, and its own end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from neroRL.records.sweep_record import SweepRecord, read_record
from neroRL.records.sweeps import directory_of
from neroRL.sweep import extension
from tests.doors.sweeps import (
    ARGUMENTS,
    PROJECT,
    assert_same_trainings,
    processes_of,
    start,
    table,
    workers_of,
)
from tests.patience import PATIENCE, wait_for


@pytest.mark.slow
@pytest.mark.usefixtures("failing")
def test_killed_and_crashed_jobs_end_alone(command, failing, tmp_path):
    failing.write_text(failing.read_text().replace("raise, exit", "kill, crash"))
    done = command("tune", *ARGUMENTS)
    assert done.returncode == 1, done.stderr
    rows = table(tmp_path / "out/run")
    assert [row["status"] for row in rows] == ["completed", "failed", "failed", "completed"]
    assert rows[1]["error"] == "its process was killed by SIGKILL"
    assert rows[2]["error"] == "its process was killed by SIGSEGV"
    assert "Segmentation fault" in (tmp_path / "out/run/2/0/output.log").read_text()
    for row in rows[1:3]:
        result = json.loads((tmp_path / "out/run" / row["directory"] / "result.json").read_text())
        assert result["overrides"]["environment.reset_params.how"] in ("kill", "crash")


@pytest.mark.slow
def test_a_longer_training_that_fails_keeps_what_was_finished(command, failing, tiny, tmp_path):
    """It tells how far it came, and the shorter result lies beside; healed, it goes on."""
    tiny.write_text(tiny.read_text().replace("{how: ''}", "{how: '', at: 40}"))  # in update 3
    failing.write_text("hyperparameters:\n  environment.reset_params.how: ['', raise, kill]\n")
    late = tmp_path / "out/run"
    assert command("tune", *ARGUMENTS).returncode == 0
    before = json.loads((late / "1/0/result.json").read_text())
    assert (before["status"], before["updates"]) == ("completed", 2)
    longer = [*ARGUMENTS, "trainer.updates=4", "hydra.sweeper.extend=true"]
    done = command("tune", *longer)
    assert done.returncode == 1, done.stderr
    assert [row["status"] for row in table(late)] == ["completed", "failed", "failed"]
    for number in (1, 2):
        kept = json.loads((late / f"{number}/0/result.0.json").read_text())
        assert (kept["status"], kept["updates"]) == ("completed", 2)
        assert number == 2 or kept == before
        failed = json.loads((late / f"{number}/0/result.json").read_text())
        steps = failed["updates"], failed["env_steps"], failed["planned_updates"]
        assert steps == (2, 64, 4)
    (tmp_path / "healed").touch()
    assert command("tune", *longer).returncode == 0
    assert command("tune", *longer[:-1], "--out=whole").returncode == 0
    assert_same_trainings(late, tmp_path / "whole/run")


@pytest.mark.slow
@pytest.mark.usefixtures("failing")
def test_fail_fast_stops_the_sweep(command, failing, tmp_path):
    failing.write_text("hyperparameters:\n  environment.reset_params.how: [raise, '', '', '']\n")
    done = command("tune", *ARGUMENTS, "hydra.sweeper.fail_fast=true", "hydra.sweeper.n_jobs=1")
    assert done.returncode == 1, done.stderr
    assert [row["status"] for row in table(tmp_path / "out/run")] == ["failed"]


@pytest.mark.slow
@pytest.mark.usefixtures("long")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_continues_bit_for_bit(command, undisturbed, tmp_path, number):
    process = start(tmp_path, *ARGUMENTS)
    wait_for(lambda: list(tmp_path.glob("out/run/*/0/checkpoints/run-*.pt")))
    os.kill(process.pid, number)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert len(list(tmp_path.glob("out/run/*/0/result.json"))) < 4
    again = command("tune", *ARGUMENTS)
    assert again.returncode == 0, again.stderr
    log = "".join(path.read_text() for path in tmp_path.glob("out/run/*/0/train.log"))
    assert "continuing from run-" in log
    assert_same_trainings(tmp_path / "out/run", undisturbed())


@pytest.mark.slow
@pytest.mark.usefixtures("long")
def test_the_terminals_interrupt_reaches_all_processes_and_counts_once(tmp_path):
    process = start(tmp_path, *ARGUMENTS)
    wait_for(lambda: list(tmp_path.glob("out/run/*/0/checkpoints/run-*.pt")))
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, output
    wait_for(lambda: not processes_of(process.pid))


@pytest.mark.slow
@pytest.mark.usefixtures("long")
def test_workers_do_not_outlive_the_sweep(tmp_path):
    process = start(tmp_path, *ARGUMENTS)
    wait_for(lambda: list(tmp_path.glob("out/run/*/0/checkpoints/run-*.pt")))
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=PATIENCE)
    wait_for(lambda: not processes_of(process.pid))


@pytest.mark.slow
@pytest.mark.usefixtures("long")
def test_a_killed_worker_is_tried_again(tmp_path):
    process = start(tmp_path, *ARGUMENTS, "hydra.sweeper.max_retries=2", "hydra.sweeper.n_jobs=1")
    wait_for(lambda: list(tmp_path.glob("out/run/1/0/checkpoints/run-10.pt")))
    (worker,) = workers_of(process.pid)
    os.kill(worker, signal.SIGKILL)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    assert [row["status"] for row in table(tmp_path / "out/run")] == ["completed"] * 4
    assert "continuing from run-" in (tmp_path / "out/run/1/0/train.log").read_text()


@pytest.mark.slow
def test_a_sweep_can_be_extended(door, tiny, tmp_path):
    """Finished permutations keep their results under new numbers."""
    space = tmp_path / "space.yaml"
    space.write_text("hyperparameters:\n  gamma: [0.9, 0.99]\n  epochs: [1, 2]\n")
    assert door("ntune", ARGUMENTS).status == 0
    before = {
        (row["trainer.gamma"], row["trainer.epochs"]): row for row in table(tmp_path / "out/run")
    }
    space.write_text("hyperparameters:\n  gamma: [0.9, 0.95, 0.99]\n  epochs: [3, 1, 2]\n")
    refused = door("ntune", ARGUMENTS)
    assert refused.status == 2
    assert "trainer.epochs: there [1, 2], now [3, 1, 2]" in refused.err
    outcome = door("ntune", [*ARGUMENTS, "hydra.sweeper.extend=true"])
    assert outcome.status == 0, outcome.err
    assert "4 of 9 jobs are done already" in outcome.err
    rows = table(tmp_path / "out/run")
    assert [row["permutation"] for row in rows] == [str(number) for number in range(9)]
    assert [(row["trainer.gamma"], row["trainer.epochs"]) for row in rows] == [
        (gamma, epochs) for gamma in ("0.9", "0.95", "0.99") for epochs in ("3", "1", "2")
    ]
    for row in rows:
        old = before.get((row["trainer.gamma"], row["trainer.epochs"]))
        if old is not None:
            assert row["wall_seconds"] == old["wall_seconds"]
            assert row["directory"] == f"{row['permutation']}/0"
    assert door("ntune", ARGUMENTS).status == 0  # the directory now holds the larger grid


@pytest.mark.parametrize("moves", range(12))
def test_an_interrupted_extension_is_finished(tmp_path, monkeypatch, moves):
    """The one of its confirmation, which has two of the permutations, too."""
    confirmation = tmp_path / "confirmation"
    for place in [*(tmp_path / f"{n}/0" for n in range(3)), confirmation / "0/0",
                  confirmation / "2/0"]:  # fmt: skip
        place.mkdir(parents=True)
        (place / "was").write_text(place.parent.name)
    count = 0
    rename = Path.rename

    def interrupted(self, target):
        nonlocal count
        count += 1
        if count > moves:
            raise KeyboardInterrupt
        return rename(self, target)

    numbers = {0: 1, 1: -1, 2: 0}
    values = {1: {"a": 1}, -1: {"a": 2}, 0: {"a": 3}}
    moves_of_all = [extension.Move(old, new, values[new]) for old, new in numbers.items()]
    record = SweepRecord({}, {"a": [3, 1]}, 0, None, 1, 2, 2, dropped={-1: {"a": 2}})
    below = replace(record, id="x-confirmation", seed=7)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", interrupted)
        with contextlib.suppress(KeyboardInterrupt):
            extension.renumber(tmp_path, moves_of_all, record, (moves_of_all, below))
    extension.finish(tmp_path)
    for old, new in numbers.items():
        assert (tmp_path / directory_of(new) / "0/was").read_text() == str(old)
    for old, new in {0: 1, 2: 0}.items():
        assert (confirmation / f"{new}/0/was").read_text() == str(old)
    left = ["0", "1", "confirmation", "dropped", "results.csv", "sweep.yaml"]
    assert sorted(path.name for path in tmp_path.iterdir()) == left
    assert sorted(path.name for path in confirmation.iterdir()) == ["0", "1", *left[4:]]
    assert read_record(tmp_path) == record
    assert read_record(confirmation) == below


def test_one_sweep_at_a_time(door, tiny, tmp_path):
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9]\n")
    (tmp_path / "out/run").mkdir(parents=True)
    with FileLock(tmp_path / "out/run/.lock"):
        (tmp_path / "out/run/.lock-holder").write_text("process 7 on elsewhere since today")
        outcome = door("ntune", ARGUMENTS)
    assert outcome.status == 2
    assert "in use by another sweep: process 7 on elsewhere" in outcome.err
    (tmp_path / "out/run/.lock-holder").unlink()
    assert door("ntune", ARGUMENTS).status == 0  # a lock whose holder has ended does not count


@pytest.mark.slow
def test_a_thousand_jobs_a_tenth_of_which_fail(tmp_path):
    script = tmp_path / "jobs.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from neroRL.composition.application import run\n"
        "def task(config):\n"
        "    from hydra.core.hydra_config import HydraConfig\n"
        "    from neroRL.records.results import JobResult\n"
        "    number = round(config.trainer.gamma * 1000)\n"
        "    if number % 10 == 3:\n"
        "        raise ValueError(f'job {number}')\n"
        "    out = Path(HydraConfig.get().runtime.output_dir)\n"
        "    JobResult(number, 0, 1, 'completed', objective=float(number)).write(out)\n"
        "    return 0.0\n"
        "if __name__ == '__main__':\n"
        "    import jobs\n"
        "    gammas = ','.join(str(number / 1000) for number in range(1000))\n"
        "    sys.exit(run(['-m', f'trainer.gamma={gammas}', 'seed=1', 'hydra.sweep.dir=out'],\n"
        "                 jobs.task))\n"
    )
    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{PROJECT}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    rows = table(tmp_path / "out")
    assert len(rows) == 1000
    failed = [row for row in rows if row["status"] == "failed"]
    assert [row["error"] for row in failed] == [
        f"ValueError: job {number}" for number in range(3, 1000, 10)
    ]
    completed = [float(row["objective"]) for row in rows if row["status"] == "completed"]
    assert completed == [float(number) for number in range(1000) if number % 10 != 3]


SLOW_STEPS = """
import pathlib, time
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv

class Slow(CartPoleEnv):
    count = 0

    def step(self, action):
        self.count += 1
        if self.count == 2:  # the first step is that of the checks
            pathlib.Path("stepping").touch()
        time.sleep(0.5)
        return super().step(action)

gymnasium.register("Slow-v0", Slow)
"""


@pytest.mark.slow
def test_a_second_interrupt_ends_at_once(tiny, tmp_path):
    """The sweep does not wait for an update of 16 seconds."""
    (tmp_path / "slow_environment.py").write_text(SLOW_STEPS)
    environment = "type: CartPole\n  name: CartPole-v1"
    slow = "type: Gymnasium\n  name: slow_environment:Slow-v0"
    tiny.write_text(tiny.read_text().replace(environment, slow))
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9, 0.95]\n")
    process = start(tmp_path, *ARGUMENTS)
    wait_for((tmp_path / "stepping").exists)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(1.5)
    assert process.poll() is None
    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert time.monotonic() - began < 10.0
    wait_for(lambda: not processes_of(process.pid))


@pytest.mark.slow
def test_the_lock_names_its_holder_and_dies_with_it(command, long, tmp_path):
    """Starts two real sweeps in one directory."""
    long.write_text(long.read_text().replace("updates: 60", "updates: 6000"))
    process = start(tmp_path, *ARGUMENTS)
    wait_for(lambda: list(tmp_path.glob("out/run/*/0/.progress.json")))
    second = command("tune", *ARGUMENTS)
    assert second.returncode == 2
    assert f"in use by another sweep: process {process.pid} on " in second.stderr
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    long.write_text(long.read_text().replace("updates: 6000", "updates: 6001"))
    third = command("tune", *ARGUMENTS)
    # The lock is free, so the command gets as far as reading the directory.
    assert "holds a different sweep" in third.stderr
