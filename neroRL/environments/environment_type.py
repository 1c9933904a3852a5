"""The base class of environment types; a new one is a subclass and a registry line."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium
import numpy as np

from neroRL.config.schema import EnvironmentConfig
from neroRL.environments.pictures import picture_of
from neroRL.environments.specification import Observation, SingleEnvironment
from neroRL.environments.vector.interface import EpisodeSeeds, VectorEnvironment
from neroRL.errors import Problem
from neroRL.seeds import LAST_SEED
from neroRL.texts import did_you_mean

# Each process would print this with places in Gymnasium's code; an older version is a choice.
warnings.filterwarnings("ignore", ".*is out of date", DeprecationWarning, "gymnasium")


@dataclass(frozen=True)
class Parameter:
    """A reset parameter.

    Attributes:
        default: the documented default, which also gives the type.
        low: smallest allowed value.
        high: largest allowed value.
        choices: the allowed values, if they are few.
    """

    default: Any
    low: float | None = None
    high: float | None = None
    choices: tuple[Any, ...] | None = None

    def problem(self, value: Any) -> str | None:
        """Returns why a value is not allowed; None if it is."""
        kind = type(self.default)
        if kind is float and type(value) is int:
            kind = int
        if type(value) is not kind:
            return f"{value!r} is not allowed; expected {_NAMES[type(self.default)]}"
        if self.choices is not None and value not in self.choices:
            return f"{value!r} is not allowed; expected one of {', '.join(map(str, self.choices))}"
        if self.low is not None and value < self.low:
            return f"{value} is not allowed; expected {self.low} or more"
        if self.high is not None and value > self.high:
            return f"{value} is not allowed; expected {self.high} or less"
        return None


_NAMES = {bool: "true or false", int: "an integer", float: "a number", str: "a string"}

SEEDS = {"start-seed": Parameter(0, low=0), "num-seeds": Parameter(100, low=1)}

MINIGRID_IDS = ("MiniGrid-", "BabyAI-")
_TYPES_OF_IDS = {
    "Minigrid or MinigridVec": MINIGRID_IDS,
    "Atari": ("ALE/",),
    "CartPole": ("CartPole-",),
    "MemoryGym": ("MortarMayhem", "MysteryPath", "SearingSpotlights", "Endless-"),
}


def depends_on_history(config: EnvironmentConfig) -> bool:
    """Returns whether observations depend on more than the environment's current state."""
    appended = config.last_action_to_obs or config.last_reward_to_obs or config.positional_encoding
    return appended or config.obs_stacks > 1 or config.frame_skip > 1


class EnvironmentType(ABC):
    """Makes and checks the environments of one type."""

    parameters: ClassVar[Mapping[str, Parameter]] = {}
    """The type's own reset parameters, besides the seeds."""
    any_parameters: ClassVar[bool] = False
    """Whether the environment has reset parameters that the type does not know."""
    in_processes: ClassVar[bool] = False
    """Whether each environment runs in its own process, in parallel with the others."""
    skips_frames: ClassVar[bool] = False
    """Whether :meth:`make` takes care of the config's ``frame_skip``."""
    uses_ports: ClassVar[bool] = False
    """Whether each environment needs a network port, 5005 + its worker id."""
    last_seed: ClassVar[int] = LAST_SEED
    """The largest seed of an episode."""
    reward_scale: ClassVar[float] = 1.0
    """The learner, and ``last_reward_to_obs``, see rewards divided by it; statistics do not."""

    @abstractmethod
    def make(self, config: EnvironmentConfig, worker_id: int) -> SingleEnvironment:
        """Makes one environment, without the wrappers of the config.

        Args:
            config: a checked config whose reset parameters are complete.
            worker_id: unique among environments that run at the same time.

        Returns:
            An environment as :func:`~neroRL.environments.specification.specification_of` expects
            it. The info of an episode's last step may have ``success``, and further numbers by name
            under ``statistics``. That of any step may tell ``life_lost``: if true, it ends the
            episode for the learner, which goes on; evaluations play it whole.
        """

    def make_batch(
        self,
        config: EnvironmentConfig,  # noqa: ARG002 - for those that override it
        single: SingleEnvironment,  # noqa: ARG002
        seeds: Sequence[EpisodeSeeds],  # noqa: ARG002
    ) -> VectorEnvironment | None:
        """Makes environments that step together, faster than one by one; None if there are none.

        Args:
            config: as for :meth:`make`.
            single: one environment with its wrappers, for the spaces.
            seeds: the episodes' seeds, for each environment.
        """
        return None

    def max_episode_steps(self, config: EnvironmentConfig) -> int | None:  # noqa: ARG002
        """Returns the length of the longest episode; None if only the environment may know it."""
        return None

    def pictures(
        self,
        environment: SingleEnvironment,
        observation: Observation,
    ) -> dict[str, np.ndarray]:
        """Returns pictures of an environment for people, by name: at least what the agent sees.

        Args:
            environment: with its wrappers, started.
            observation: its current one.

        Returns:
            uint8, shape (height, width, 3) each.
        """
        stacked = environment.has_wrapper_attr("obs_stacks")
        stacks = environment.get_wrapper_attr("obs_stacks") if stacked else 1
        return {"what the agent sees": picture_of(observation, stacks)}

    def action_names(self, counts: Sequence[int], first: Sequence[int]) -> list[list[str]]:
        """Returns the names of each branch's choices; numbers if they have no names.

        Args:
            counts: number of choices of each branch.
            first: the environment's number of each branch's first choice.
        """
        branches = zip(counts, first, strict=True)
        return [[str(choice + start) for choice in range(count)] for count, start in branches]

    @abstractmethod
    def check_name(self, config: EnvironmentConfig) -> list[Problem]:
        """Finds problems of the name, and missing packages."""

    def is_foreign(self, config: EnvironmentConfig) -> bool:  # noqa: ARG002 - for those that are
        """Returns whether a config names a user's code, which is tried in a separate process.

        See :class:`neroRL.environments.trial.Trials`.
        """
        return False

    def check(self, config: EnvironmentConfig) -> list[Problem]:
        """Finds problems of a config without making an environment."""
        return [
            *self.check_name(config),
            *self.check_parameters(config),
            *self._check_last_seed(config),
        ]

    def check_seeds(self, path: str, seeds: Sequence[int]) -> list[Problem]:
        """Finds seeds that an episode cannot have.

        Args:
            path: dotted path of the key they come from.
            seeds: at least one.
        """
        if max(seeds) <= self.last_seed:
            return []
        message = f"seeds up to {max(seeds)} are not allowed; expected {self.last_seed} or less"
        return [Problem(path, message)]

    def _check_last_seed(self, config: EnvironmentConfig) -> list[Problem]:
        params = self.reset_params(config)
        start, count = params["start-seed"], params["num-seeds"]
        if type(start) is not int or type(count) is not int:
            return []
        return self.check_seeds("environment.reset_params.num-seeds", [start + count - 1])

    def check_parameters(self, config: EnvironmentConfig) -> list[Problem]:
        """Finds unknown reset parameters and values that are not allowed."""
        known = {**SEEDS, **self.parameters}
        found = []
        for key, value in config.reset_params.items():
            message = None
            if key in known:
                message = known[key].problem(value)
            elif not self.any_parameters:
                message = f"unknown key; allowed are {', '.join(known)}{did_you_mean(key, known)}"
            if message:
                found.append(Problem(f"environment.reset_params.{key}", message))
        return found

    def cautions(self, config: EnvironmentConfig) -> list[Problem]:  # noqa: ARG002 - to override
        """Finds settings that work but are most likely mistakes."""
        return []

    def reset_params(self, config: EnvironmentConfig) -> dict[str, Any]:
        """Returns the reset parameters, completed with the documented defaults."""
        defaults = {key: known.default for key, known in {**SEEDS, **self.parameters}.items()}
        return {**defaults, **config.reset_params}


def unknown_name(name: str, known: list[str], what: str) -> Problem:
    """Returns the problem of an unknown name, with the nearest known ones."""
    return Problem("environment.name", f"{name} is no {what}{other_type(name, known)}")


def other_type(name: str, known: list[str]) -> str:
    """Returns the hint that a name belongs to another type, or the nearest known names."""
    for types, prefixes in _TYPES_OF_IDS.items():
        if name.startswith(prefixes) and not any(other.startswith(prefixes) for other in known):
            return f"; expected the environment type {types} for it"
    near = did_you_mean(name, known)
    if not near and (name in gymnasium.registry or ":" in name):
        return "; expected the environment type Gymnasium for it"
    return near
