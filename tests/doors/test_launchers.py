"""Tests sweeps under every launcher, also with jobs that fail, die or are requeued."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
from pathlib import Path

import pytest

from tests.doors.sweeps import (
    ARGUMENTS,
    PROJECT,
    assert_same_trainings,
    checkpoints,
    processes_of,
    start,
    table,
)
from tests.patience import PATIENCE, wait_for

# submitit starts all jobs of a batch at once.
LAUNCHERS = {
    "basic": [],
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "submitit_local": ["hydra/launcher=submitit_local", "hydra.sweeper.max_batch_size=8"],
    "ray": ["hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2"],
}
OTHERS = [name for name in LAUNCHERS if name != "basic"]


@pytest.mark.usefixtures("failing")
@pytest.mark.parametrize("launcher", ["basic", pytest.param("joblib", marks=pytest.mark.slow)])
def test_a_failing_job_is_recorded_and_the_others_go_on(door, tmp_path, launcher):
    """One job raises an exception, and another calls ``sys.exit``."""
    outcome = door("ntune", [*ARGUMENTS, *LAUNCHERS[launcher]])
    assert outcome.status == 1, outcome.err
    rows = table(tmp_path / "out/run")
    assert [row["status"] for row in rows] == ["completed", "failed", "failed", "completed"]
    assert rows[1]["error"] == "RuntimeError: the pole is made of glass"
    assert rows[2]["error"].startswith("SystemExit: 3")
    assert "the pole is made of glass" in (tmp_path / "out/run/1/0/train.log").read_text()
    assert "failed: 1/0: RuntimeError: the pole is made of glass" in outcome.out
    # The command in the summary trains only that job.
    (alone,) = [line for line in outcome.out.splitlines() if line.startswith("One alone")]
    assert alone.endswith("ntrain --config=out/run/1/0/.hydra/config.yaml")
    trained = door("ntrain", [alone.split()[-1], "--out=alone"])
    assert trained.status == 1
    assert "RuntimeError: the pole is made of glass" in trained.err
    # Failed jobs are tried again, the others are not.
    again = door("ntune", ARGUMENTS)
    assert again.status == 1
    assert "2 of 4 jobs are done already" in again.err
    kept = door("ntune", [*ARGUMENTS, "hydra.sweeper.retry_failed=false"])
    assert kept.status == 1
    assert "4 of 4 jobs are done already, 2 of them failed" in kept.err


@pytest.mark.parametrize("launcher", ["basic", pytest.param("joblib", marks=pytest.mark.slow)])
def test_an_interrupt_that_an_environment_raises_fails_its_job(door, failing, tmp_path, launcher):
    """Environments do so when their window is closed."""
    failing.write_text("hyperparameters:\n  environment.reset_params.how: ['', keyboard, '']\n")
    outcome = door("ntune", [*ARGUMENTS, *LAUNCHERS[launcher]])
    assert outcome.status == 1, outcome.err
    rows = table(tmp_path / "out/run")
    assert [row["status"] for row in rows] == ["completed", "failed", "completed"]
    assert rows[1]["error"] == "KeyboardInterrupt"
    assert "in step" in (tmp_path / "out/run/1/0/train.log").read_text()


# A callback that raises an interrupt as its first job starts, before the job can handle it.
INTERRUPTING = """
import os, pathlib
from hydra.experimental.callback import Callback

class Interrupting(Callback):
    def on_job_start(self, config, **kwargs):
        mark = pathlib.Path("interrupted")
        if not mark.exists():
            mark.touch()
            raise KeyboardInterrupt
"""


@pytest.mark.parametrize("launcher", ["basic", pytest.param("joblib", marks=pytest.mark.slow)])
def test_an_interrupt_in_a_jobs_process_is_not_mistaken_for_the_users(
    door, failing, tmp_path, launcher
):
    (tmp_path / "interrupting.py").write_text(INTERRUPTING)
    failing.write_text("hyperparameters:\n  gamma: [0.9, 0.95, 0.99]\n")
    callback = "+hydra.callbacks.once._target_=interrupting.Interrupting"
    outcome = door("ntune", [*ARGUMENTS, *LAUNCHERS[launcher], callback])
    assert outcome.status == 0, outcome.err
    assert (tmp_path / "interrupted").exists()
    assert [row["status"] for row in table(tmp_path / "out/run")] == ["completed"] * 3


@pytest.mark.slow
@pytest.mark.parametrize("launcher", OTHERS)
def test_failing_and_dying_jobs_end_alone(command, failing, tmp_path, launcher):
    """Jobs that only ran beside killed and crashed ones are not counted as failed."""
    failing.write_text(
        "hyperparameters:\n  environment.reset_params.how: ['', raise, kill, crash]\n"
    )
    laps = 2 if launcher == "joblib" else 1  # a launcher does not know of repetitions
    arguments = [*ARGUMENTS, f"--num-repetitions={laps}", *LAUNCHERS[launcher]]
    done = command("tune", *arguments)
    assert done.returncode == 1, done.stderr
    expected = ["completed", "failed", "failed", "failed"] * laps
    rows = table(tmp_path / "out/run")
    assert [row["status"] for row in rows] == expected
    assert [row["repetition"] for row in rows] == ["0"] * 4 + ["1"] * 4 * (laps - 1)
    assert rows[1]["error"] == "RuntimeError: the pole is made of glass"
    assert all(row["error"] for row in rows if row["status"] == "failed")
    # With the environment repaired, a continued sweep runs only the failed jobs.
    (tmp_path / "healed").touch()
    before = _results(tmp_path)
    again = command("tune", *arguments)
    assert again.returncode == 0, again.stderr
    assert f"{laps} of {4 * laps} jobs are done already" in again.stderr
    assert [row["status"] for row in table(tmp_path / "out/run")] == ["completed"] * 4 * laps
    after = _results(tmp_path)
    kept = {name for name, result in before.items() if result[1]["status"] == "completed"}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


def _results(directory: Path) -> dict[str, tuple[int, dict]]:
    return {
        str(path.parent): (path.stat().st_mtime_ns, json.loads(path.read_text()))
        for path in directory.glob("out/run/*/*/result.json")
    }


@pytest.mark.slow
def test_all_launchers_give_the_same_results(command, tiny, tmp_path):
    (tmp_path / "space.yaml").write_text(
        "hyperparameters:\n  updates: [8]\n  epochs: [1, 8]\n"
        "learning_rate_schedule:\n  initial: [1.0e-3, 1.0e-2, 1.0e-1]\n"
    )
    results = {}
    for launcher, options in LAUNCHERS.items():
        arguments = [*ARGUMENTS[:-1], f"--out={launcher}", "--num-repetitions=2", *options]
        done = command("tune", *arguments)
        assert done.returncode == 0, done.stderr
        found = [
            json.loads(p.read_text()) for p in tmp_path.glob(f"{launcher}/run/*/*/result.json")
        ]
        results[launcher] = {result["directory"]: result for result in found}
        assert len(results[launcher]) == 12
    for launcher in OTHERS:
        for directory, result in results["basic"].items():
            other = results[launcher][directory]
            for name in ("objective", "reward_std", "seed", "overrides", "fingerprint"):
                assert other[name] == result[name], (launcher, directory, name)
    assert len({result["objective"] for result in results["basic"].values()}) > 6


@pytest.mark.parametrize("launcher", ["basic", pytest.param("joblib", marks=pytest.mark.slow)])
@pytest.mark.parametrize("retries", [0, 1])
def test_a_transient_fault_is_tried_again(door, failing, tmp_path, launcher, retries):
    failing.write_text("hyperparameters:\n  environment.reset_params.how: ['', once]\n")
    options = [*LAUNCHERS[launcher], f"hydra.sweeper.max_retries={retries}"]
    outcome = door("ntune", [*ARGUMENTS, *options])
    assert outcome.status == 1 - retries, outcome.err
    row = table(tmp_path / "out/run")[1]
    assert row["status"] == ("completed" if retries else "failed")
    assert row["error"] == ("" if retries else "TransientError: the port is taken")
    result = json.loads((tmp_path / "out/run/1/0/result.json").read_text())
    assert result["transient"] is not bool(retries)


@pytest.mark.slow
def test_joblib_jobs_of_a_second_sweep_run_in_its_own_directory(
    door, failing, tiny, tmp_path, monkeypatch
):
    """joblib keeps its processes, which are in the directory of the first sweep."""
    failing.write_text("hyperparameters:\n  environment.reset_params.how: ['', '']\n")
    assert door("ntune", [*ARGUMENTS, *LAUNCHERS["joblib"]]).status == 0
    second = tmp_path / "second"
    second.mkdir()
    tiny.rename(second / "tiny.yaml")
    (second / "space.yaml").write_text("hyperparameters:\n  environment.reset_params.how: [once]\n")
    monkeypatch.chdir(second)
    options = [*LAUNCHERS["joblib"], "hydra.sweeper.max_retries=1"]
    outcome = door("ntune", [*ARGUMENTS, *options])
    assert outcome.status == 0, outcome.err
    assert (second / "tried").exists()  # the job wrote it below its working directory
    assert not (tmp_path / "tried").exists()


@pytest.mark.slow
def test_fail_fast_ends_a_sweep_between_batches(door, failing, tmp_path):
    failing.write_text("hyperparameters:\n  environment.reset_params.how: ['', raise, '', '']\n")
    options = ["hydra.sweeper.fail_fast=true", "hydra.sweeper.max_batch_size=2"]
    outcome = door("ntune", [*ARGUMENTS, *LAUNCHERS["joblib"], *options])
    assert outcome.status == 1, outcome.err
    assert [row["status"] for row in table(tmp_path / "out/run")] == ["completed", "failed"]


FAST = ["hydra.sweeper.fail_fast=true", "hydra.sweeper.max_retries=1"]


@pytest.mark.parametrize("launcher", ["basic", pytest.param("joblib", marks=pytest.mark.slow)])
def test_fail_fast_leaves_a_failed_job_its_other_tries(door, failing, tmp_path, launcher):
    failing.write_text("hyperparameters:\n  environment.reset_params.how: ['', once, '']\n")
    more = ["hydra.sweeper.max_batch_size=2", "hydra.sweeper.n_jobs=2"]
    outcome = door("ntune", [*ARGUMENTS, *LAUNCHERS[launcher], *FAST, *more])
    assert outcome.status == 0, outcome.err
    assert [row["status"] for row in table(tmp_path / "out/run")] == ["completed"] * 3


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", *OTHERS])
def test_fail_fast_ends_with_a_job_that_was_killed_in_every_try(
    command, failing, tmp_path, launcher
):
    failing.write_text("hyperparameters:\n  environment.reset_params.how: ['', kill, '', '']\n")
    more = ["hydra.sweeper.max_batch_size=2", "hydra.sweeper.n_jobs=1"]
    done = command("tune", *ARGUMENTS, *LAUNCHERS[launcher], *FAST, *more)
    assert done.returncode == 1, done.stderr
    ended = {row["directory"]: row["status"] for row in table(tmp_path / "out/run")}
    assert ended.pop("1/0") == "failed"
    # If the launcher reports which job died, another may run beside its last try, but none after.
    assert ended.keys() <= {"0/0", "2/0"}
    assert set(ended.values()) <= {"completed"}
    assert "1/0: failed in" in done.stderr


def test_a_launcher_that_starts_nothing_is_reported(door, tiny, tmp_path):
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9, 0.95]\n")
    outcome = door("ntune", [*ARGUMENTS, "hydra/launcher=submitit_slurm"])
    assert outcome.status == 1
    assert "the launcher started no job: RuntimeError" in outcome.err


def test_the_documented_command_for_slurm_is_composed(door, tmp_path):
    text = (PROJECT / "docs/clusters.md").read_text()
    (command,) = [block for block in text.split("```") if "submitit_slurm \\" in block]
    _, script, *arguments = shlex.split(command.replace("\\\n", ""))
    assert script == "train.py"
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9]\n")
    outcome = door("train", ["--cfg=job", *arguments])
    assert outcome.status == 0, outcome.err
    assert "gamma: 0.9" in outcome.out


@pytest.fixture
def one_long_job(long, tmp_path):
    """Writes a sweep of one job of some seconds."""
    long.write_text(long.read_text().replace("updates: 60", "updates: 400"))
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9]\n")


@pytest.mark.slow
@pytest.mark.usefixtures("one_long_job")
def test_a_preempted_job_is_requeued_and_continues(tmp_path, undisturbed):
    """SLURM sends SIGUSR2 before it takes a node away; submitit requeues the job then."""
    job = tmp_path / "out/run/0/0"
    process = start(tmp_path, *ARGUMENTS, "hydra/launcher=submitit_local")
    preempted_at = []
    for updates in (20, 100):  # the second signal goes to the requeued process
        wait_for(lambda least=updates: max(checkpoints(job), default=0) >= least)
        (task,) = [n for n in _submitted(process.pid) if "_submit" in _command_line(n)]
        preempted_at.append(checkpoints(job)[-1])
        os.kill(task, signal.SIGUSR2)
        wait_for(lambda gone=task: not Path(f"/proc/{gone}").exists())
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    log = (job / "train.log").read_text()
    assert log.count("interrupted: saving") == 2
    assert log.count("continuing from run-") == 2
    assert "the job failed" not in log
    assert_same_trainings(tmp_path / "out/run", undisturbed())


@pytest.mark.slow
@pytest.mark.usefixtures("one_long_job")
def test_a_job_that_outlived_its_sweep_is_waited_for(tmp_path, undisturbed):
    job = tmp_path / "out/run/0/0"
    process = start(tmp_path, *ARGUMENTS, "hydra/launcher=submitit_local")
    wait_for(lambda: checkpoints(job))
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (job / "result.json").exists()
    again = start(tmp_path, *ARGUMENTS)
    output, _ = again.communicate(timeout=PATIENCE)
    assert again.returncode == 0, output
    log = (job / "train.log").read_text()
    assert "another process runs this job; waiting for its end" in log
    assert "another process has done this job" in log
    assert "continuing from" not in log
    assert_same_trainings(tmp_path / "out/run", undisturbed())


@pytest.mark.slow
@pytest.mark.usefixtures("long")
def test_ctrl_c_under_joblib_leaves_a_sweep_to_continue(command, undisturbed, tmp_path):
    process = start(tmp_path, *ARGUMENTS, *LAUNCHERS["joblib"])
    wait_for(lambda: list(tmp_path.glob("out/run/*/0/checkpoints/run-*.pt")))
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, output
    wait_for(lambda: not processes_of(process.pid))
    again = command("tune", *ARGUMENTS, *LAUNCHERS["joblib"])
    assert again.returncode == 0, again.stderr
    assert_same_trainings(tmp_path / "out/run", undisturbed())


def _submitted(session: int) -> list[int]:
    return [number for number in processes_of(session) if "submitit" in _command_line(number)]


def _command_line(number: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{number}/cmdline").read_text()
    return ""
