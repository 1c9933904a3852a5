"""Checks the files that a training starts from, before anything is created."""

from __future__ import annotations

import functools
from pathlib import Path

import torch

from neroRL.config import Config
from neroRL.environments.factory import specification
from neroRL.errors import CheckpointError, ConfigError, Problem
from neroRL.models.actor_critic import ActorCritic
from neroRL.training import checkpoint as checkpoints

CPU = torch.device("cpu")


def check_files(config: Config, checkpoint: Path | None) -> None:
    """Checks the files of a single training.

    Args:
        config: checked.
        checkpoint: to continue from.

    Raises:
        CheckpointError: the checkpoint cannot be read, or is another training's.
        ConfigError: the weights of ``load_model`` cannot be read, or do not fit the model.
    """
    if checkpoint is not None:
        content = checkpoints.load(checkpoint, CPU)
        checkpoints.check_continuation(content, config, _model(config), checkpoint)
    problems = weight_problems(config)
    if problems:
        raise ConfigError(problems)


def weight_problems(config: Config) -> list[Problem]:
    """Finds what keeps the weights of ``load_model`` from fitting the config's model.

    Args:
        config: checked. If its environments run in processes of their own, their shapes are not
            known yet, and the file is only read.
    """
    if not config.model.load_model:
        return []
    path = config.model.weights_file
    try:
        weights = _weights(path, path.stat().st_mtime_ns)
        model = _model(config)
        if model is not None:
            checkpoints.check_weights(model, weights, path)
    except CheckpointError as error:
        return [Problem("model.model_path", str(error))]
    return []


def _model(config: Config) -> ActorCritic | None:
    """Returns the config's model without numbers; None if its environment would have to start."""
    shapes = specification(config.environment)
    if shapes is None:
        return None
    with checkpoints.META:
        return ActorCritic(config.model, shapes)


@functools.lru_cache(maxsize=4)
def _weights(path: Path, changed: int) -> dict[str, torch.Tensor]:  # noqa: ARG001 - part of the key
    """Returns the shapes of a checkpoint's weights; cached, as all jobs of a sweep ask for it."""
    weights: dict[str, torch.Tensor] = checkpoints.load(path, checkpoints.META)["model"]
    return weights
