"""Layouts of environments' images, and operations on images.

Outside this module an image has shape (height, width, channels) and is uint8 from 0 to 255, or
float32 from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from gymnasium import spaces

from neroRL.environments.specification import image_space

# Largest values of float images; images up to 255 are divided by it.
_FLOAT_MAXIMA = (1.0, 255.0)
_BYTE_MAXIMUM = 255
# OpenCV resizes images of at most this many channels.
_MOST_CHANNELS = 4


@dataclass(frozen=True)
class ImageLayout:
    """The form in which an environment gives its image.

    Attributes:
        shape: height, width and channels.
        channels_first: whether the environment puts its channels before height and width.
        maximum: greatest value of a float image; None for uint8.
    """

    shape: tuple[int, int, int]
    channels_first: bool
    maximum: float | None

    @property
    def space(self) -> spaces.Box:
        """The space of :meth:`image`."""
        return image_space(*self.shape, np.uint8 if self.maximum is None else np.float32)

    def image(self, given: np.ndarray) -> np.ndarray:
        """Returns the environment's image with its channels last.

        Args:
            given: as the environment's space says; may be a buffer that the environment reuses.

        Returns:
            uint8, or float32 from 0 to 1; it may share the memory of ``given``.
        """
        image = np.moveaxis(given, 0, -1) if self.channels_first else given.reshape(self.shape)
        if self.maximum is None:
            return np.ascontiguousarray(image, np.uint8)
        image = np.ascontiguousarray(image, np.float32)
        return image if self.maximum == 1.0 else image / np.float32(self.maximum)


def image_layout(space: spaces.Box) -> ImageLayout | None:
    """Returns the layout of a Box that is an image.

    An image has two or three dimensions of uint8 from 0 to 255, or three dimensions of floats from
    0 to 1 or from 0 to 255. The channels are its first dimension if that is smaller than both
    others, else its last.

    Returns:
        The layout; None for a Box that is no image.
    """
    low, high = space.low, space.high
    if len(space.shape) not in (2, 3) or not (low == 0).all() or not (high == high.flat[0]).all():
        return None
    greatest = float(high.flat[0])
    maximum = None
    if space.dtype == np.uint8:
        if greatest != _BYTE_MAXIMUM:
            return None
    elif np.issubdtype(space.dtype, np.floating) and len(space.shape) == 3:
        if greatest not in _FLOAT_MAXIMA:
            return None
        maximum = greatest
    else:
        return None
    if len(space.shape) == 2:
        return ImageLayout((*space.shape, 1), False, maximum)
    first, second, third = space.shape
    if first < second and first < third:
        return ImageLayout((second, third, first), True, maximum)
    return ImageLayout((first, second, third), False, maximum)


def stacked_space(boxes: Sequence[spaces.Box]) -> spaces.Box:
    """Returns the space of :func:`stacked` images, which have one size."""
    height, width, _ = boxes[0].shape
    channels = sum(box.shape[2] for box in boxes)
    of_bytes = all(box.dtype == np.uint8 for box in boxes)
    return image_space(height, width, channels, np.uint8 if of_bytes else np.float32)


def stacked(images: Sequence[np.ndarray]) -> np.ndarray:
    """Stacks images of one size along their channels.

    Beside float32 images, uint8 ones are divided by 255.
    """
    if len(images) == 1:
        return images[0]
    if len({image.dtype for image in images}) > 1:
        images = [
            image / np.float32(_BYTE_MAXIMUM) if image.dtype == np.uint8 else image
            for image in images
        ]
    return np.concatenate(images, axis=2)


def different_sizes(shapes: Sequence[tuple[str, Sequence[int]]]) -> str | None:
    """Returns why images cannot be stacked; None if they have one size.

    Args:
        shapes: name of each image, and its height, width and channels.
    """
    if len({(height, width) for _, (height, width, _) in shapes}) == 1:
        return None
    shown = ", ".join(f"{name} {width} x {height}" for name, (height, width, _) in shapes)
    return f"observes images of different sizes ({shown}); images of one size are supported"


def gray(image: np.ndarray) -> np.ndarray:
    """Converts an image to luma (ITU-R BT.601), shape (height, width, 1)."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[:, :, None]


def resized(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Returns the image scaled, averaging over the area of the new pixels."""
    parts = [
        cv2.resize(
            image[:, :, first : first + _MOST_CHANNELS],
            (width, height),
            interpolation=cv2.INTER_AREA,
        ).reshape(height, width, -1)
        for first in range(0, image.shape[2], _MOST_CHANNELS)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)
