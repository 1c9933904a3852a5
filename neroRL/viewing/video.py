"""Writes episodes as videos."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from neroRL.errors import OutputError, UsageError
from neroRL.files import make_directory, reason_of

SUFFIX = ".mp4"
INSTALL = 'pip install "neroRL[video]"'


def check_video() -> None:
    """Refuses videos if the packages that write them are not installed.

    Raises:
        UsageError: one is missing; the message has the line that installs them.
    """
    for package in ("imageio", "imageio_ffmpeg"):
        if importlib.util.find_spec(package) is None:
            raise UsageError(f"--video needs a package that is not installed: {INSTALL}")


def video_file(path: Path) -> Path:
    """Returns the path with the suffix of videos."""
    return path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)


def write_video(path: Path, frames: Iterable[np.ndarray], framerate: int) -> None:
    """Writes frames as H.264 in an MP4 file, which appears when it is whole.

    Args:
        path: of the file, which ends with ``.mp4``.
        frames: uint8, shape (height, width, 3) each, all of one even size.
        framerate: frames a second.

    Raises:
        OutputError: the file cannot be written.
    """
    import imageio.v2 as imageio

    make_directory(path.parent)
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}.") as directory:
            temporary = Path(directory, f"video{SUFFIX}")
            options = ["-preset", "veryfast"]
            writing: Any = imageio.get_writer(
                temporary, fps=framerate, codec="libx264", quality=8, output_params=options
            )
            with writing as writer:
                for frame in frames:
                    writer.append_data(frame)
            os.replace(temporary, path)  # noqa: PTH105
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {reason_of(error)}") from None
