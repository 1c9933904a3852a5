"""Distinct receptive fields: convolutions of images that share most of their patches.

A convolution computes the same function of every patch. Images made of tiles repeat few patches
many times, within an image and between images: 237 views of MiniGrid, 84 x 84 pixels each, have
94,800 patches of 8 x 8, of which 143 differ. Here each distinct one is computed once, layer by
layer: a field of a layer is a window of fields of the layer below. Results and gradients are the
same sums as those of the convolutions.

Shapes: R images, n_l distinct fields of layer l, P positions of the last layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from neroRL.models.bfloat16 import LOW, ConvolutionInBfloat16, product

# A sample of the images is searched first, to find out whether they share enough.
SAMPLE = 32
# Larger tables are not searched: it takes memory, and so many images rarely share much.
MOST_IMAGES = 1024
# Largest share of the convolutions' work at which computing distinct fields pays.
MOST_WORK = 0.5


class Kernel(NamedTuple):
    """The part of an image that a convolution without padding sees at a time.

    Attributes:
        size: side of the window.
        stride: between windows.
        work: multiplications per window.
    """

    size: int
    stride: int
    work: int


class Fields(NamedTuple):
    """The distinct fields of some images.

    Attributes:
        patches: of the first layer, uint8 of shape (n_1, size · size · channels).
        layers: for each further layer, its fields as fields of the layer below, shape
            (n_l, size · size).
        images: fields of the last layer at each position, shape (R, P).
    """

    patches: Tensor
    layers: tuple[Tensor, ...]
    images: Tensor


class FieldTable:
    """The distinct fields of a table of images, indexed by row.

    Args:
        images: uint8 of shape (R, height, width, channels).
        kernels: of the layers, the first one first.
    """

    def __init__(self, images: np.ndarray, kernels: Sequence[Kernel]) -> None:
        below = images
        self._layers: list[np.ndarray] = []
        self.work, self.work_of_all = 0, 0
        for kernel in kernels:
            distinct, numbers = distinct_windows(below, kernel.size, kernel.stride)
            self._layers.append(distinct)
            self.work += len(distinct) * kernel.work
            self.work_of_all += numbers.size * kernel.work
            below = numbers[..., None].astype(np.int32)
        self._images = below.reshape(len(images), -1)

    def __getitem__(self, rows: Tensor) -> Fields:
        """Returns the fields of some rows, shape (R,) on the CPU."""
        above = self._images[rows.numpy()]
        images, kept = _renumbered(above, len(self._layers[-1]))
        layers = []
        for layer in range(len(self._layers) - 1, 0, -1):
            fields, below = _renumbered(
                self._layers[layer].view(np.int32)[kept], len(self._layers[layer - 1])
            )
            layers.append(torch.from_numpy(fields))
            kept = below
        patches = torch.from_numpy(self._layers[0][kept])
        return Fields(patches, tuple(reversed(layers)), torch.from_numpy(images))


def field_table(images: np.ndarray, kernels: Sequence[Kernel]) -> FieldTable | None:
    """Returns the fields of images that share enough patches; None if that does not pay."""
    if images.dtype != np.uint8 or len(images) > MOST_IMAGES:
        return None
    if len(images) > SAMPLE and not _pays(FieldTable(images[:SAMPLE], kernels)):
        return None
    table = FieldTable(images, kernels)
    return table if _pays(table) else None


def distinct_windows(array: np.ndarray, size: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Finds equal windows.

    Args:
        array: shape (R, height, width, depth).
        size: side of a window.
        stride: between windows.

    Returns:
        The distinct windows as bytes, uint8 of shape (n, size · size · depth · item size), and the
        number of each window, shape (R, windows down, windows across).
    """
    array = np.ascontiguousarray(array)
    images, height, width, _ = array.shape
    shape = (images, (height - size) // stride + 1, (width - size) // stride + 1)
    of_image, of_row, of_pixel, _ = array.strides
    # A row of a window is one item: copying them is quick.
    rows = np.ndarray(
        (*shape, size),
        np.dtype((np.void, size * of_pixel)),
        array.data,
        strides=(of_image, stride * of_row, stride * of_pixel, of_row),
    )
    windows = np.frombuffer(rows.tobytes(), np.uint8).reshape(-1, size * size * of_pixel)
    _, first, numbers = np.unique(_hashes(windows), return_index=True, return_inverse=True)
    if not np.array_equal(windows[first[numbers]], windows):  # two windows share a hash
        whole = windows.view(np.dtype((np.void, windows.shape[1])))[:, 0]
        _, first, numbers = np.unique(whole, return_index=True, return_inverse=True)
    return windows[first], numbers.reshape(shape)


def forward_fields(layers: Sequence[tuple[nn.Conv2d, nn.Module]], fields: Fields) -> Tensor:
    """Computes convolutions, each followed by an activation, of images given as fields.

    Args:
        layers: as many as the fields have.
        fields: of R images.

    Returns:
        Features of shape (R, channels · P), channel by channel as ``nn.Flatten`` gives them.
    """
    features = fields.patches.to(layers[0][0].weight.dtype) / 255.0
    for number, (convolution, activation) in enumerate(layers):
        if number > 0:
            below = nn.functional.embedding(fields.layers[number - 1], features)
            features = below.flatten(1)
        weight = convolution.weight.permute(0, 2, 3, 1).flatten(1)
        if isinstance(convolution, ConvolutionInBfloat16):
            outputs = product(features, weight, convolution.bias, weight.detach().to(LOW))
        else:
            outputs = nn.functional.linear(features, weight, convolution.bias)
        features = activation(outputs)
    return nn.functional.embedding(fields.images, features).transpose(1, 2).flatten(1)


def _pays(table: FieldTable) -> bool:
    return table.work <= MOST_WORK * table.work_of_all


def _hashes(windows: np.ndarray) -> np.ndarray:
    """Returns a number of 64 bits for each window; equal windows have equal ones."""
    words = -(-windows.shape[1] // 8)
    if windows.shape[1] % 8:
        windows = np.pad(windows, ((0, 0), (0, 8 * words - windows.shape[1])))
    factors = np.random.Generator(np.random.PCG64(0)).integers(0, 2**64, words, np.uint64) | 1
    hashes = np.zeros(len(windows), np.uint64)
    for word, factor in zip(windows.view(np.uint64).T, factors, strict=True):
        mixed = (word ^ (hashes >> np.uint64(29))) * factor
        hashes = (hashes ^ mixed) * np.uint64(0x9E3779B97F4A7C15)
    return hashes


def _renumbered(numbers: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Renumbers the numbers in use from 0; returns the new array and the old number of each."""
    occurs = np.zeros(count, np.bool_)
    occurs[numbers] = True
    new = np.cumsum(occurs) - 1
    return new[numbers], np.flatnonzero(occurs)
