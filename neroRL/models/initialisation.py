"""Orthogonal initialisation (Saxe et al. 2014)."""

from __future__ import annotations

import math
from typing import TypeVar

from torch import nn

GAIN = math.sqrt(2.0)


Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


def orthogonal_(layer: Layer, gain: float = GAIN) -> Layer:
    """Initialises a layer in place: orthogonal weights, biases 0; returns it."""
    nn.init.orthogonal_(layer.weight, gain)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
