"""Encoders of images and vectors.

Shapes: R observations, images (height, width, channels) as environments give them, E numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from neroRL.config.convolutions import (
    CNN,
    POOL_PADDING,
    POOL_SIZE,
    POOL_STRIDE,
    RESIDUAL,
    Convolution,
    allowed_sizes,
    feature_map,
    small_impala,
)
from neroRL.config.schema import ModelConfig
from neroRL.environments.specification import VECTOR, VISUAL, EnvironmentSpec
from neroRL.errors import ConfigError, Problem
from neroRL.models.initialisation import GAIN, orthogonal_, xavier_
from neroRL.models.receptive_fields import (
    Fields,
    FieldTable,
    Kernel,
    field_table,
    forward_fields,
)
from neroRL.models.transfer import on_device

Observations = Mapping[str, Tensor | Fields]
"""``visual`` (R, height, width, channels) or its fields, ``vector`` (R, length)."""

SMALL_IMPALA_UNITS = 256

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "swish": nn.SiLU,
    "gelu": nn.GELU,
}


def activation_of_linear(name: str) -> nn.Module:
    """Makes the activation after a linear layer; ReLU overwrites its input."""
    return nn.ReLU(inplace=True) if name == "relu" else ACTIVATIONS[name]()


class Encoder(nn.Module):
    """Encodes an observation: its image, its vector, or both side by side.

    Args:
        config: of the model.
        specification: of the environment.

    Attributes:
        output_size: E, the size of an encoded observation.

    Raises:
        ConfigError: the image is too small for the encoder.
    """

    def __init__(self, config: ModelConfig, specification: EnvironmentSpec) -> None:
        super().__init__()
        self.output_size = 0
        self._scaled = specification.visual_dtype == "uint8"
        self.visual: nn.Sequential | None = None
        self.vector: nn.Module | None = None
        # Layers after the flattened convolutions, if the encoder has any.
        self.dense = nn.Sequential()
        if specification.visual is not None:
            self._add_image(config, *specification.visual)
        if specification.vector is not None:
            self.vector = nn.Identity()
            size = specification.vector
            if config.vec_encoder == "linear":
                layer = orthogonal_(nn.Linear(size, config.num_vec_encoder_units))
                self.vector = nn.Sequential(layer, activation_of_linear(config.activation))
                size = config.num_vec_encoder_units
            self.output_size += size

    def _add_image(self, config: ModelConfig, height: int, width: int, channels: int) -> None:
        encoder = config.vis_encoder
        shape = feature_map(encoder, height, width)
        if shape is None:
            message = f"{width} x {height} is too small for {encoder}"
            message = f"{message}; expected {allowed_sizes(encoder)}"
            raise ConfigError([Problem("environment.resize_vis_obs", message)])
        activation = ACTIVATIONS[config.activation]
        size = math.prod(shape)
        if encoder == "rescnn":
            layers = _residual_cnn(channels, activation)
        elif encoder == "smallimpala":  # always rectified
            plain = small_impala(height, width)
            layers = _convolutions(channels, plain, nn.ReLU, lambda conv: xavier_(conv, GAIN))
            dense = xavier_(nn.Linear(size, SMALL_IMPALA_UNITS), GAIN)
            self.dense = nn.Sequential(dense, nn.ReLU(inplace=True))
            size = SMALL_IMPALA_UNITS
        else:
            layers = _convolutions(channels, CNN, activation, orthogonal_)
        self.visual = nn.Sequential(*layers, nn.Flatten())
        self.output_size = size

    def forward(self, observation: Observations) -> Tensor:
        """Encodes R observations; returns shape (R, E)."""
        parts = []
        if self.visual is not None:
            parts.append(self._encoded(observation[VISUAL]))
        if self.vector is not None:
            parts.append(self.vector(observation[VECTOR]))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def table(
        self, observations: Mapping[str, np.ndarray], device: torch.device
    ) -> dict[str, Tensor | FieldTable]:
        """Makes a table of observations, whose rows are inputs of :meth:`forward`.

        Args:
            observations: arrays of R each.
            device: of the encoder.

        Returns:
            Tensors on the device, or fields for images that share most of their patches.
        """
        tables: dict[str, Tensor | FieldTable] = {}
        for key, array in observations.items():
            fields = None
            if key == VISUAL and self._layers and device.type == "cpu":
                fields = field_table(array, self._kernels())
            tables[key] = on_device(array, device) if fields is None else fields
        return tables

    def _encoded(self, images: Tensor | Fields) -> Tensor:
        if isinstance(images, Fields):
            from_fields: Tensor = self.dense(forward_fields(self._layers, images))
            return from_fields
        assert self.visual is not None
        # The permuted view is what torch calls channels-last: convolutions take it as it is.
        image = images.permute(0, 3, 1, 2)
        dtype = next(self.visual.parameters()).dtype
        encoded: Tensor = self.dense(
            self.visual(image.to(dtype) / 255.0 if self._scaled else image)
        )
        return encoded

    def _kernels(self) -> list[Kernel]:
        """Returns the window of each convolution."""
        return [
            Kernel(layer.kernel_size[0], layer.stride[0], layer.weight.numel())
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


def _convolutions(
    channels: int,
    plain: Sequence[Convolution],
    activation: type[nn.Module],
    initialised: Callable[[nn.Conv2d], nn.Conv2d],
) -> list[nn.Module]:
    """Makes convolutions without padding, each followed by an activation.

    ``cnn`` is the encoder of Mnih et al. 2015, ``smallimpala`` the shallow one of Espeholt et al.
    2018.
    """
    layers: list[nn.Module] = []
    for width, size, stride in plain:
        layers += [initialised(nn.Conv2d(channels, width, size, stride)), activation()]
        channels = width
    return layers


def _residual_cnn(channels: int, activation: type[nn.Module]) -> list[nn.Module]:
    """Returns the deep residual encoder of Espeholt et al. 2018, as in Raileanu and Fergus 2021."""
    layers: list[nn.Module] = []
    for width, size, stride in RESIDUAL:
        layers += [
            xavier_(nn.Conv2d(channels, width, size, stride)),
            nn.MaxPool2d(POOL_SIZE, POOL_STRIDE, POOL_PADDING),
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
            xavier_(nn.Conv2d(channels, channels, 3, padding=1)),
            activation(),
            xavier_(nn.Conv2d(channels, channels, 3, padding=1)),
        )

    def forward(self, image: Tensor) -> Tensor:
        result: Tensor = image + self.layers(image)
        return result
