"""Encoders of images and vectors.

Shapes: R rows, (height, width, channels) images as environments give them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neroRL.config.schema import ModelConfig
from neroRL.environments.specification import VECTOR, VISUAL, EnvironmentSpec
from neroRL.errors import ConfigError, Problem
from neroRL.models.initialisation import orthogonal_

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "swish": nn.SiLU,
    "gelu": nn.GELU,
}


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
                self.vector = nn.Sequential(layer, ACTIVATIONS[config.activation]())
                size = config.num_vec_encoder_units
            self.output_size += size

    def forward(self, observation: dict[str, Tensor]) -> Tensor:
        """Encodes observations.

        Args:
            observation: ``visual`` (R, height, width, channels), ``vector`` (R, length).

        Returns:
            Features of shape (R, F).
        """
        features = []
        if self.visual is not None:
            # The permuted view is what torch calls channels-last: convolutions take it as it is.
            image = observation[VISUAL].permute(0, 3, 1, 2)
            dtype = next(self.visual.parameters()).dtype
            features.append(self.visual(image.to(dtype) / 255.0 if self._scaled else image))
        if self.vector is not None:
            features.append(self.vector(observation[VECTOR]))
        return features[0] if len(features) == 1 else torch.cat(features, dim=1)


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
