"""Operations on images, uint8 of shape (height, width, channels)."""

from __future__ import annotations

import cv2
import numpy as np


def gray(image: np.ndarray) -> np.ndarray:
    """One channel of luma (ITU-R BT.601), shape (height, width, 1)."""
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[:, :, None]


def resized(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """The image scaled, averaging over the area of the new pixels."""
    scaled = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
    return scaled if scaled.ndim == 3 else scaled[:, :, None]
