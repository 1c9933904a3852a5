"""Tests environments in processes: equal steps, errors that reach the parent, no leftovers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from neroRL.config.schema import EnvironmentConfig
from neroRL.environments.factory import make_single
from neroRL.environments.specification import vector_space
from neroRL.environments.vector.divided import DividedEnvironment
from neroRL.environments.vector.interface import EpisodeSeeds
from neroRL.environments.vector.parallel import ParallelEnvironment
from neroRL.environments.vector.sequential import SequentialEnvironment
from neroRL.errors import EnvironmentCrashError
from tests.patience import wait_for

CONFIG = EnvironmentConfig(
    type="MinigridVec",
    name="MiniGrid-DoorKey-5x5-v0",
    last_action_to_obs=True,
    reset_params={"max-episode-steps": 12},
)


class Moody(gymnasium.Env):
    """Fails in the chosen way at the third step, and leaves a child process behind."""

    observation_space = spaces.Dict({"vector": vector_space(1)})
    action_space = spaces.MultiDiscrete([2])

    def __init__(self, how: str, file: Path | None = None):
        self._how, self._count = how, 0
        child = subprocess.Popen(["sleep", "1000"])
        if file is not None:
            file.write_text(f"{os.getpid()} {child.pid}")
        if how == "start":
            raise ValueError("it is too early")

    def reset(self, *, seed=None, options=None):
        return {"vector": np.zeros(1, np.float32)}, {}

    def step(self, action):
        self._count += 1
        if self._count == 3:
            if self._how == "raise":
                raise ZeroDivisionError("not today")
            if self._how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if self._how == "exit":
                os._exit(4)
            if self._how == "unpicklable":
                raise _LocalError(threading.Lock())
            if self._how == "hang":
                time.sleep(1000)
        return {"vector": np.zeros(1, np.float32)}, 0.0, False, False, {}


class Unsorted(Moody):
    """Observes what no environment here does: a vector that is no part of a dict."""

    observation_space = vector_space(1)


class _LocalError(Exception):
    pass


def _seeds(count: int) -> list[EpisodeSeeds]:
    return [EpisodeSeeds(np.random.default_rng(worker), 0, 50) for worker in range(count)]


def _moody(tmp_path: Path, *how: str) -> ParallelEnvironment:
    makers = [partial(Moody, each, tmp_path / str(n)) for n, each in enumerate(how)]
    return ParallelEnvironment(makers, _seeds(len(how)))


def _is_alive(number: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


def _assert_all_end(tmp_path: Path) -> None:
    numbers = [int(n) for file in tmp_path.glob("[0-9]") for n in file.read_text().split()]
    assert numbers
    wait_for(lambda: not any(_is_alive(number) for number in numbers))


def test_equals_stepping_one_after_the_other():
    parallel = ParallelEnvironment([partial(make_single, CONFIG, n) for n in range(3)], _seeds(3))
    single = SequentialEnvironment([make_single(CONFIG, n) for n in range(3)], _seeds(3))
    try:
        assert parallel.specification == single.specification
        (ours, _), (theirs, _) = parallel.reset(), single.reset()
        generator = np.random.default_rng(0)
        episodes = 0
        for step in range(60):
            np.testing.assert_array_equal(ours["vector"], theirs["vector"])
            if step % 20 == 0:
                parallel.begin_rollout()
                single.begin_rollout()
            actions = generator.integers(7, size=(3, 1))
            ours, *rest, info = parallel.step(actions)
            theirs, *other, other_info = single.step(actions)
            for mine, wanted in zip(rest, other, strict=True):
                np.testing.assert_array_equal(mine, wanted)
            assert list(info.get("episodes", ())) == list(other_info.get("episodes", ()))
            episodes += len(info.get("episodes", ()))
        assert episodes > 5
    finally:
        parallel.close()


def test_a_restored_state_starts_the_running_episodes_again():
    makers = [partial(make_single, CONFIG, n) for n in range(2)]
    first = ParallelEnvironment(makers, _seeds(2))
    second = ParallelEnvironment(makers, list(reversed(_seeds(2))))
    try:
        began = first.reset()[0]["vector"]
        for _ in range(5):
            first.step(np.full((2, 1), 2))
        assert second.load_state_dict(first.state_dict()).all()
        np.testing.assert_array_equal(second.table.at(second.ids)["vector"], began)
        for _ in range(12):  # later episodes have the seeds that they would have had
            second.step(np.full((2, 1), 2))
        for _ in range(7):
            first.step(np.full((2, 1), 2))
        assert first.state_dict()["episode_seeds"] == second.state_dict()["episode_seeds"]
    finally:
        first.close()
        second.close()


@pytest.mark.parametrize(
    ("how", "error", "message", "cause"),
    [
        ("raise", ZeroDivisionError, "not today", 'raise ZeroDivisionError("not today")'),
        ("unpicklable", RuntimeError, "_LocalError", "_LocalError"),
        ("kill", EnvironmentCrashError, "environment worker 1 was killed by SIGKILL", None),
        ("exit", EnvironmentCrashError, "environment worker 1 ended with status 4", None),
    ],
)
def test_errors_reach_the_parent_with_their_traceback(tmp_path, how, error, message, cause):
    env = _moody(tmp_path, "", how)
    try:
        env.restart()
        for _ in range(2):
            env.advance(np.zeros((2, 1), np.int64))
        with pytest.raises(error, match=message) as raised:
            env.advance(np.zeros((2, 1), np.int64))
        assert cause is None or cause in str(raised.value.__cause__)
    finally:
        env.close()
    _assert_all_end(tmp_path)


def test_an_error_at_the_start_ends_the_others(tmp_path):
    with pytest.raises(ValueError, match="it is too early"):
        _moody(tmp_path, "", "start", "")
    _assert_all_end(tmp_path)


@pytest.mark.parametrize("kind", [ParallelEnvironment, DividedEnvironment])
def test_processes_end_where_their_environments_do_not_fit(tmp_path, kind):
    makers = [partial(Unsorted, "", tmp_path / str(n)) for n in range(3)]
    more = ("Moody", 2) if kind is DividedEnvironment else ()
    with pytest.raises(AssertionError) as caught:
        kind(makers, _seeds(3), *more)
    _assert_all_end(tmp_path)
    del caught  # until now its frames have kept the environment from being collected


HANGING = """
import sys
from pathlib import Path
import numpy as np
from tests.environments.test_parallel import _moody
env = _moody(Path(sys.argv[1]), "", sys.argv[2])
env.restart()
print("started", flush=True)
for _ in range(1000000):
    env.advance(np.zeros((2, 1), np.int64))
"""


@pytest.mark.parametrize(("number", "how"), [(signal.SIGKILL, ""), (signal.SIGTERM, "hang")])
def test_nothing_outlives_a_killed_parent(tmp_path, how, number):
    parent = subprocess.Popen(
        [sys.executable, "-c", HANGING, str(tmp_path), how], stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"started\n"
    time.sleep(0.2)
    parent.send_signal(number)
    parent.communicate()
    _assert_all_end(tmp_path)
