"""Encoders of images and vectors.

Shapes: R rows, (height, width, channels) images as environments give them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from neroRL.config.schema import ModelConfig
from neroRL.environments.specification import VECTOR, VISUAL, EnvironmentSpec
from neroRL.errors import ConfigError, Problem
from neroRL.models.initialisation import orthogonal_
from neroRL.models.receptive_fields import (
    Fields,
    FieldTable,
    Window,
    field_table,
    forward_fields,
)
from neroRL.models.transfer import on_device

Observations = Mapping[str, Tensor | Fields]
"""``visual`` (R, height, width, channels) or its fields, ``vector`` (R, length)."""

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "swish": nn.SiLU,
    "gelu": nn.GELU,
}


def activation_of_linear(name: str) -> nn.Module:
    """An activation of what a linear layer gives and nothing else reads: ReLU overwrites it."""
    return nn.ReLU(inplace=True) if name == "relu" else ACTIVATIONS[name]()


class Encoder(nn.Module):
    """Encodes an observation: its image, its vector, or both side by side.

    Args:
        config: of the model.
        specification: of the environment.

    Attributes:
        output_size: number of features F.

    Raises:
        ConfigError: the image is too small for the encoder.
    """

    def __init__(self, config: ModelConfig, specification: EnvironmentSpec) -> None:
        super().__init__()
        self.output_size = 0
        self._scaled = specification.visual_dtype == "uint8"
        self.visual: nn.Module | None = None
        self.vector: nn.Module | None = None
        if specification.visual is not None:
            height, width, channels = specification.visual
            self.visual = nn.Sequential(
                *VISUAL_ENCODERS[config.vis_encoder](channels, ACTIVATIONS[config.activation]),
                nn.Flatten(),
            )
            self.output_size += _size_of_output(self.visual, height, width, channels)
        if specification.vector is not None:
            self.vector = nn.Identity()
            size = specification.vector
            if config.vec_encoder == "linear":
                layer = orthogonal_(nn.Linear(size, config.num_vec_encoder_units))
                self.vector = nn.Sequential(layer, activation_of_linear(config.activation))
                size = config.num_vec_encoder_units
            self.output_size += size

    def forward(self, observation: Observations) -> Tensor:
        """Encodes R observations; returns features of shape (R, F)."""
        features = []
        if self.visual is not None:
            features.append(self._encoded(observation[VISUAL]))
        if self.vector is not None:
            features.append(self.vector(observation[VECTOR]))
        return features[0] if len(features) == 1 else torch.cat(features, dim=1)

    def table(
        self, observations: Mapping[str, np.ndarray], device: torch.device
    ) -> dict[str, Tensor | FieldTable]:
        """Makes a table of observations, rows of which :meth:`forward` takes.

        Args:
            observations: arrays of R rows each.
            device: of the encoder.

        Returns:
            Tensors on the device; images that share most of their patches as their fields.
        """
        tables: dict[str, Tensor | FieldTable] = {}
        for key, array in observations.items():
            fields = None
            if key == VISUAL and self._layers and device.type == "cpu":
                fields = field_table(array, self._windows())
            tables[key] = on_device(array, device) if fields is None else fields
        return tables

    def _encoded(self, images: Tensor | Fields) -> Tensor:
        if isinstance(images, Fields):
            return forward_fields(self._layers, images)
        assert self.visual is not None
        # The permuted view is what torch calls channels-last: convolutions take it as it is.
        image = images.permute(0, 3, 1, 2)
        dtype = next(self.visual.parameters()).dtype
        encoded: Tensor = self.visual(image.to(dtype) / 255.0 if self._scaled else image)
        return encoded

    def _windows(self) -> list[Window]:
        """What each convolution sees at a time."""
        return [
            Window(layer.kernel_size[0], layer.stride[0], layer.weight.numel())
            for layer, _ in self._layers
        ]

    @property
    def _layers(self) -> list[tuple[nn.Conv2d, nn.Module]]:
        """The convolutions and their activations, if the visual encoder has nothing else."""
        layers = [] if self.visual is None else list(self.visual.children())[:-1]
        pairs = list(zip(layers[::2], layers[1::2], strict=False))
        plain = all(isinstance(first, nn.Conv2d) and not any(first.padding) for first, _ in pairs)
        known = all(type(second) in ACTIVATIONS.values() for _, second in pairs)
        return pairs if plain and known and len(layers) == 2 * len(pairs) else []  # type: ignore[return-value]


def _cnn(channels: int, activation: type[nn.Module]) -> list[nn.Module]:
    """The encoder of Mnih et al. 2015."""
    return [
        orthogonal_(nn.Conv2d(channels, 32, 8, 4)),
        activation(),
        orthogonal_(nn.Conv2d(32, 64, 4, 2)),
        activation(),
        orthogonal_(nn.Conv2d(64, 64, 3, 1)),
        activation(),
    ]


def _small_impala(channels: int, activation: type[nn.Module]) -> list[nn.Module]:
    """The shallow encoder of Espeholt et al. 2018."""
    return [
        orthogonal_(nn.Conv2d(channels, 16, 8, 4)),
        activation(),
        orthogonal_(nn.Conv2d(16, 32, 4, 2)),
        activation(),
    ]


def _residual_cnn(channels: int, activation: type[nn.Module]) -> list[nn.Module]:
    """The deep residual encoder of Espeholt et al. 2018."""
    layers: list[nn.Module] = []
    for width in (16, 32, 32):
        layers += [
            orthogonal_(nn.Conv2d(channels, width, 3, padding=1)),
            nn.MaxPool2d(3, stride=2, padding=1),
            _Residual(width, activation),
            _Residual(width, activation),
        ]
        channels = width
    return [*layers, activation()]


class _Residual(nn.Module):
    def __init__(self, channels: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            activation(),
            orthogonal_(nn.Conv2d(channels, channels, 3, padding=1)),
            activation(),
            orthogonal_(nn.Conv2d(channels, channels, 3, padding=1)),
        )

    def forward(self, image: Tensor) -> Tensor:
        result: Tensor = image + self.layers(image)
        return result


VISUAL_ENCODERS = {"cnn": _cnn, "rescnn": _residual_cnn, "smallimpala": _small_impala}


def _size_of_output(encoder: nn.Module, height: int, width: int, channels: int) -> int:
    try:
        with torch.no_grad():
            return int(encoder(torch.zeros(1, channels, height, width)).shape[1])
    except RuntimeError:
        message = f"{width} x {height} is too small for the encoder; 36 x 36 is the least for cnn"
        raise ConfigError([Problem("environment.resize_vis_obs", message)]) from None
