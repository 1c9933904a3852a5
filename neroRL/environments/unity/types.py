"""Environment types for Unity ML-Agents: executables with one agent."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

from neroRL.config.schema import EnvironmentConfig
from neroRL.environments.environment_type import SEEDS, EnvironmentType, Parameter, other_type
from neroRL.environments.images import different_sizes, stacked, stacked_space
from neroRL.environments.specification import (
    VECTOR,
    VISUAL,
    MixedSpace,
    Observation,
    SingleEnvironment,
    image_space,
    observation_space,
    vector_space,
)
from neroRL.environments.unity import protocol
from neroRL.environments.vector.interface import UNLIMITED
from neroRL.environments.waiting import seconds_of
from neroRL.errors import ConfigError, EnvironmentCrashError, Problem

if TYPE_CHECKING:
    from neroRL.environments.unity.client import UnityClient

INSTALL = 'pip install "neroRL[unity]"'
NAME = "environment.name"
TIMEOUT = "NERORL_UNITY_SECONDS"
DEFAULT_TIMEOUT = 60.0
# Parameters are sent as float32, which holds these integers exactly.
LAST_SEED = 2**24
# Consecutive messages without a request for an action after which the scene counts as broken.
MOST_SILENT_STEPS = 10_000


class UnityExecutable(EnvironmentType):
    """A Unity executable; each environment has its own process and network port."""

    uses_ports: ClassVar[bool] = True
    in_processes: ClassVar[bool] = True

    def check_name(self, config: EnvironmentConfig) -> list[Problem]:
        """Refuses a missing package, and a file that does not exist or is not executable."""
        if not protocol.is_installed():
            message = f"{config.type} needs a package that is not installed: {INSTALL}"
            return [Problem("environment.type", message)]
        try:
            executable(config.name)
            _timeout()
        except ConfigError as error:
            return list(error.problems)
        return []


class Unity(UnityExecutable):
    """Any scene; reset parameters are sent as its environment parameters."""

    any_parameters: ClassVar[bool] = True
    last_seed: ClassVar[int] = LAST_SEED
    parameters: ClassVar[Mapping[str, Parameter]] = {"start-seed": Parameter(0, low=UNLIMITED)}

    def make(self, config: EnvironmentConfig, worker_id: int) -> SingleEnvironment:
        """Starts Unity; see the base class.

        Raises:
            ConfigError: the scene has more than one agent, or spaces that are not supported.
            TransientError: Unity did not start.
        """
        parameters = {
            key: float(value)
            for key, value in self.reset_params(config).items()
            if key not in SEEDS
        }
        return UnityScene(executable(config.name), worker_id, parameters)

    def check_parameters(self, config: EnvironmentConfig) -> list[Problem]:
        """Checks the seeds; other parameters may have any name and must be numbers."""
        found = super().check_parameters(config)
        for key, value in config.reset_params.items():
            if key in SEEDS or isinstance(value, bool | int | float):
                continue
            message = f"{value!r} is not allowed; expected a number, or true or false"
            found.append(Problem(f"environment.reset_params.{key}", message))
        if "seed" in config.reset_params:
            message = "each episode has its own seed; set start-seed and num-seeds"
            found.append(Problem("environment.reset_params.seed", message))
        return found


def executable(name: str) -> Path:
    """Returns the path of the executable that a name means, with or without Unity's suffix.

    Raises:
        ConfigError: there is no such file, or it is not executable.
    """
    path = Path(name).expanduser().absolute()
    candidates = [path, *(path.with_name(path.name + suffix) for suffix in (".x86_64", ".x86"))]
    if sys.platform == "darwin":
        bundle = path.with_name(f"{path.name.removesuffix('.app')}.app")
        candidates += sorted((bundle / "Contents" / "MacOS").glob("*"))
    found = next((candidate for candidate in candidates if candidate.is_file()), None)
    if found is None:
        reason = "is a directory; expected the executable in it" if path.is_dir() else ""
        reason = reason or "does not exist, nor does it with .x86_64 behind it"
        raise ConfigError([Problem(NAME, f"{path} {reason}{other_type(name, [])}")])
    if not os.access(found, os.X_OK):
        message = f"{found} is not executable; make it so with: chmod +x {found}"
        raise ConfigError([Problem(NAME, message)])
    return found


def _timeout() -> float:
    return seconds_of(TIMEOUT, DEFAULT_TIMEOUT)


class UnityScene(gymnasium.Env[Observation, np.ndarray]):
    """The one agent of a Unity scene; its images are stacked along their channels.

    Args:
        path: path of the executable.
        worker_id: Unity connects to port 5005 + ``worker_id``.
        parameters: the scene's environment parameters, which are sent at each reset.
        seed_parameter: name of the parameter for the episode's seed.

    Attributes:
        image_channels: of each image.

    Raises:
        ConfigError: the scene has more than one agent, or spaces that are not supported.
        TransientError: Unity did not start.
    """

    def __init__(
        self,
        path: Path,
        worker_id: int,
        parameters: Mapping[str, float],
        seed_parameter: str = "seed",
    ) -> None:
        from neroRL.environments.unity.client import UnityClient

        self._path = path
        self._parameters = dict(parameters)
        self._seed_parameter = seed_parameter
        self._client: UnityClient = UnityClient(path, worker_id, _timeout())
        try:
            # Some scenes name their behaviours only with the first observations.
            self._client.reset(self._parameters)
            self._behavior, behavior = self._only_behavior()
            self._images, self._vectors = self._sorted(behavior.observation_specs)
            self.image_channels = tuple(
                behavior.observation_specs[place].shape[2] for place in self._images
            )
            self._branches = behavior.action_spec.discrete_size
            self.action_space = self._actions(behavior.action_spec)
            self.observation_space = self._spaces(behavior.observation_specs)
            self._begin()
        except BaseException:
            self._client.close()
            raise

    def reset(
        self,
        *,
        seed: int | None = None,
        options: dict[str, Any] | None = None,  # noqa: ARG002 - Gymnasium's signature
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts an episode and sends all parameters, including the seed."""
        seeds = {} if seed is None else {self._seed_parameter: float(seed)}
        self._client.reset({**seeds, **self._parameters})
        return self._observation(self._begin().obs), {}

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Takes one action; an episode that Unity interrupts counts as truncated.

        Args:
            action: the choice of each branch, then the continuous actions, of one dimension.
        """
        choices, numbers = np.split(action, [self._branches])
        self._client.step(self._behavior, choices, numbers)
        decisions, ended = self._answer()
        steps = ended if len(ended) else decisions
        over = len(ended) > 0
        cut = over and bool(ended.interrupted[0])
        reward = float(steps.reward[0])
        return self._observation(steps.obs), reward, over and not cut, cut, {}

    def close(self) -> None:
        """Ends Unity."""
        self._client.close()

    def _begin(self) -> Any:
        """Returns the first request for an action in an episode."""
        decisions, _ = self._answer()
        for _ in range(MOST_SILENT_STEPS):
            if len(decisions):
                return decisions
            self._client.wait()
            decisions, _ = self._answer()
        raise EnvironmentCrashError(f"{self._path} starts no episode")

    def _answer(self) -> tuple[Any, Any]:
        """Returns the agent's next request for an action, or the end of its episode."""
        for _ in range(MOST_SILENT_STEPS):
            decisions, ended = self._client.steps(self._behavior)
            if len(decisions) > 1 or len(ended) > 1:
                count = max(len(decisions), len(ended))
                raise self._unsupported(f"has {count} agents; one is supported")
            if len(decisions) or len(ended):
                return decisions, ended
            self._client.wait()
        raise EnvironmentCrashError(f"{self._path} asks for no decision any more")

    def _only_behavior(self) -> tuple[str, Any]:
        behaviors = dict(self._client.behaviors)
        if len(behaviors) != 1:
            shown = ", ".join(behaviors) or "none"
            raise self._unsupported(f"has the behaviours {shown}; exactly one is supported")
        return next(iter(behaviors.items()))

    def _sorted(self, specs: Any) -> tuple[list[int], list[int]]:
        """Returns the positions of the images and of the vectors among the observations."""
        images = [place for place, spec in enumerate(specs) if len(spec.shape) == 3]
        vectors = [place for place, spec in enumerate(specs) if len(spec.shape) == 1]
        if len(images) + len(vectors) < len(specs) or not specs:
            shown = ", ".join(str(tuple(spec.shape)) for spec in specs) or "nothing"
            message = f"observes {shown}; images and vectors are supported"
            raise self._unsupported(message)
        return images, vectors

    def _actions(self, spec: Any) -> spaces.Space[Any]:
        choices = spaces.MultiDiscrete([int(count) for count in spec.discrete_branches])
        numbers = spaces.Box(-1.0, 1.0, (int(spec.continuous_size),), np.float32)
        if spec.discrete_size and spec.continuous_size:
            return MixedSpace([choices, numbers])
        if not spec.discrete_size and not spec.continuous_size:
            raise self._unsupported("has no actions")
        return choices if spec.discrete_size else numbers

    def _spaces(self, specs: Any) -> spaces.Space[Observation]:
        boxes: dict[str, spaces.Space[Any]] = {}
        if self._images:
            shapes = [
                (specs[place].name or f"{place}", specs[place].shape) for place in self._images
            ]
            message = different_sizes(shapes)
            if message is not None:
                raise self._unsupported(message)
            images = [image_space(*specs[place].shape) for place in self._images]
            boxes[VISUAL] = stacked_space(images)
        if self._vectors:
            boxes[VECTOR] = vector_space(sum(specs[place].shape[0] for place in self._vectors))
        return observation_space(boxes)

    def _observation(self, parts: Any) -> Observation:
        observation: Observation = {}
        if self._images:
            # ML-Agents divides the 8-bit pixels of its images by 255.
            images = [np.rint(parts[place][0] * 255.0) for place in self._images]
            observation[VISUAL] = stacked(images).astype(np.uint8)
        if self._vectors:
            vectors = [np.asarray(parts[place][0], np.float32) for place in self._vectors]
            observation[VECTOR] = np.concatenate(vectors)
        return observation

    def _unsupported(self, message: str) -> ConfigError:
        return ConfigError([Problem(NAME, f"{self._path} {message}")])
