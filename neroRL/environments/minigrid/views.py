"""Turns the encoded view of a MiniGrid agent into observations.

An encoded view has shape (view size, view size, 3): object type, colour and state of each cell.
"""

from __future__ import annotations

import functools

import numpy as np
from minigrid.core.constants import OBJECT_TO_IDX
from minigrid.core.grid import Grid

from neroRL.environments import images

CLASSES = ("agent", "empty", "wall", "key", "ball", "lava")
MOST_FRAME_BYTES = 64 * 2**20
UP = 3  # the direction in which the agent looks in its own view


class ViewRenderer:
    """Renders views in colour; each distinct one once, as long as memory allows.

    The picture of a cell depends on its type, colour and state only: that is how MiniGrid itself
    caches tiles. So it is a function of the encoded view.

    Args:
        view_size: cells on a side.
        tile_size: pixels a cell is rendered with.
        grayscale: whether the picture is made gray.
        size: width and height the picture is scaled to; None leaves it as it is.
    """

    def __init__(
        self,
        view_size: int,
        tile_size: int,
        grayscale: bool = False,
        size: tuple[int, int] | None = None,
    ) -> None:
        self.view_size = view_size
        self.side = view_size * tile_size
        self._grayscale = grayscale
        self._size = size if size != (self.side, self.side) else None
        self._tile_size = tile_size
        self._frames: dict[bytes, np.ndarray] = {}
        self._most_frames = max(MOST_FRAME_BYTES // (self.side * self.side * 3), 1)

    def frame(self, view: np.ndarray) -> np.ndarray:
        """Returns the image of a view, uint8 of shape (height, width, channels), read-only."""
        key = view.tobytes()
        frame = self._frames.get(key)
        if frame is None:
            if len(self._frames) >= self._most_frames:
                self._frames.clear()
            frame = self._frames[key] = self._render(view)
        return frame

    def _render(self, view: np.ndarray) -> np.ndarray:
        grid, visible = Grid.decode(view)
        position = (self.view_size // 2, self.view_size - 1)
        frame: np.ndarray = grid.render(self._tile_size, position, UP, visible)
        if self._grayscale:
            frame = images.gray(frame)
        if self._size is not None:
            frame = images.resized(frame, *self._size)
        frame.flags.writeable = False
        return frame


@functools.lru_cache(maxsize=8)
def renderer(
    view_size: int,
    tile_size: int,
    grayscale: bool = False,
    size: tuple[int, int] | None = None,
) -> ViewRenderer:
    """Returns the renderer that all environments of a process share; see :class:`ViewRenderer`."""
    return ViewRenderer(view_size, tile_size, grayscale, size)


def one_hot(views: np.ndarray) -> np.ndarray:
    """Returns one-hot vectors of views: 6 classes per cell, all zeros for other objects.

    Args:
        views: shape (…, view size, view size, 3).

    Returns:
        float32, shape (…, view size · view size · 6).
    """
    cells: np.ndarray = _ONE_HOT[views[..., 0]]
    return cells.reshape(*views.shape[:-3], -1)


def _one_hot_table() -> np.ndarray:
    table = np.zeros((max(OBJECT_TO_IDX.values()) + 1, len(CLASSES)), np.float32)
    for index, name in enumerate(CLASSES):
        table[OBJECT_TO_IDX[name], index] = 1.0
    return table


_ONE_HOT = _one_hot_table()
