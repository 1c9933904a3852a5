"""Atari 2600 games (Bellemare et al. 2013), with the usual preprocessing (Machado et al. 2018)."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from typing import Any, ClassVar

import gymnasium
from gymnasium.wrappers import AtariPreprocessing

from neroRL.config.schema import EnvironmentConfig
from neroRL.environments.environment_type import EnvironmentType, Parameter, unknown_name
from neroRL.environments.pictures import rendered
from neroRL.environments.registered import RegisteredEnvironment, needs_extra
from neroRL.environments.specification import LIFE_LOST, Observation, SingleEnvironment
from neroRL.errors import Problem

PACKAGE = "ale_py"
LIVES = "terminal-on-life-loss"


class Atari(EnvironmentType):
    """The games of the Arcade Learning Environment, by ids like ``ALE/Pong-v5``.

    Frames are skipped here rather than by the wrapper of other types: the image is the maximum of
    the last two frames, since the console draws some objects in every other one only.
    """

    parameters: ClassVar = {
        "noop-max": Parameter(30, low=0),
        LIVES: Parameter(True),
        "repeat-action-probability": Parameter(0.25, low=0.0, high=1.0),
        "full-action-space": Parameter(False),
    }
    skips_frames: ClassVar[bool] = True

    def make(self, config: EnvironmentConfig, worker_id: int) -> SingleEnvironment:  # noqa: ARG002
        """Makes one game; see the base class."""
        _register()
        params = self.reset_params(config)
        game = gymnasium.make(
            config.name,
            disable_env_checker=True,
            frameskip=1,
            obs_type="grayscale" if config.grayscale else "rgb",
            repeat_action_probability=params["repeat-action-probability"],
            full_action_space=params["full-action-space"],
        )
        width, height = config.resize_vis_obs
        processed = AtariPreprocessing(
            game,
            noop_max=params["noop-max"],
            frame_skip=config.frame_skip,
            screen_size=(width, height),
            grayscale_obs=config.grayscale,
        )
        return Game(processed, config.name, tells_lives=params[LIVES])

    def pictures(self, environment: SingleEnvironment, observation: Observation) -> dict[str, Any]:
        """Returns the screen beside the observation; see the base class."""
        return {**rendered(environment), **super().pictures(environment, observation)}

    def check_name(self, config: EnvironmentConfig) -> list[Problem]:
        """Refuses unknown games; says how to install a missing package."""
        if importlib.util.find_spec(PACKAGE) is None:
            return [Problem("environment.type", needs_extra("Atari", "atari"))]
        _register()
        known = [name for name in gymnasium.registry if name.startswith("ALE/")]
        return [] if config.name in known else [unknown_name(config.name, known, "Atari game")]


class Game(RegisteredEnvironment):
    """A game, whose steps tell when a life was lost.

    Args:
        env: the game with its preprocessing.
        name: its id.
        tells_lives: whether they do.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], name: str, *, tells_lives: bool) -> None:
        super().__init__(env, name)
        self._tells_lives = tells_lives
        self._lives = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Starts a game."""
        unwrapped: Any = self.unwrapped
        started = super().reset(seed=seed, options=options)
        self._lives = unwrapped.ale.lives()
        return started

    def _kept(self, info: Mapping[str, Any]) -> dict[str, Any]:
        lost = info["lives"] < self._lives
        self._lives = info["lives"]
        return {LIFE_LOST: True} if lost and self._tells_lives else {}


def _register() -> None:
    """Registers the games' ids, and keeps the package from printing a banner."""
    package: Any = importlib.import_module(PACKAGE)
    package.ALEInterface.setLoggerMode(package.LoggerMode.Error)
