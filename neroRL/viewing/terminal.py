"""Shows pictures in a terminal: two pixels a character, in true colour."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from typing import TextIO

import cv2
import numpy as np

HALF, CLEAR, HOME, RESET = "▀", "\x1b[2J", "\x1b[H", "\x1b[0m"


def show_in_terminal(frames: Iterable[np.ndarray], stream: TextIO, framerate: int) -> None:
    """Shows frames one over the other.

    Args:
        frames: uint8, shape (height, width, 3).
        stream: a terminal that knows true colour.
        framerate: frames a second.
    """
    stream.write(CLEAR)
    for frame in frames:
        size = shutil.get_terminal_size()
        stream.write(HOME + as_text(frame, size.columns, 2 * (size.lines - 1), stream.encoding))
        stream.flush()
        time.sleep(1.0 / framerate)


def as_text(picture: np.ndarray, columns: int, rows: int, encoding: str = "utf-8") -> str:
    """Returns a picture as text with colours, scaled to fit.

    Args:
        picture: uint8, shape (height, width, 3).
        columns: most characters in a line.
        rows: most pixels above each other.
        encoding: of the terminal; one without half blocks gets a colour for two rows.
    """
    height, width = picture.shape[:2]
    scale = min(columns / width, rows / height, 1.0)
    size = (max(int(width * scale), 1), max(int(height * scale) // 2 * 2, 2))
    pixels = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    upper, lower = pixels[::2].astype(int), pixels[1::2].astype(int)
    if not _knows_blocks(encoding):
        upper = lower = (upper + lower) // 2
    mark = HALF if _knows_blocks(encoding) else " "
    lines = [
        "".join(_cell(above, below, mark) for above, below in zip(*pair, strict=True)) + RESET
        for pair in zip(upper.tolist(), lower.tolist(), strict=True)
    ]
    return "\n".join(lines) + "\n"


def _cell(above: list[int], below: list[int], mark: str) -> str:
    colours = ";".join(map(str, above)), ";".join(map(str, below))
    return f"\x1b[38;2;{colours[0]}m\x1b[48;2;{colours[1]}m{mark}"


def _knows_blocks(encoding: str) -> bool:
    try:
        HALF.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
