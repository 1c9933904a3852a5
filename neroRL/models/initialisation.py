"""Initial weights of layers: orthogonal (Saxe et al. 2014) or uniform (Glorot and Bengio 2010)."""

from __future__ import annotations

import math
from typing import TypeVar

from torch import nn

GAIN = math.sqrt(2.0)
POLICY_GAIN = 0.1  # √0.01, of the last layer of the policy

Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)


def orthogonal_(layer: Layer, gain: float = GAIN) -> Layer:
    """Initialises a layer in place: orthogonal weights, biases 0; returns it."""
    nn.init.orthogonal_(layer.weight, gain)
    return _without_bias(layer)


def xavier_(layer: Layer, gain: float = 1.0) -> Layer:
    """Initialises a layer in place: uniform weights after Glorot and Bengio, biases 0; returns it.

    Weights lie within gain · √(6 / (inputs + outputs)).
    """
    nn.init.xavier_uniform_(layer.weight, gain)
    return _without_bias(layer)


def _without_bias(layer: Layer) -> Layer:
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
