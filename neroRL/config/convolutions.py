"""The convolutions of the visual encoders, and which images are large enough for them.

The encoders are built from these numbers; a config is checked with them, without torch.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

# SmallImpala has smaller windows for images up to this side.
SMALL_IMAGE = 9
# No encoder needs a larger side.
_SIDES = range(1, 65)


class Convolution(NamedTuple):
    """A convolution without padding.

    Attributes:
        channels: how many it gives.
        size: side of its window.
        stride: between windows.
    """

    channels: int
    size: int
    stride: int


CNN = (Convolution(32, 8, 4), Convolution(64, 4, 2), Convolution(64, 3, 1))
RESIDUAL = (Convolution(16, 3, 1), Convolution(32, 3, 1), Convolution(32, 3, 1))
# Behind each convolution of the residual encoder: its pooling, whose border is padded by 1.
POOL_SIZE, POOL_STRIDE, POOL_PADDING = 3, 2, 1


def small_impala(height: int, width: int) -> tuple[Convolution, Convolution]:
    """Returns the two convolutions of ``smallimpala`` for images of a size."""
    first = Convolution(16, 8, 4) if height > SMALL_IMAGE else Convolution(16, 4, 2)
    second = Convolution(32, 4, 2) if width > SMALL_IMAGE else Convolution(32, 2, 1)
    return first, second


def feature_map(encoder: str, height: int, width: int) -> tuple[int, int, int] | None:
    """Computes the shape of what an encoder's convolutions give.

    Args:
        encoder: a choice of ``model.vis_encoder``.
        height: of the image, in pixels.
        width: of the image, in pixels.

    Returns:
        Channels, height and width; None where the image is too small.
    """
    layers: tuple[Convolution, ...] = CNN
    if encoder == "rescnn":
        layers = RESIDUAL
    elif encoder == "smallimpala":
        layers = small_impala(height, width)
    for _, size, stride in layers:
        height, width = _side(height, size, stride), _side(width, size, stride)
        if encoder == "rescnn":
            height, width = (
                _side(side + 2 * POOL_PADDING, POOL_SIZE, POOL_STRIDE) for side in (height, width)
            )
    return (layers[-1].channels, height, width) if min(height, width) > 0 else None


def allowed_sizes(encoder: str) -> str:
    """Tells the square images that are large enough for an encoder.

    >>> allowed_sizes("smallimpala")
    '6 x 6 to 9 x 9, or 20 x 20 and more'
    """
    fitting = [side for side in _SIDES if feature_map(encoder, side, side) is not None]
    texts = []
    for _, run in itertools.groupby(enumerate(fitting), lambda pair: pair[1] - pair[0]):
        (_, first), *_, (_, last) = run
        end = "and more" if last == _SIDES[-1] else f"to {last} x {last}"
        texts.append(f"{first} x {first} {end}")
    return ", or ".join(texts)


def _side(side: int, size: int, stride: int) -> int:
    """Windows along a side; 0 or less where none fits."""
    return (side - size) // stride + 1
