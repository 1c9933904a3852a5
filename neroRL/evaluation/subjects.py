"""Joins a policy's network and weights with the environment that it is to play."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neroRL.composition.alone import read_config
from neroRL.composition.checking import Origin, trying
from neroRL.config import Config, EnvironmentConfig, as_mapping, build
from neroRL.environments.factory import max_episode_steps, specification
from neroRL.environments.specification import EnvironmentSpec
from neroRL.environments.vector.moments import Normalization
from neroRL.errors import CheckpointError, ConfigError, Problem, UsageError
from neroRL.models.actor_critic import ActorCritic, seeded_model
from neroRL.training.checkpoint import Checkpoint, load
from neroRL.training.compatibility import check_weights
from neroRL.training.placement import cores_of
from neroRL.training.precision import BFLOAT16, FLOAT32
from neroRL.training.revisions import changes_of_meaning

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Subject:
    """A policy, and the environment in which it plays.

    Attributes:
        name: of the policy, for messages.
        config: of the network, the environment, and where both run.
        trained_in: the environment that the network was made for.
        weights: of the network; None for those that a training starts with.
        threads: of torch, as in the training, since last bits may differ with their number; as
            many as may be used for an untrained policy.
        origin: the lines of the environment's config; None where it is the checkpoint's.
        statistics: of the observations and rewards in the training; see :meth:`normalization`.
        precision: of matrix products, as in the training.
        rows: of a mini batch of the training, on which it depends which products these are.
    """

    name: str
    config: Config
    trained_in: EnvironmentConfig
    weights: Mapping[str, Tensor] | None
    threads: int
    origin: Origin | None = None
    statistics: Mapping[str, Any] = field(default_factory=dict)
    precision: str = FLOAT32
    rows: int = 0

    def normalization(self) -> Normalization:
        """Returns what the network sees of vectors, with the statistics of its training."""
        made = Normalization(self.trained_in, self.config.trainer.gamma)
        made.load_state_dict(self.statistics)
        return made

    @property
    def device(self) -> torch.device:
        """The device to play on: the config's, or the CPU of a machine without a GPU."""
        gpu = self.config.device != "cpu" and torch.cuda.is_available()
        return torch.device("cuda") if gpu else CPU

    def model(self, shapes: EnvironmentSpec) -> ActorCritic:
        """Makes the network for an environment.

        Args:
            shapes: of the environment to play.

        Raises:
            ConfigError: the network does not fit the environment.
        """
        if self.config.model.transformer is not None:  # its positions are those it was trained with
            shapes = replace(shapes, max_episode_steps=max_episode_steps(self.trained_in))
        try:
            model = seeded_model(self.config.model, shapes, max(self.config.seed, 0))
            if self.weights is not None:
                check_weights(model, self.weights, Path(self.name))
                model.load_state_dict(dict(self.weights))
        except CheckpointError as error:
            raise self._misfit(f"another one than the network's:\n{error}") from None
        if self.precision == BFLOAT16:
            model.use_bfloat16(self.rows)
        return model.to(self.device)

    def check_spaces(self) -> None:
        """Compares the spaces of both environments, as far as they are known before a start.

        Raises:
            ConfigError: the environment shows or takes something else than the network was made
                for.
        """
        here, there = specification(self.config.environment), specification(self.trained_in)
        if here is None or there is None:
            return
        lines = [
            f"{name}: {getattr(here, name)} here, {getattr(there, name)} there"
            for name in ("visual", "visual_dtype", "vector", "actions")
            if getattr(here, name) != getattr(there, name)
        ]
        if lines:
            listed = "\n  ".join(lines)
            raise self._misfit(f"has other spaces than that of {self.name}:\n  {listed}")

    def _misfit(self, message: str) -> ConfigError:
        where = self.origin.where("environment.name") if self.origin is not None else self.name
        return ConfigError([Problem("environment", message, where)])


def read_subject(checkpoint: Path, config_file: Path | None = None) -> Subject:
    """Reads a checkpoint's policy.

    Args:
        checkpoint: the file.
        config_file: the environment is taken from it; None for the checkpoint's own.

    Raises:
        CheckpointError: it cannot be read, or its config is another version's.
        ConfigError: the environment cannot be made, or the network does not fit it.
    """
    saved = load(checkpoint, CPU)
    trained = _config_of(saved, checkpoint)
    trained_in = trained.environment
    weights, threads = saved.model, saved.threads or 1
    rest: dict[str, Any] = {
        "statistics": saved.normalization,
        "precision": saved.precision,
        "rows": trained.mini_batch_size,
    }
    if config_file is None:
        _try(trained, checkpoint)
        return Subject(str(checkpoint), trained, trained_in, weights, threads, **rest)
    given, origin = read_config(config_file)
    joined = replace(given, model=trained.model)
    subject = Subject(str(checkpoint), joined, trained_in, weights, threads, origin, **rest)
    subject.check_spaces()
    return subject


def subject_of_config(config_file: Path, *, untrained: bool) -> Subject:
    """Returns a policy with the weights that a config names, or with initial ones.

    Args:
        config_file: of the network and the environment.
        untrained: whether to take the weights that a training starts with.

    Raises:
        UsageError: trained weights are asked for, and the config names none.
        NeroRLError: the config cannot work.
    """
    config, origin = read_config(config_file)
    if not untrained and not config.model.load_model:
        message = "no policy to play with: the config does not load one (model.load_model)"
        hint = "give --checkpoint=<path>, --sweep=<path> or --untrained"
        raise UsageError(f"{message}; {hint}")
    if not untrained:
        return read_subject(config.model.weights_file, config_file)
    name = f"an untrained policy of {config_file.name}"
    precision = BFLOAT16 if config.precision == BFLOAT16 else FLOAT32
    wanted = config, config.environment, None, cores_of(config), origin
    return Subject(name, *wanted, precision=precision, rows=config.mini_batch_size)


def _config_of(saved: Checkpoint, path: Path) -> Config:
    """Builds the config of a checkpoint.

    Raises:
        CheckpointError: it has keys or values that this version does not know, or keys that meant
            something else when it was saved.
    """
    mapping = dict(saved.config)
    # The weights are here already, wherever the training had its first ones from.
    mapping["model"] = {**mapping["model"], "load_model": False, "model_path": ""}
    try:
        config = build(mapping)
    except ConfigError as error:
        listed = "\n  ".join(str(problem) for problem in error.problems)
        message = "was saved by another version of neroRL, whose config differs"
        raise CheckpointError(f"{path} {message}:\n  {listed}") from None
    changed = changes_of_meaning(saved.revision, config)
    if changed:
        listed = "\n  ".join(changed)
        message = "was saved by an earlier version of neroRL, in which its config meant another"
        raise CheckpointError(f"{path} {message} network or task:\n  {listed}")
    return config


def _try(config: Config, checkpoint: Path) -> None:
    """Tries the environment of a checkpoint's config."""
    try:
        with trying() as checked:
            checked(as_mapping(config))
    except ConfigError as error:
        where = str(checkpoint)
        raise ConfigError(
            Problem(one.path, one.message, one.where or where) for one in error.problems
        ) from None
