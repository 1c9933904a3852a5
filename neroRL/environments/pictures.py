"""Pictures of environments and observations for people."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium.error import DependencyNotInstalled

from neroRL.environments.specification import VECTOR, VISUAL, Observation, SingleEnvironment
from neroRL.errors import described

logger = logging.getLogger("neroRL.environments")

DRIVER = "SDL_VIDEODRIVER"
CELL = 12
CELLS_A_ROW = 16
# Environments whose renderer failed. Some end the process when they are asked again: MuJoCo's does
# without a display.
_FAILED: set[type] = set()


def picture_of(observation: Observation, stacks: int = 1) -> np.ndarray:
    """Draws an observation: its image, or else its vector as cells from black to white.

    Args:
        observation: of an environment with wrappers; of a stack, the latest image is drawn.
        stacks: number of observations that are stacked in it.

    Returns:
        uint8, shape (height, width, 3).
    """
    image = observation.get(VISUAL)
    if image is None:
        return _cells(observation[VECTOR])
    if image.dtype != np.uint8:
        image = np.clip(image * 255.0, 0, 255).astype(np.uint8)
    of_one = image.shape[2] // stacks
    latest = image[:, :, -(3 if of_one % 3 == 0 else 1) :]
    return np.ascontiguousarray(np.broadcast_to(latest, (*image.shape[:2], 3)))


def rendered(environment: SingleEnvironment) -> dict[str, np.ndarray]:
    """Asks an environment to render itself; empty if it cannot.

    Args:
        environment: with its wrappers, started.

    Returns:
        The picture by its name, uint8 of shape (height, width, 3).
    """
    unwrapped: Any = environment.unwrapped
    if type(unwrapped) in _FAILED or "rgb_array" not in unwrapped.metadata.get("render_modes", ()):
        return {}
    if unwrapped.render_mode is None:
        unwrapped.render_mode = "rgb_array"
    try:
        with _without_display():
            picture = unwrapped.render()
    except DependencyNotInstalled:
        return {}
    except Exception as error:  # what a renderer raises without a display is its own affair
        _FAILED.add(type(unwrapped))
        message = "%s cannot be rendered here: %s"
        logger.warning(message, type(unwrapped).__name__, described(error))
        return {}
    is_picture = isinstance(picture, np.ndarray) and picture.dtype == np.uint8
    return {"environment": picture} if is_picture and picture.ndim == 3 else {}


@contextlib.contextmanager
def _without_display() -> Iterator[None]:
    """Keeps SDL from looking for a display that is not there, which it complains about."""
    if any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY", DRIVER))):
        yield
        return
    os.environ[DRIVER] = "dummy"
    try:
        yield
    finally:
        os.environ.pop(DRIVER, None)


def _cells(vector: np.ndarray) -> np.ndarray:
    """Draws numbers as a row of cells after another; 0 is gray."""
    levels = (np.tanh(vector) * 127.5 + 127.5).astype(np.uint8)
    rows = -(-len(levels) // CELLS_A_ROW)
    width = min(len(levels), CELLS_A_ROW)
    padded = np.zeros(rows * width, np.uint8)
    padded[: len(levels)] = levels
    large = padded.reshape(rows, width).repeat(CELL, axis=0).repeat(CELL, axis=1)
    return np.stack([large] * 3, axis=2)
