"""Tries environments before a training starts: makes each, resets it and takes one step.

Known environments are tried in this process. A Gymnasium id that names a module runs a user's code,
which may hang, print, change the directory or end its process. So it is tried in a separate
process, and none of that affects this one.
"""

from __future__ import annotations

import contextlib
import sysconfig
import traceback
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces

from neroRL.config.schema import EnvironmentConfig
from neroRL.environments import registry
from neroRL.environments.environment_type import SEEDS
from neroRL.environments.factory import remember, shapes_of, wrapped
from neroRL.environments.specification import EnvironmentSpec, Observation, SingleEnvironment
from neroRL.environments.vector.child import ChildProcess, connected
from neroRL.environments.waiting import seconds_of, told_when_slow
from neroRL.errors import BrokenEnvironmentError, ConfigError, Problem

NAME, PARAMETERS = "environment.name", "environment.reset_params"
SECONDS_UNTIL_TOLD = 5.0
LIMIT = "NERORL_TRIAL_SECONDS"
DEFAULT_LIMIT = 120.0
# Files that contain no user's code.
_LIBRARIES = (
    *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
    str(Path(__file__).resolve().parents[1]),
    "<",
)


class Trial(NamedTuple):
    """The outcome of trying an environment.

    Attributes:
        problems: that keep it from taking a step.
        shapes: of the environment; None if it has problems.
    """

    problems: list[Problem]
    shapes: EnvironmentSpec | None = None


class Trials:
    """Tries environments, each distinct config once.

    A context manager: leaving it ends the process that tried foreign environments.
    """

    def __init__(self) -> None:
        self._found: dict[str, list[Problem]] = {}
        self._process: ChildProcess | None = None

    def __enter__(self) -> Trials:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_process()

    def problems(self, config: EnvironmentConfig) -> list[Problem]:
        """Returns the problems that keep an environment from taking a step.

        Args:
            config: an environment whose type and parameters are valid. One that runs in a
                separate process, like Unity's, is not started.
        """
        key = repr(config)
        if key not in self._found:
            self._found[key] = self._try(config)
        return self._found[key]

    def _try(self, config: EnvironmentConfig) -> list[Problem]:
        kind = registry.environment_type(config.type)
        if kind.in_processes:
            return []
        with told_when_slow(f"trying {config.name}", SECONDS_UNTIL_TOLD):
            trial = self._try_apart(config) if kind.is_foreign(config) else try_out(config)
        if trial.shapes is not None:
            remember(config, trial.shapes)
        return trial.problems

    def _try_apart(self, config: EnvironmentConfig) -> Trial:
        limit = seconds_of(LIMIT, DEFAULT_LIMIT)
        if self._process is None:
            self._process = ChildProcess(__name__, "its process", quiet=True)
        try:
            self._process.connection.send(config)
            if self._process.connection.poll(limit):
                trial: Trial = self._process.connection.recv()
                return trial
            message = f"took no step within {limit:g} seconds, the limit of the variable {LIMIT}"
        except (EOFError, OSError):
            message = f"cannot be used: {self._process.end_shown()} when it was tried"
        self._end_process()
        return Trial([Problem(NAME, f"{config.name} {message}")])

    def _end_process(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.end(0.0)


def main(descriptor: int) -> None:
    """Tries the environments whose configs the parent sends, until the parent is gone.

    Args:
        descriptor: file descriptor of the connection to the parent.
    """
    with connected(descriptor) as parent:
        while True:
            config = parent.recv()
            with contextlib.chdir("."):  # undoes a change of directory
                parent.send(try_out(config, BaseException))


def try_out(config: EnvironmentConfig, caught: type[BaseException] = Exception) -> Trial:
    """Makes an environment, resets it with its last seed, and takes a step.

    Args:
        config: the environment.
        caught: the errors that count as problems; others are raised.
    """
    params = registry.reset_params(config)
    seed = params["start-seed"] + params["num-seeds"] - 1
    doing = "cannot be made"
    try:
        with contextlib.closing(registry.environment_type(config.type).make(config, 0)) as made:
            env = wrapped(_Watched(made, config.name), config)
            shapes = shapes_of(config, env)
            doing = f"cannot be reset with the seed {seed}"
            env.reset(seed=seed)
            env.action_space.seed(0)
            action = env.action_space.sample()
            doing = f"cannot take the action {', '.join(map(str, action))} first"
            env.step(action)
            doing = "cannot be closed"
    except ConfigError as error:
        return Trial(list(error.problems))
    except BrokenEnvironmentError as error:
        return Trial([Problem(NAME, str(error))])
    except caught as error:
        has_arguments = any(key not in SEEDS for key in config.reset_params)
        refused = doing == "cannot be made" and isinstance(error, TypeError | ValueError)
        path = PARAMETERS if has_arguments and refused else NAME
        return Trial([Problem(path, f"{config.name} {doing}: {_shown(error)}")])
    return Trial([], shapes)


class _Watched(gymnasium.Wrapper[Observation, np.ndarray, Observation, np.ndarray]):
    """Checks observations against the environment's spaces, and that rewards are finite.

    Args:
        env: the environment, without the wrappers of the config.
        name: the environment's name, for messages.
    """

    def __init__(self, env: SingleEnvironment, name: str) -> None:
        super().__init__(env)
        self._name = name

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        observation, info = self.env.reset(seed=seed, options=options)
        self._check(observation, "reset()")
        return observation, info

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._check(observation, "step()")
        with np.errstate(over="ignore"):
            if not np.isfinite(np.float32(reward)):
                message = f"step() gave a reward of {reward}, which is no number of float32"
                raise BrokenEnvironmentError(f"{self._name}: {message}")
        return observation, float(reward), terminated, truncated, info

    def _check(self, observation: Observation, method: str) -> None:
        assert isinstance(self.env.observation_space, spaces.Dict)
        for key, box in self.env.observation_space.items():
            wrong = _wrong(observation.get(key), box)
            if wrong:
                message = f"{self._name}: the {key} part of what {method} observed {wrong}"
                raise BrokenEnvironmentError(message)


def _wrong(array: np.ndarray | None, box: spaces.Space[Any]) -> str | None:
    """Returns why an array is not in a space; None if it is."""
    assert isinstance(box, spaces.Box)
    if array is None:
        return "is missing"
    if (array.shape, array.dtype) != (box.shape, box.dtype):
        return f"is {array.dtype} of shape {array.shape}; its space is {box}"
    if not np.isfinite(array).all():
        return f"has {array[~np.isfinite(array)][0]} in it"
    outside = (array < box.low) | (array > box.high)
    if outside.any():
        place = tuple(int(index) for index in np.argwhere(outside)[0])
        low, high = box.low[place], box.high[place]
        return f"has {array[place]} in it; its space goes from {low} to {high} there"
    return None


def _shown(error: BaseException) -> str:
    """Returns the error in one line, with the last place in the user's own code."""
    text = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(": ")
    frames = traceback.extract_tb(error.__traceback__)
    places = [frame for frame in frames if not frame.filename.startswith(_LIBRARIES)]
    return f"{text} ({places[-1].filename}:{places[-1].lineno})" if places else text
