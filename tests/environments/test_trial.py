"""Tests that an environment is made, reset and stepped once before a training starts."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from neroRL.config.documents import read_document
from neroRL.config.schema import EnvironmentConfig
from neroRL.environments import registry, trial
from neroRL.environments.factory import specification
from neroRL.environments.specification import vector_space
from neroRL.environments.trial import Trials, try_out
from neroRL.errors import ConfigError
from tests.conftest import PROJECT, TINY
from tests.patience import PATIENCE

MODULE = '''
import os, pathlib, sys, time
import gymnasium, numpy as np
from gymnasium import spaces

class Odd(gymnasium.Env):
    """Does something odd in its constructor, in reset or in step."""

    observation_space = spaces.Box(-1, 1, (3,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, size, odd="nothing", of="step"):
        self._odd, self._of, self._size = odd, of, size
        with open("made.txt", "a") as file:
            print(size, file=file)
        self._do("made")

    def _do(self, where):
        if where != self._of:
            return np.zeros(3, np.float32)
        if self._odd == "raise":
            raise RuntimeError("the pole is made of glass")
        if self._odd == "exit":
            sys.exit(3)
        if self._odd == "end":
            os._exit(4)
        if self._odd == "interrupt":
            raise KeyboardInterrupt
        if self._odd == "hang":
            time.sleep(1000)
        if self._odd == "print":
            print("hello: [world")
            os.system("echo hello again")
        if self._odd == "chdir":
            os.chdir("/")
        return {
            "shape": np.zeros(4, np.float32),
            "object": np.array(["a", "b", "c"]),
            "key": {"place": np.zeros(3, np.float32)},
            "nan": np.array([0, np.nan, 0], np.float32),
            "outside": np.array([0, 0, 2], np.float32),
            "float64": np.zeros(3),
        }.get(self._odd, np.zeros(3, np.float32))

    def reset(self, *, seed=None, options=None):
        if self._odd == "seed" and seed > 2**32 - 1:
            raise ValueError("a seed has 32 bits")
        observation = self._do("reset")
        return observation if self._odd == "bare" else (observation, {})

    def step(self, action):
        observation = self._do("step")
        reward = {"reward": float("inf"), "large reward": 1e39, "a text": "1.5"}.get(self._odd, 0.0)
        info = {
            "no info": None,
            "success": {"success": "no"},
            "many successes": {"success": np.ones(2)},
            "too much success": {"success": 7.5},
            "an array": {"success": np.array([True])},
        }.get(self._odd, {})
        if self._odd == "gym":
            return observation, reward, False, {}
        return observation, reward, False, False, info

gymnasium.register("Odd-v0", Odd)
'''
LINE = MODULE.splitlines().index('            raise RuntimeError("the pole is made of glass")') + 1
NAME = "odd_environment:Odd-v0"


@pytest.fixture
def odd(tmp_path, monkeypatch):
    """Writes a module whose environment is odd, and changes to its directory."""
    (tmp_path / "odd_environment.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _config(**arguments) -> EnvironmentConfig:
    return EnvironmentConfig(type="Gymnasium", name=NAME, reset_params={"size": 1, **arguments})


def _problems(config: EnvironmentConfig):
    with Trials() as trials:
        return registry.check(config) or trials.problems(config)


@pytest.mark.parametrize(
    ("odd_thing", "of", "message"),
    [
        ("raise", "made", "cannot be made: RuntimeError: the pole is made of glass"),
        ("raise", "reset", "cannot be reset with the seed 99: RuntimeError: the pole is made"),
        ("raise", "step", "cannot take the action 1 first: RuntimeError: the pole is made"),
        ("exit", "made", "cannot be made: SystemExit: 3"),
        ("exit", "reset", "cannot be reset with the seed 99: SystemExit: 3"),
        ("end", "step", "its process ended with status 4"),
        ("interrupt", "reset", "cannot be reset with the seed 99: KeyboardInterrupt"),
        ("bare", "reset", "reset() gave a ndarray; expected (observation, info)"),
        ("gym", "step", "step() gave a tuple of 4; expected (observation, reward, terminated"),
        ("shape", "reset", "has shape (4,); its space has (3,)"),
        ("shape", "step", "has shape (4,); its space has (3,)"),
        ("object", "step", "the observation is <U1; its space is float32"),
        ("nan", "reset", "what reset() observed has nan in it"),
        ("outside", "step", "observed has 2.0 in it; its space goes from -1.0 to 1.0"),
        ("reward", "step", "step() gave a reward of inf"),
        ("large reward", "step", "a reward of 1e+39, which is no number of float32"),
        ("a text", "step", "step() gave a reward of '1.5'; expected a number"),
        ("no info", "step", "step() gave a NoneType as its info; expected a dict"),
        ("success", "step", "the info's success is 'no'; expected true or false, or a share"),
        ("many successes", "step", "the info's success is array([1., 1.])"),
        ("too much success", "step", "the info's success is 7.5"),
    ],
)
def test_faults_of_an_environment_are_reported(odd, odd_thing, of, message):
    (problem,) = _problems(_config(odd=odd_thing, of=of))
    assert problem.path == "environment.name"
    assert problem.message.startswith(NAME)
    assert message in problem.message
    if odd_thing == "raise":
        assert f"({odd / 'odd_environment.py'}:{LINE})" in problem.message


@pytest.mark.slow
@pytest.mark.parametrize("odd_thing", ["nothing", "print", "chdir", "float64", "an array"])
def test_harmless_oddities_are_not_reported(odd, odd_thing, capfd):
    for of in ("made", "reset", "step"):
        assert _problems(_config(odd=odd_thing, of=of)) == []
    assert Path.cwd() == odd
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize(
    ("config", "path", "message"),
    [
        (
            EnvironmentConfig(type="Gymnasium", name=NAME),
            "environment.name",
            "missing 1 required positional argument: 'size'",
        ),
        (_config(colour="red"), "environment.reset_params", "'colour'"),
        (
            _config(**{"odd": "seed", "start-seed": 2**40}),
            "environment.name",
            "cannot be reset with the seed 1099511627875: ValueError: a seed has 32 bits",
        ),
    ],
)
def test_arguments_and_seeds(odd, config, path, message):
    (problem,) = _problems(config)
    assert problem.path == path
    assert message in problem.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("raise OSError('no licence')", "cannot be made: OSError: no licence"),
        ("import nothing_like_it", "ModuleNotFoundError: No module named 'nothing_like_it'"),
        ("def f(:", "SyntaxError"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        ("", "Environment `Odd` doesn't exist"),
    ],
)
def test_a_module_that_cannot_be_imported(odd, text, message):
    (odd / "odd_environment.py").write_text(text)
    (problem,) = _problems(_config())
    assert problem.path == "environment.name"
    assert message in problem.message


def test_an_environment_that_hangs_is_named_and_given_up(odd, monkeypatch, capfd):
    monkeypatch.setattr(trial, "SECONDS_UNTIL_TOLD", 0.1)
    monkeypatch.setenv(trial.LIMIT, "1.5")
    with Trials() as trials:
        (problem,) = trials.problems(_config(odd="hang", of="reset"))
        assert "took no step within 1.5 seconds, the limit of the variable" in problem.message
        assert f"trying {NAME} for 0.1 seconds so far" in capfd.readouterr().err
        monkeypatch.delenv(trial.LIMIT)
        assert trials.problems(_config()) == []
    assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    monkeypatch.setenv(trial.LIMIT, "soon")
    with pytest.raises(ConfigError, match="'soon'"), Trials() as trials:
        trials.problems(_config())


def test_each_distinct_config_is_made_once(odd):
    with Trials() as trials:
        for _ in range(3):
            for size in (1, 2):
                assert trials.problems(_config(size=size)) == []
    assert (odd / "made.txt").read_text().split() == ["1", "2"]


def test_gymnasiums_own_ids_take_their_arguments():
    gymnasium.register("Sized-v0", _Sized)
    try:
        sized = EnvironmentConfig(type="Gymnasium", name="Sized-v0")
        (problem,) = _problems(sized)
        assert "only a Box of floats, Discrete, MultiDiscrete, MultiBinary" in problem.message
        sized.reset_params = {"told": False}
        assert _problems(sized) == []
    finally:
        del gymnasium.registry["Sized-v0"]


@pytest.fixture
def without_atari(monkeypatch):
    """Hides the games, which other tests of this process may have registered."""
    registry = gymnasium.registry.items()
    others = {key: spec for key, spec in registry if "ale_py" not in str(spec.entry_point)}
    monkeypatch.setattr(gymnasium, "registry", others)


class _Sized(gymnasium.Env):
    observation_space = spaces.Box(-1, 1, (2,), np.float32)

    def __init__(self, told=True):
        self.action_space = spaces.Text(5) if told else spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), 0.0, False, False, {}


ATARI = 'needs a package that is not installed: pip install "neroRL[atari]"'


@pytest.mark.parametrize(
    ("type_", "name", "path", "message"),
    [
        ("Gymnasium", "MiniGrid-MemoryS7-v0", "type", "expected Minigrid or MinigridVec"),
        ("CartPole", "MiniGrid-MemoryS7-v0", "name", "type Minigrid or MinigridVec"),
        ("Minigrid", "CartPole-v1", "name", "expected the environment type CartPole"),
        ("Minigrid", "Acrobot-v1", "name", "expected the environment type Gymnasium"),
        ("MinigridVec", "MortarMayhem-v0", "name", "expected the environment type MemoryGym"),
        ("Minigrid", "my_module:Mine-v0", "name", "expected the environment type Gymnasium"),
        ("Minigrid", "MiniGrid-MemoryS71-v0", "name", "did you mean MiniGrid-MemoryS7-v0"),
        ("Gymnasium", "ALE/Pong-v5", "name", f"{ATARI}; then name it ale_py:ALE/Pong"),
        ("Gymnasium", "PongNoFrameskip-v4", "name", f"{ATARI}; then name it ale_py:PongNoFrame"),
        ("Gymnasium", "Pong-ram-v4", "name", f"{ATARI}; then name it ale_py:Pong-ram"),
        ("Gymnasium", "HalfCheetah-v5", "name", 'pip install "neroRL[mujoco]"'),
        ("Gymnasium", "LunarLander-v3", "name", 'pip install "neroRL[box2d]"'),
        ("CartPole", "LunarLander-v3", "name", "expected the environment type Gymnasium"),
    ],
)
def test_an_id_of_another_type(type_, name, path, message, monkeypatch, without_atari):
    monkeypatch.setattr("neroRL.environments.registered.importlib.util.find_spec", lambda _: None)
    (problem,) = registry.check(EnvironmentConfig(type=type_, name=name))
    assert problem.path == f"environment.{path}"
    assert message in problem.message


def test_an_installed_package_is_named_without_a_command_to_install_it(monkeypatch, without_atari):
    monkeypatch.setattr("neroRL.environments.registered.importlib.util.find_spec", lambda _: True)
    (problem,) = registry.check(EnvironmentConfig(type="Gymnasium", name="ALE/Pong-v5"))
    named = "ALE/Pong-v5 is registered by ale_py; name it ale_py:ALE/Pong-v5, or choose the "
    assert problem.message == f"{named}environment type Atari, which adds the usual wrappers"


def test_generated_levels_need_a_package(monkeypatch):
    for module in ("imageio", "imageio.v2"):
        monkeypatch.setitem(sys.modules, module, None)  # type: ignore[arg-type]
    config = EnvironmentConfig(type="MinigridVec", name="MiniGrid-WFC-MazeSimple-v0")
    (problem,) = _problems(config)
    assert problem.path == "environment.name"
    assert 'pip install "minigrid[wfc]"' in problem.message


@pytest.mark.parametrize(
    ("type_", "name"),
    [
        ("Minigrid", "MiniGrid-DoorKey-6x6-v0"),
        ("MinigridVec", "BabyAI-GoToRedBall-v0"),
        ("CartPole", "CartPole-v1"),
        ("Gymnasium", "Acrobot-v1"),
    ],
)
def test_known_environments_are_tried_in_this_process(type_, name, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a process was started")

    monkeypatch.setattr(trial, "ChildProcess", refuse)
    config = EnvironmentConfig(type=type_, name=name, grayscale=True, obs_stacks=2)
    assert _problems(config) == []


def test_wrappers_are_tried_with_the_environment(monkeypatch):
    class Short(gymnasium.Env):
        observation_space = spaces.Dict({"vector": vector_space(2)})
        action_space = spaces.MultiDiscrete([2])

        def reset(self, *, seed=None, options=None):
            return {}, {}

    monkeypatch.setattr("neroRL.environments.cartpole.types.CartPole.make", lambda *_: Short())
    (problem,) = try_out(EnvironmentConfig(type="CartPole", name="CartPole-v1")).problems
    assert problem.message == "CartPole-v1: the vector part of what reset() observed is missing"


def test_the_shapes_of_a_tried_environment_are_known_without_its_code_in_this_process(odd):
    config = _config(size=77)
    with Trials() as trials:
        assert trials.problems(config) == []
        shapes = specification(config)
    assert shapes.vector == 3
    assert (odd / "made.txt").read_text() == "77\n"
    assert "odd_environment" not in sys.modules


def _tune(odd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    config = TINY.replace("type: CartPole", "type: Gymnasium").replace("CartPole-v1", NAME)
    (odd / "base.yaml").write_text(config.replace("model:", "  reset_params: {size: 1}\nmodel:"))
    return subprocess.run(
        [sys.executable, "-m", "neroRL.tune", "--config=base.yaml", "--tune=space.yaml",
         "--run-id=run", "--out=out", *arguments],
        cwd=odd,
        env={"PATH": "/usr/bin:/bin", "HOME": str(odd), "PYTHONPATH": f"{odd}:{PROJECT}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_a_dry_run_is_valid_yaml_even_if_the_environment_prints(odd):
    space = "hyperparameters:\n  environment.reset_params.size: [1, 2]\n"
    (odd / "space.yaml").write_text(space)
    done = _tune(
        odd,
        "--cfg",
        "job",
        "+environment.reset_params.odd=print",
        "+environment.reset_params.of=reset",
    )
    assert done.returncode == 0, done.stderr
    assert "hello" in done.stderr
    (odd / "stream.yaml").write_text(done.stdout.split("---")[1])
    assert read_document(odd / "stream.yaml").data["environment"]["name"] == NAME
    assert "hello" not in done.stdout
    assert (odd / "made.txt").read_text().split() == ["1", "2"]


@pytest.mark.slow
def test_a_sweep_keeps_its_directory_even_if_the_environment_changes_it(odd):
    """Later jobs of the same worker process write to the sweep's directory, too."""
    (odd / "space.yaml").write_text(
        "hyperparameters:\n  environment.reset_params.size: [1, 2, 3]\n"
    )
    done = _tune(
        odd,
        "hydra.sweeper.n_jobs=1",
        "+environment.reset_params.odd=chdir",
        "+environment.reset_params.of=step",
    )
    assert done.returncode == 0, done.stderr
    results = sorted(path.relative_to(odd) for path in odd.rglob("result.json"))
    assert [str(path) for path in results] == [f"out/run/{n}/0/result.json" for n in range(3)]


def test_a_broken_environment_is_reported_before_anything_is_created(odd):
    (odd / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9, 0.99]\n")
    done = _tune(odd, "+environment.reset_params.odd=raise", "+environment.reset_params.of=step")
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if "error" in line]
    assert re.match(r"error: \S+base\.yaml:3: environment\.name: odd_environment:Odd-v0 ", line)
    assert "the pole is made of glass" in line
    assert "Traceback" not in done.stderr
    assert not (odd / "out").exists()
    assert (odd / "made.txt").read_text().split() == ["1"]
