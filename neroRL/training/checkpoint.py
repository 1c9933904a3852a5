"""Checkpoints: written atomically, and loaded without executing anything in them."""

from __future__ import annotations

import contextlib
import logging
import pickle
import pickletools
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import IO, Any

import torch

from neroRL.config.schema import ADDED_KEYS, REVISION
from neroRL.errors import CheckpointError, described
from neroRL.files import FAULTS_OF_THE_MACHINE, free_name, keep_beside, reason_of, replacing
from neroRL.records.checkpoint_files import DIRECTORY, checkpoints_of, update_of
from neroRL.records.results import RESULT_FILE

FORMAT = 1
KEYS_OF_THE_ORIGINAL = {"update", "hxs", "cxs", "model"}
# Before torch 1.6 the content followed a magic number, the protocol and the system.
PICKLES_OF_OLD_FILES = 4
# How the archives begin that torch saves.
ARCHIVE = b"PK\x03\x04"
# A device of shapes without numbers: tensors on it cost neither memory nor time.
META = torch.device("meta")

logger = logging.getLogger("neroRL.training")


@dataclass(frozen=True)
class Checkpoint:
    """The complete state of a training after an update; tensors and plain Python.

    What has a default may be missing: in checkpoints of earlier versions, whose revision is 1, and
    in those that somebody made smaller.

    Attributes:
        update: updates done.
        config: of the training, complete.
        model: the network's weights.
        optimizer: the moments of Adam.
        generators: of random numbers.
        environment: the state of the vector environment.
        memory: of the policy, in each environment.
        episodes: the last ones that ended.
        evaluated: of the last evaluation.
        env_steps: environment steps done.
        training_seconds: time of rollouts and optimisation.
        wall_seconds: time with everything else.
        revision: of the meaning of configs.
        normalization: statistics of observations and rewards.
        untold: statistics of an update whose evaluation a signal cancelled.
        threads: of torch.
        processes: that step the environments.
        precision: of matrix products.
        weights: digest of the weights that the training began with, if any.
    """

    update: int
    config: Mapping[str, Any]
    model: Mapping[str, torch.Tensor]
    optimizer: Mapping[str, Any] = field(default_factory=dict)
    generators: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    memory: Mapping[str, Any] = field(default_factory=dict)
    episodes: Sequence[Sequence[Any]] = ()
    evaluated: Mapping[str, Any] = field(default_factory=dict)
    env_steps: int = 0
    training_seconds: float = 0.0
    wall_seconds: float = 0.0
    revision: int = REVISION
    normalization: Mapping[str, Any] = field(default_factory=dict)
    untold: dict[str, float] | None = None
    threads: int | None = None
    processes: int | None = None
    precision: str = ADDED_KEYS["precision"]
    weights: str | None = None

    @property
    def has_state(self) -> bool:
        """Whether a training can continue from it; else it only has weights."""
        return all((self.optimizer, self.generators, self.environment, self.memory))


def checkpoint_path(directory: Path, run_id: str, update: int) -> Path:
    """Returns the file of a checkpoint: ``<directory>/checkpoints/<run-id>-<update>.pt``."""
    return directory / DIRECTORY / f"{Path(run_id).name}-{update}.pt"


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint; the old file stays until the new one is whole.

    Args:
        path: the file; its directory is made.
        checkpoint: its content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        try:
            torch.save({"format": FORMAT, **vars(checkpoint)}, file)
        except RuntimeError as error:
            reason = error.__context__  # torch's writer fails once more as it closes
            if isinstance(reason, OSError):
                raise OSError(reason.errno, reason.strerror, str(path)) from error
            raise OSError(f"{path} could not be written: {described(error)}") from error


def load(path: Path, device: torch.device) -> Checkpoint:
    """Reads a checkpoint.

    Args:
        path: the file.
        device: of the loaded tensors.

    Raises:
        CheckpointError: it is missing, another kind of file, not whole, the original neroRL's, or
            holds more than tensors and plain values.
        MemoryError: the machine has no memory for it now.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} does not exist")
    try:
        if not _begins_as_saved(path):
            message = f"{path} is no checkpoint; expected a .pt file that a training saved"
            raise CheckpointError(message)
        content = torch.load(path, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        unsupported = "Weights only load failed" in str(error) and "Unsupported" in str(error)
        if unsupported and _is_pickled(path):
            if _strings(path) >= KEYS_OF_THE_ORIGINAL:
                raise CheckpointError(_of_the_original(path)) from None
            message = f"{path} holds pickled objects; only checkpoints of weights are loaded"
            raise CheckpointError(message) from None
        raise CheckpointError(f"{path} cannot be read, it may be cut off") from None
    except (CheckpointError, MemoryError):
        raise
    except PermissionError as error:
        raise CheckpointError(f"{path} cannot be read: {reason_of(error)}") from error
    except Exception as error:  # torch raises nearly anything for arbitrary bytes
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"{path} cannot be read, it may be cut off: {reason}") from error
    if isinstance(content, dict) and content.keys() >= KEYS_OF_THE_ORIGINAL:
        raise CheckpointError(_of_the_original(path))
    try:
        if content.pop("format") != FORMAT:
            raise ValueError(FORMAT)
        known = {one.name for one in fields(Checkpoint)}  # later versions may have more
        return Checkpoint(**{"revision": 1} | {k: v for k, v in content.items() if k in known})
    except (AttributeError, KeyError, TypeError, ValueError):
        message = f"{path} is no checkpoint of this version of neroRL"
        raise CheckpointError(message) from None


def _begins_as_saved(path: Path) -> bool:
    """Returns whether a file begins as an archive or a pickle; one that is cut off may be short."""
    with path.open("rb") as file:
        start = file.read(len(ARCHIVE))
    return start.startswith(pickle.PROTO) or ARCHIVE.startswith(start)


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


def load_latest(directory: Path, device: torch.device) -> tuple[Path, Checkpoint] | None:
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


def load_candidate(path: Path, device: torch.device) -> Checkpoint:
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
