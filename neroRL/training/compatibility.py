"""Whether a checkpoint fits: the config, the network and the version of a training."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from neroRL.config import Config, as_mapping
from neroRL.config.nested import flat
from neroRL.config.roles import WITHOUT_EFFECT, is_fixed
from neroRL.config.schema import ADDED_KEYS, REVISION
from neroRL.config.weights import weights_digest
from neroRL.errors import CheckpointError
from neroRL.training.checkpoint import Checkpoint, load

# Sections whose changes are told when a training goes on.
_TOLD = ("trainer.", "evaluation.", "seed")

logger = logging.getLogger("neroRL.training")


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> dict[str, str]:
    """Returns the keys in which two trainings differ, each with a line of both values."""
    changed = _changed(there, here)
    return {key: line for key, line in changed.items() if key not in WITHOUT_EFFECT}


def _changed(there: Mapping[str, Any], here: Mapping[str, Any]) -> dict[str, str]:
    before, now = ADDED_KEYS | flat(there), ADDED_KEYS | flat(here)
    return {
        key: f"{key}: {before.get(key)} there, {now.get(key)} here"
        for key in {**before, **now}
        if before.get(key) != now.get(key)
    }


def check_config(there: Mapping[str, Any], here: Mapping[str, Any], path: Path) -> list[str]:
    """Compares the config of a checkpoint with that of the training that continues it.

    The environment, network and batch must not change; settings of the trainer and the evaluation
    may.

    Returns:
        The changes that are allowed, each with both values.

    Raises:
        CheckpointError: other keys differ; it lists them.
    """
    changed = _changed(there, here)
    refused = [key for key in changed if is_fixed(key)]
    if refused:
        listed = "\n  ".join(changed[key] for key in refused)
        raise CheckpointError(f"{path} belongs to another training:\n  {listed}")
    return [line for key, line in changed.items() if key.startswith(_TOLD)]


def check_continuation(
    checkpoint: Checkpoint, config: Config, model: torch.nn.Module | None, path: Path
) -> list[str]:
    """Checks that a training can continue from a checkpoint.

    Args:
        checkpoint: to continue from.
        config: of the training.
        model: of the training, on any device; None if it is not known yet.
        path: of the checkpoint, for messages.

    Returns:
        The changes of the config that are allowed, each with both values.

    Raises:
        CheckpointError: it is of another training or network, or of an earlier version.
    """
    changed = check_config(checkpoint.config, as_mapping(config), path)
    if loads_others(checkpoint, config):
        message = "a training that goes on loads no weights, and it did not begin with those of"
        raise CheckpointError(f"{path}: {message} model.model_path={config.model.model_path}")
    if model is not None:
        check_weights(model, checkpoint.model, path)
    kept = checkpoint.precision
    asked_then = checkpoint.config.get("precision")  # it may have had no effect
    if config.precision not in ("auto", kept, asked_then):  # auto keeps it
        changed.append(f"precision: {kept} there, {config.precision} here")
    problem = revision_problem(checkpoint)
    if problem is None and not checkpoint.has_state:
        problem = "has weights, but not the whole state of a training"
    if problem is not None:
        hint = "start anew, or from its weights with model.load_model"
        raise CheckpointError(f"{path} {problem}; {hint}")
    return changed


def loads_others(checkpoint: Checkpoint, config: Config) -> bool:
    """Returns whether a config loads other weights than a checkpoint's training began with.

    Earlier versions did not record these; then it is not known, and counts as no.
    """
    loaded = weights_digest(config.model.load_model, config.model.model_path)
    is_known = checkpoint.weights is not None or not checkpoint.config["model"]["load_model"]
    return is_known and loaded not in (None, checkpoint.weights)


def revision_problem(checkpoint: Checkpoint) -> str | None:
    """Returns why a training cannot continue from a checkpoint's version; None if it can."""
    if checkpoint.revision == REVISION:
        return None
    return "was saved by an earlier version, in which equal configs meant another network or task"


def check_weights(model: torch.nn.Module, weights: Mapping[str, torch.Tensor], path: Path) -> None:
    """Compares weights with those of a model, which may be on torch's ``meta`` device.

    Raises:
        CheckpointError: names or shapes differ, each listed.
    """
    own = model.state_dict()
    lines = [f"{key}: only in the checkpoint" for key in weights if key not in own]
    lines += [f"{key}: not in the checkpoint" for key in own if key not in weights]
    lines += [
        f"{key}: {tuple(weights[key].shape)} there, {tuple(tensor.shape)} here"
        for key, tensor in own.items()
        if key in weights and weights[key].shape != tensor.shape
    ]
    if lines:
        listed = "\n  ".join(lines)
        raise CheckpointError(f"{path} does not fit this model:\n  {listed}")


def start_from(model: torch.nn.Module, path: Path, device: torch.device) -> Checkpoint:
    """Puts the weights of a checkpoint into a model, and returns the checkpoint.

    Raises:
        CheckpointError: it cannot be read, or names or shapes differ, each listed.
    """
    checkpoint = load(path, device)
    check_weights(model, checkpoint.model, path)
    model.load_state_dict(checkpoint.model)
    problem = revision_problem(checkpoint)
    if problem is not None:
        logger.warning("%s %s; its weights fit and are loaded", path, problem)
    return checkpoint
