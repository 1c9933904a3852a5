"""Checkpoints: written atomically, and loaded without executing anything in them."""

from __future__ import annotations

import contextlib
import logging
import pickle
import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import torch

from neroRL.config import Config, as_mapping
from neroRL.config.checks import flat
from neroRL.config.roles import WITHOUT_EFFECT, is_fixed
from neroRL.config.schema import ADDED_KEYS, REVISION
from neroRL.errors import CheckpointError, described
from neroRL.files import FAULTS_OF_THE_MACHINE, free_name, keep_beside, replacing
from neroRL.records.checkpoint_files import DIRECTORY, checkpoints_of, update_of
from neroRL.records.results import RESULT_FILE

FORMAT = 1
KEYS_OF_THE_ORIGINAL = {"update", "hxs", "cxs", "model"}
# Before torch 1.6 the content followed a magic number, the protocol and the system.
PICKLES_OF_OLD_FILES = 4
# A device of shapes without numbers: tensors on it cost neither memory nor time.
META = torch.device("meta")

# What checkpoints of earlier versions do not have.
_ADDED = {
    "revision": 1,
    "normalization": {},
    "untold": None,
    "threads": None,
    "processes": None,
    "precision": ADDED_KEYS["precision"],
    "weights": None,
}
# Sections whose changes are told when a training goes on.
_TOLD = ("trainer.", "evaluation.", "seed")

logger = logging.getLogger("neroRL.training")


def checkpoint_path(directory: Path, run_id: str, update: int) -> Path:
    """Returns the file of a checkpoint: ``<directory>/checkpoints/<run-id>-<update>.pt``."""
    return directory / DIRECTORY / f"{Path(run_id).name}-{update}.pt"


def save(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a checkpoint; the old file stays until the new one is whole.

    Args:
        path: the file; its directory is made.
        content: tensors and plain Python.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        try:
            torch.save({"format": FORMAT, "revision": REVISION, **content}, file)
        except RuntimeError as error:  # torch's writer hides the operating system's reason
            raise OSError(f"{path} could not be written: {described(error)}") from error


def load(path: Path, device: torch.device) -> dict[str, Any]:
    """Reads a checkpoint; what earlier versions did not save has its default.

    Args:
        path: the file.
        device: of the loaded tensors.

    Raises:
        CheckpointError: it is missing, not whole, the original neroRL's, or holds more than
            tensors and plain values.
        MemoryError: the machine has no memory for it now.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist")
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        unsupported = "Weights only load failed" in str(error) and "Unsupported" in str(error)
        if unsupported and _is_pickled(path):
            if _strings(path) >= KEYS_OF_THE_ORIGINAL:
                raise CheckpointError(_of_the_original(path)) from None
            message = f"{path} holds pickled objects; only checkpoints of weights are loaded"
            raise CheckpointError(message) from None
        raise CheckpointError(f"{path} cannot be read, it may be cut off") from None
    except MemoryError:
        raise
    except Exception as error:  # torch raises nearly anything for arbitrary bytes
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path} cannot be read, it may be cut off: {reason}") from error
    if isinstance(content, dict) and content.keys() >= KEYS_OF_THE_ORIGINAL:
        raise CheckpointError(_of_the_original(path))
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path} is no checkpoint of this version of neroRL")
    return {**_ADDED, **content}


def _is_pickled(path: Path) -> bool:
    """Returns whether a file is a pickle or an archive of pickles; others are damaged."""
    with path.open("rb") as file:
        return zipfile.is_zipfile(path) or file.read(1) == pickle.PROTO


def _of_the_original(path: Path) -> str:
    return (
        f"{path} is a checkpoint of the original neroRL, whose weights have other names and "
        "shapes; only checkpoints of this neroRL are loaded"
    )


def _strings(path: Path) -> set[str]:
    """Returns the strings in a pickle, or an archive's pickle, without executing it."""
    found: set[str] = set()
    unreadable = contextlib.suppress(ValueError, StopIteration, zipfile.BadZipFile)
    with unreadable, contextlib.ExitStack() as opened:
        file: IO[bytes] = opened.enter_context(path.open("rb"))
        if zipfile.is_zipfile(path):
            archive = opened.enter_context(zipfile.ZipFile(path))
            name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
            file = opened.enter_context(archive.open(name))
        for _ in range(PICKLES_OF_OLD_FILES):
            found.update(text for _, text, _ in pickletools.genops(file) if type(text) is str)
    return found


def load_latest(directory: Path, device: torch.device) -> tuple[Path, dict[str, Any]] | None:
    """Reads the last whole checkpoint of a job; None if there is none.

    It reports a checkpoint that cannot be read, and tries the one before.

    Raises:
        OSError, MemoryError: the machine cannot read it now, whatever it holds.
    """
    for path in reversed(checkpoints_of(directory)):
        try:
            return path, load_candidate(path, device)
        except CheckpointError as error:
            logger.warning("%s; trying the checkpoint before it", error)
    return None


def load_candidate(path: Path, device: torch.device) -> dict[str, Any]:
    """Reads a checkpoint in whose place another one may be taken, if it is damaged.

    Raises:
        CheckpointError: it is damaged.
        OSError, MemoryError: the machine cannot read it now, whatever it holds.
    """
    try:
        return load(path, device)
    except CheckpointError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in FAULTS_OF_THE_MACHINE:
            raise cause from None
        raise


def put_later_beside(directory: Path, update: int) -> None:
    """Puts beside what a directory has of after an update that a training goes on from.

    Args:
        directory: of the job.
        update: of the checkpoint to go on from, which may lie elsewhere.
    """
    later = [path for path in checkpoints_of(directory) if (update_of(path) or 0) > update]
    if later:
        aside = free_name(directory / DIRECTORY)
        aside.mkdir()
        for path in later:
            path.rename(aside / path.name)
        keep_beside(directory / RESULT_FILE)
        logger.warning("checkpoints of after update %d are kept in %s", update, aside)


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
    content: Mapping[str, Any], config: Config, model: torch.nn.Module | None, path: Path
) -> list[str]:
    """Checks that a training can continue from a checkpoint.

    Args:
        content: of the checkpoint.
        config: of the training.
        model: of the training, on any device; None if it is not known yet.
        path: of the checkpoint, for messages.

    Returns:
        The changes of the config that are allowed, each with both values.

    Raises:
        CheckpointError: it is of another training or network, or of an earlier version.
    """
    changed = check_config(content["config"], as_mapping(config), path)
    if model is not None:
        check_weights(model, content["model"], path)
    kept = content["precision"]
    if config.precision not in ("auto", kept):  # auto keeps it
        changed.append(f"precision: {kept} there, {config.precision} here")
    problem = revision_problem(content)
    if problem is not None:
        hint = "start anew, or from its weights with model.load_model"
        raise CheckpointError(f"{path} {problem}; {hint}")
    return changed


def revision_problem(content: Mapping[str, Any]) -> str | None:
    """Returns why a training cannot continue from a checkpoint's version; None if it can."""
    if content["revision"] == REVISION:
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


def start_from(model: torch.nn.Module, path: Path, device: torch.device) -> dict[str, Any]:
    """Puts the weights of a checkpoint into a model.

    Returns:
        The content of the checkpoint.

    Raises:
        CheckpointError: it cannot be read, or names or shapes differ, each listed.
    """
    content = load(path, device)
    check_weights(model, content["model"], path)
    model.load_state_dict(content["model"])
    problem = revision_problem(content)
    if problem is not None:
        logger.warning("%s %s; its weights fit and are loaded", path, problem)
    return content
