"""The files that a training starts from: checked before anything is created, and loaded."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from neroRL.config import Config
from neroRL.config.schema import ModelConfig
from neroRL.config.weights import weights_digest
from neroRL.environments.factory import reseeded, specification
from neroRL.environments.vector.moments import Normalization
from neroRL.errors import CheckpointError, ConfigError, Problem
from neroRL.models.actor_critic import ActorCritic
from neroRL.training import checkpoint as checkpoints
from neroRL.training.checkpoint import Checkpoint
from neroRL.training.compatibility import check_continuation, check_weights, start_from

logger = logging.getLogger("neroRL.training")


def check_files(config: Config, checkpoint: Path | None) -> None:
    """Checks the files of a single training.

    Args:
        config: checked.
        checkpoint: to continue from.

    Raises:
        CheckpointError: the checkpoint cannot be read, or is another training's.
        ConfigError: the model cannot be built, or the weights of ``load_model`` cannot be read or
            do not fit it.
    """
    if checkpoint is not None:
        saved = checkpoints.load(checkpoint, checkpoints.META)
        check_continuation(saved, config, _model(config), checkpoint)
    problems = model_problems(config)
    if problems:
        raise ConfigError(problems)


def model_problems(config: Config) -> list[Problem]:
    """Finds what keeps the config's model from being built, or from taking loaded weights.

    Args:
        config: checked. If its environments run in processes of their own, their shapes are not
            known yet, and the file of ``load_model`` is only read.
    """
    try:
        model = _model(config)
        if config.model.load_model:
            path = config.model.weights_file
            weights = _weights(path, path.stat().st_mtime_ns)
            if model is not None:
                check_weights(model, weights, path)
    except ConfigError as error:
        return list(error.problems)
    except CheckpointError as error:
        return [Problem("model.model_path", str(error))]
    return []


def begin(
    config: ModelConfig,
    saved: Checkpoint | None,
    model: ActorCritic,
    normalization: Normalization,
    device: torch.device,
) -> str | None:
    """Loads the weights of ``load_model`` into a new training, and the statistics beside them.

    Args:
        config: names their file, if any.
        saved: the checkpoint that a training continues from, which loads none.
        model: gets the weights.
        normalization: gets the statistics.
        device: of the model.

    Returns:
        The digest of the weights that the training began with; None if it loaded none.

    Raises:
        CheckpointError: the file cannot be read, or does not fit the model.
    """
    loaded = weights_digest(config.load_model, config.model_path)
    if saved is not None:
        return saved.weights or loaded  # earlier versions did not record it
    if loaded is not None:
        path = config.weights_file
        statistics = start_from(model, path, device).normalization
        for line in normalization.load_state_dict(statistics):
            logger.warning("%s %s", path, line)
    return loaded


def with_seed(saved: Checkpoint, seed: int) -> Checkpoint:
    """Returns a checkpoint whose random numbers come from a seed, if that is not its own."""
    if saved.config["seed"] == seed:
        return saved
    environment = reseeded(saved.environment, seed, saved.update)
    return replace(saved, environment=environment, generators={})


def _model(config: Config) -> ActorCritic | None:
    """Returns the config's model without numbers; None if its environment would have to start."""
    shapes = specification(config.environment)
    if shapes is None:
        return None
    with checkpoints.META:
        return ActorCritic(config.model, shapes)


@functools.lru_cache(maxsize=4)
def _weights(path: Path, changed: int) -> Mapping[str, torch.Tensor]:  # noqa: ARG001 - part of the key
    """Returns the shapes of a checkpoint's weights; cached, as all jobs of a sweep ask for it."""
    return checkpoints.load(path, checkpoints.META).model
