"""Tells the weights that a training begins with apart, by their content."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from neroRL.errors import CheckpointError
from neroRL.files import expanded, reason_of


def weights_digest(load_model: bool, model_path: str) -> str | None:
    """Returns a digest of the weights that a config names; None if it names none.

    Args:
        load_model: whether the training begins with them.
        model_path: their file.

    Raises:
        CheckpointError: it cannot be read.
        UsageError: it starts with ``~``, and no home directory is known.
    """
    if not load_model:
        return None
    path = expanded(model_path).absolute()
    try:
        status = path.stat()
        return _digest(path, status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {reason_of(error)}") from error


@functools.lru_cache(maxsize=64)
def _digest(path: Path, _changed: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
