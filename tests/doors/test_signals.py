"""Tests signals and exits in every state of a job: each job is recorded under its own name."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from neroRL.boundary import guarded
from neroRL.errors import Interrupted
from neroRL.training.interrupt import interruptible, interruption
from tests.doors.sweeps import (
    ARGUMENTS,
    PROJECT,
    assert_same_trainings,
    processes_of,
    start,
    table,
    workers_of,
)
from tests.doors.test_launchers import LAUNCHERS, OTHERS
from tests.patience import PATIENCE, wait_for

# An environment that ends its process as ``how`` says, in the state ``when``. It does nothing in
# the sweep's own process, which checks environments.
ENDING = """
import os, pathlib, signal, sys
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv

def end(how):
    if how == "keyboard":
        raise KeyboardInterrupt
    if how.startswith("exit"):
        os._exit(int(how[4:]))
    os.kill(os.getpid(), getattr(signal, how))

class Ending(CartPoleEnv):
    def __init__(self, how="", when="", once=False, **rest):
        super().__init__(**rest)
        self._how, self._when, self._once, self._count = how, when, once, 0
        self._reach("starting")

    def step(self, action):
        self._count += 1
        if self._count == 5:
            self._reach("training")
            if self._when == "saving":
                save = os.fsync
                def fsync(handle):
                    os.fsync = save
                    self._reach("saving")
                    save(handle)
                os.fsync = fsync
        return super().step(action)

    def _reach(self, state):
        if state != self._when or not self._how or "neroRL.job" not in sys.modules:
            return
        mark = pathlib.Path(f"ended-{self._how}-{state}")
        if not (self._once and mark.exists()):
            mark.touch()
            end(self._how)

gymnasium.register("Ending-v0", Ending)
"""
HOW = ["", "SIGTERM", "SIGINT", "SIGKILL", "SIGSEGV", "exit0", "exit3", "keyboard", ""]
ERRORS = {
    "SIGTERM": "its process was asked to end by SIGTERM",
    "SIGKILL": "its process was killed by SIGKILL",
    "SIGSEGV": "its process was killed by SIGSEGV",
    "exit0": "its process ended with status 0",
    "exit3": "its process ended with status 3",
    "keyboard": "KeyboardInterrupt",
}


@pytest.fixture
def ending(tiny, tmp_path, monkeypatch):
    """Returns a function that sweeps over the ways to end, given further environment arguments."""
    (tmp_path / "ending_environment.py").write_text(ENDING)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(PROJECT)]))

    def write(how=HOW, **params):
        told = {"how": "", **params}
        environment = "type: CartPole\n  name: CartPole-v1"
        ending = "type: Gymnasium\n  name: ending_environment:Ending-v0\n  reset_params: "
        text = tiny.read_text().replace(environment, ending + json.dumps(told))
        tiny.write_text(text.replace("model:\n", "model:\n  checkpoint_interval: 1\n"))
        space = {"hyperparameters": {"environment.reset_params.how": how}}
        (tmp_path / "space.yaml").write_text(json.dumps(space))

    return write


@pytest.mark.slow
@pytest.mark.parametrize("when", ["training", "starting", "saving"])
def test_every_job_is_recorded_under_its_own_name(ending, tmp_path, when):
    ending(when=when)
    process = start(tmp_path, *ARGUMENTS, "hydra.sweeper.n_jobs=2")
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1, output
    rows = table(tmp_path / "out/run")
    assert [row["environment.reset_params.how"] for row in rows] == HOW
    for row in rows:
        error = ERRORS.get(row["environment.reset_params.how"])
        # The sweep handles the terminal's interrupt, and a worker ignores it.
        assert row["status"] == ("failed" if error else "completed"), row
        assert (error or "") in row["error"], row
        assert row["error"] or not error
        told = f"failed: {row['directory']}: {row['error']}"
        assert (told in output) == bool(error), row
    wait_for(lambda: not processes_of(process.pid))


@pytest.mark.slow
@pytest.mark.parametrize("when", ["training", "saving"])
def test_a_job_ended_by_a_signal_is_tried_again_and_equals_an_undisturbed_one(
    ending, command, tmp_path, when
):
    how = ["SIGTERM", "SIGKILL", "SIGSEGV", "exit0", "exit3"]
    ending(how, when=when, once=True)
    process = start(tmp_path, *ARGUMENTS, "hydra.sweeper.n_jobs=2", "hydra.sweeper.max_retries=1")
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    assert len(list(tmp_path.glob("ended-*"))) == len(how)
    rows = table(tmp_path / "out/run")
    assert [row["status"] for row in rows] == ["completed"] * len(how)
    undisturbed = command("tune", *ARGUMENTS[:-1], "--out=undisturbed")  # each has ended once
    assert undisturbed.returncode == 0, undisturbed.stderr
    assert_same_trainings(tmp_path / "out/run", tmp_path / "undisturbed/run")


def test_an_error_of_a_finally_in_an_interrupt_is_the_interrupt(capfd):
    """OmegaConf's ``finally`` reads a variable that the interrupted line would have set."""

    def door():
        try:
            try:
                os.kill(os.getpid(), signal.SIGINT)
                key = "trainer"
            finally:
                print(key)
        except UnboundLocalError as error:
            raise ValueError("full_key: trainer") from error

    assert guarded(door) == 130
    assert capfd.readouterr().err == "interrupted\n"


@pytest.mark.slow
@pytest.mark.parametrize("launcher", OTHERS)
def test_every_job_is_recorded_under_every_launcher(ending, command, tmp_path, launcher):
    ending(when="training")
    done = command("tune", *ARGUMENTS, *LAUNCHERS[launcher])
    assert done.returncode == 1, done.stderr
    rows = table(tmp_path / "out/run")
    assert [row["environment.reset_params.how"] for row in rows] == HOW
    for row in rows:
        how = row["environment.reset_params.how"]
        if how == "SIGINT" and launcher == "ray":  # its workers ignore it
            how = ""
        assert row["status"] == ("failed" if how else "completed"), row
        if how in ("SIGTERM", "SIGINT"):
            assert row["error"] == f"its process was asked to end by {how}", row
        assert row["error"] or not how
        if how == "keyboard":
            assert row["error"] == "KeyboardInterrupt"


# Every interpreter reads this at its start. It ends the first workers before they get a job.
STILLBORN = """
import os, pathlib, signal, sys
how = os.environ.get("STILLBORN")
def end():
    marks = [pathlib.Path("stillborn-0"), pathlib.Path("stillborn-1")]
    for mark in marks:
        if not mark.exists():
            mark.touch()
            if how.startswith("exit"):
                os._exit(int(how[4:]))
            os.kill(os.getpid(), getattr(signal, how))
            return
if how and any("forkserver" in text for text in sys.orig_argv):
    os.register_at_fork(after_in_child=end)
"""


@pytest.mark.parametrize(
    "how",
    [
        "SIGKILL",
        *(pytest.param(how, marks=pytest.mark.slow) for how in ("SIGTERM", "exit0", "exit3")),
    ],
)
def test_workers_that_end_as_they_start_lose_no_job(ending, tmp_path, how):
    ending(["", "", ""])
    (tmp_path / "sitecustomize.py").write_text(STILLBORN)
    process = start(tmp_path, *ARGUMENTS, "hydra.sweeper.n_jobs=1", STILLBORN=how)
    output, _ = process.communicate(timeout=PATIENCE)
    assert (tmp_path / "stillborn-1").exists()
    assert process.returncode == 0, output
    assert [row["status"] for row in table(tmp_path / "out/run")] == ["completed"] * 3


# The first job waits and then asks for another try, which may get a worker that died while idle.
WAITING = """
import pathlib, time
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv
from neroRL.errors import TransientError

class Waiting(CartPoleEnv):
    def __init__(self, waits=False, **rest):
        super().__init__(**rest)
        self._waits, self._count = waits, 0

    def step(self, action):
        self._count += 1
        if self._waits and self._count == 5 and not pathlib.Path("tried").exists():
            pathlib.Path("waits").touch()
            while not pathlib.Path("go").exists():
                time.sleep(0.01)
            pathlib.Path("tried").touch()
            raise TransientError("the port is taken")
        return super().step(action)

gymnasium.register("Waiting-v0", Waiting)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL, signal.SIGSEGV])
def test_an_idle_worker_that_ends_costs_no_job(tiny, tmp_path, number):
    (tmp_path / "waiting_environment.py").write_text(WAITING)
    environment = "type: CartPole\n  name: CartPole-v1"
    waiting = "type: Gymnasium\n  name: waiting_environment:Waiting-v0\n  reset_params: "
    tiny.write_text(tiny.read_text().replace(environment, waiting + "{waits: false}"))
    space = "hyperparameters:\n  environment.reset_params.waits: [true, false]\n"
    (tmp_path / "space.yaml").write_text(space)
    process = start(tmp_path, *ARGUMENTS, "hydra.sweeper.n_jobs=2", "hydra.sweeper.max_retries=1")
    result = tmp_path / "out/run/1/0/result.json"
    wait_for(lambda: (tmp_path / "waits").exists() and result.exists())
    os.kill(process.pid, signal.SIGSTOP)  # so the sweep notices only when it needs a worker
    for worker in workers_of(process.pid):
        if not _is_of_job(worker, tmp_path / "out/run/0/0"):
            os.kill(worker, number)
    (tmp_path / "go").touch()
    wait_for((tmp_path / "out/run/0/0/result.json").exists)
    os.kill(process.pid, signal.SIGCONT)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    assert [row["status"] for row in table(tmp_path / "out/run")] == ["completed"] * 2


def _is_of_job(worker: int, job) -> bool:
    """Returns whether a worker's output goes to a job's directory."""
    return Path(f"/proc/{worker}/fd/1").readlink().is_relative_to(job)


# Every interpreter reads this at its start. It sends the terminal's Ctrl-C when the sweep's process
# or the server of its workers imports a module.
INTERRUPTING = """
import os, signal, sys
where, _, module = os.environ.get("INTERRUPT", "").partition(":")
def interrupt(event, arguments):
    global module
    if event == "import" and arguments[0] == module:
        module = None
        os.killpg(0, signal.SIGINT)
if where and (where == "server") == any("forkserver" in text for text in sys.orig_argv):
    sys.addaudithook(interrupt)
"""


@pytest.mark.slow
@pytest.mark.usefixtures("long")
@pytest.mark.parametrize(
    "moment",
    [
        "sweep:hydra",
        "sweep:omegaconf",
        "sweep:neroRL.composition.application",
        "sweep:neroRL.sweep.task",
        "sweep:neroRL.sweep.engine",
        "sweep:gymnasium",
        "server:torch",
        "server:neroRL.job",
        "server:neroRL.training.checkpoint",
    ],
)
def test_ctrl_c_while_something_is_imported_is_no_error(tmp_path, moment):
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTING)
    process = start(tmp_path, *ARGUMENTS, INTERRUPT=moment)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, output
    assert "Traceback" not in output
    assert output.count("interrupted") == 1 + ("jobs save and end" in output), output
    wait_for(lambda: not processes_of(process.pid))


def test_ctrl_c_while_a_string_is_executed_is_an_ordinary_interrupt():
    """Python itself would be killed by the signal and have no exit status."""
    code = (
        "import sys; from neroRL.boundary import guarded; "
        "door = lambda: exec('import os; os.kill(os.getpid(), 2)'); sys.exit(guarded(door))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (130, b"interrupted\n")


def test_ctrl_c_while_python_ends_does_not_change_the_exit_status():
    code = """
import os, sys
from neroRL.boundary import guarded

class Late:
    def __del__(self, kill=os.kill, own=os.getpid()):
        kill(own, 2)
        print("interrupted late", flush=True)

sys.modules["late"] = Late()
sys.exit(guarded(lambda: 3))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"interrupted late\n", b"")


LOST = """
import os, sys, time, weakref
from neroRL.boundary import guarded
from neroRL.training.interrupt import interruptible

class Object:
    pass

def called_back(reference, number=int(sys.argv[1])):
    os.kill(os.getpid(), number)
    print("never reached", flush=True)

def door():
    gone = Object()
    reference = weakref.ref(gone, called_back)
    del gone
    time.sleep(60)
    return 0

def job():
    with interruptible():
        return door()

sys.exit(guarded({"door": door, "job": job}[sys.argv[2]]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("where", ["door", "job"])
def test_an_interrupt_where_python_drops_exceptions_is_not_lost(where, number):
    command = [sys.executable, "-c", LOST, str(int(number)), where]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"interrupted\n")


REPLACED = """
import os, signal, sys
from neroRL.boundary import guarded
from neroRL.training.interrupt import interruptible

def job():
    with interruptible():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            raise AttributeError("of a library's finally")

sys.exit(guarded(job))
"""


def test_an_error_that_takes_the_place_of_a_jobs_interrupt_is_none_of_its_own():
    done = subprocess.run([sys.executable, "-c", REPLACED], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (130, b"interrupted\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_that_is_sent_again_does_not_outlive_the_command(number):
    code = "import neroRL.signals; neroRL.signals.SECONDS_TO_LEAVE = 1.0" + LOST
    command = [sys.executable, "-c", code.replace("time.sleep(60)", "pass"), str(int(number))]
    done = subprocess.run([*command, "door"], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


SWALLOWED = """
import os, signal, sys
import neroRL.{module} as module
from neroRL.tune import main

before = module.{function}

def interrupted_before(*arguments, **more):
    try:
        os.kill(os.getpid(), signal.{name})
    except KeyboardInterrupt:
        pass  # as Hydra does with an error that took its place
    return before(*arguments, **more)

if __name__ == "__main__":
    module.{function} = interrupted_before
    sys.exit(main())
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize(
    ("module", "function", "is_begun"),
    [
        ("composition.application", "make_primary", False),
        ("sweep.engine", "put_beside", True),  # the pool starts next
    ],
)
def test_an_interrupt_that_a_library_swallows_is_not_lost(
    long, tmp_path, module, function, is_begun, name
):
    script = SWALLOWED.format(module=module, function=function, name=name)
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "script.py", *ARGUMENTS],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 130, done.stderr
    assert done.stderr.endswith("interrupted\n")
    assert (tmp_path / "out").exists() == is_begun
    assert not list(tmp_path.glob("out/run/*/*/result.json"))


def test_a_job_ends_after_one_update_if_its_interrupt_was_swallowed():
    with interruptible():
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        with interruption() as interrupted:
            assert (interrupted.requested, interrupted.name) == (True, "SIGTERM")
        with pytest.raises(Interrupted, match="SIGTERM"), interruptible():
            pytest.fail("the next block has begun")
    with interruption() as interrupted:
        assert not interrupted.requested  # the one before has ended


@pytest.mark.slow
def test_ctrl_c_at_any_moment_is_no_error(long, tmp_path):
    long.write_text(long.read_text().replace("updates: 60", "updates: 60000"))
    for number in range(0, 25, 2):
        process = start(tmp_path, *ARGUMENTS[:-1], f"--out={number}")
        assert process.stdout is not None
        assert process.stdout.readline()  # Python itself has started
        time.sleep(0.2 * number)
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 130, (number, output)
        assert "Traceback" not in output, (number, output)
        wait_for(lambda session=process.pid: not processes_of(session))


# One step of the first update takes longer than the rest of these jobs.
SLOW = """
import os, signal, time
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv

class Slow(CartPoleEnv):
    def __init__(self, how="", **rest):
        super().__init__(**rest)
        self._how, self._count = how, 0

    def step(self, action):
        self._count += 1
        if self._count == 5:
            time.sleep(3.0)
            if self._how == "raise":
                raise RuntimeError("the pole is made of glass")
            os.kill(os.getpid(), getattr(signal, self._how))
        return super().step(action)

gymnasium.register("Slow-v0", Slow)
"""


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "submitit_local"])
def test_a_failed_job_records_how_long_it_took(tiny, command, tmp_path, monkeypatch, launcher):
    (tmp_path / "slow_environment.py").write_text(SLOW)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(PROJECT)]))
    environment = "type: CartPole\n  name: CartPole-v1"
    slow = "type: Gymnasium\n  name: slow_environment:Slow-v0\n  reset_params: {how: raise}"
    tiny.write_text(tiny.read_text().replace(environment, slow))
    space = "hyperparameters:\n  environment.reset_params.how: [raise, SIGTERM, SIGKILL]\n"
    (tmp_path / "space.yaml").write_text(space)
    process = start(tmp_path, *ARGUMENTS, *LAUNCHERS[launcher])
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1, output
    rows = table(tmp_path / "out/run")
    assert [row["status"] for row in rows] == ["failed"] * 3
    # A launcher reports a killed job too late, so its time ends with its last report of progress.
    least = [3.0, 3.0, 3.0 if launcher == "basic" else 0.0]
    for row, seconds in zip(rows, least, strict=True):
        assert seconds <= float(row["wall_seconds"]) < 100.0
        assert f"{row['directory']}: failed in 0s" not in output or not seconds
