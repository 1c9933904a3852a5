"""Wrappers that change the image of each observation: grayscale and size."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from neroRL.environments import images
from neroRL.environments.specification import (
    VISUAL,
    Observation,
    SingleEnvironment,
    image_space,
)

RGB = 3


class _Imaging(gymnasium.ObservationWrapper[Observation, np.ndarray, Observation]):
    def __init__(self, env: SingleEnvironment, height: int, width: int, channels: int) -> None:
        super().__init__(env)
        assert isinstance(env.observation_space, spaces.Dict)
        dtype = np.uint8 if env.observation_space[VISUAL].dtype == np.uint8 else np.float32
        self.observation_space = spaces.Dict(
            {**env.observation_space.spaces, VISUAL: image_space(height, width, channels, dtype)}
        )

    @abstractmethod
    def image(self, image: np.ndarray) -> np.ndarray:
        """Returns the changed image, uint8 or float32 of shape (height, width, channels)."""

    def observation(self, observation: Observation) -> Observation:
        """Returns the observation with the changed image."""
        return {**observation, VISUAL: self.image(observation[VISUAL])}


class Grayscale(_Imaging):
    """Converts RGB images to one channel of luma (ITU-R BT.601).

    Args:
        env: an environment with images.
        channels: of each image, which are stacked along their channels.
    """

    def __init__(self, env: SingleEnvironment, channels: Sequence[int]) -> None:
        height, width, _ = _image_shape(env)
        self._ends = np.cumsum(channels)[:-1]
        super().__init__(
            env, height, width, sum(1 if count == RGB else count for count in channels)
        )

    def image(self, image: np.ndarray) -> np.ndarray:
        """Returns the images, those of three channels gray."""
        parts = np.split(image, self._ends, axis=2)
        return images.stacked(
            [images.gray(part) if part.shape[2] == RGB else part for part in parts]
        )


class Resize(_Imaging):
    """Scales images; each new pixel is the mean of the area that it covers.

    Args:
        env: an environment with an image.
        width: new width, in pixels.
        height: new height, in pixels.
    """

    def __init__(self, env: SingleEnvironment, width: int, height: int) -> None:
        super().__init__(env, height, width, _image_shape(env)[2])
        self._size = (width, height)

    def image(self, image: np.ndarray) -> np.ndarray:
        """Returns the scaled image."""
        return images.resized(image, *self._size)


def _image_shape(env: gymnasium.Env[Any, Any]) -> tuple[int, int, int]:
    assert isinstance(env.observation_space, spaces.Dict)
    shape = env.observation_space[VISUAL].shape
    assert shape is not None
    return shape[0], shape[1], shape[2]
