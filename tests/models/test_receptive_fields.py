"""Compares distinct receptive fields with convolutions of whole images: features and gradients."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neroRL.acting.actor import Actor
from neroRL.config.schema import Config, EnvironmentConfig, ModelConfig
from neroRL.environments.factory import make_vector
from neroRL.environments.specification import VISUAL, EnvironmentSpec
from neroRL.models import receptive_fields
from neroRL.models.actor_critic import ActorCritic
from neroRL.models.encoders import Encoder
from neroRL.models.receptive_fields import FieldTable, distinct_windows, field_table
from neroRL.training.optimizer import FusedAdamW
from neroRL.training.rollout import collect
from neroRL.training.schedules import hyperparameters
from neroRL.training.update import update

SPECIFICATION = EnvironmentSpec(visual=(84, 84, 3), visual_dtype="uint8", vector=None, actions=(3,))
CPU = torch.device("cpu")


def _tiled(count: int, seed: int = 0) -> np.ndarray:
    """Returns images of 3 x 3 tiles; there are four kinds of tiles."""
    generator = np.random.default_rng(seed)
    tiles = generator.integers(256, size=(4, 28, 28, 3)).astype(np.uint8)
    chosen = tiles[generator.integers(4, size=(count, 3, 3))]
    return np.ascontiguousarray(chosen.transpose(0, 1, 3, 2, 4, 5).reshape(count, 84, 84, 3))


def _encoder(kind: str) -> Encoder:
    torch.manual_seed(0)
    config = ModelConfig(vis_encoder=kind, activation="gelu")
    return Encoder(config, SPECIFICATION).double()


@settings(max_examples=40)
@given(
    st.integers(1, 3), st.integers(4, 9), st.integers(4, 9), st.integers(1, 3), st.integers(1, 4),
    st.integers(1, 3), st.integers(0, 2**31),
)  # fmt: skip
def test_each_distinct_window_is_found_once(images, height, width, depth, size, stride, seed):
    array = np.random.default_rng(seed).integers(2, size=(images, height, width, depth), dtype="u1")
    windows, numbers = distinct_windows(array, size, stride)
    assert len(np.unique(windows, axis=0)) == len(windows)
    for image, row, column in np.ndindex(numbers.shape):
        y, x = row * stride, column * stride
        expected = array[image, y : y + size, x : x + size].reshape(-1)
        assert np.array_equal(windows[numbers[image, row, column]], expected)


def test_windows_with_equal_hashes_are_distinguished(monkeypatch):
    array = _tiled(3)
    windows, numbers = distinct_windows(array, 8, 4)
    monkeypatch.setattr(receptive_fields, "_hashes", lambda windows: np.zeros(len(windows), "u8"))
    others, other_numbers = distinct_windows(array, 8, 4)
    assert len(windows) == len(others)
    assert np.array_equal(windows[numbers], others[other_numbers])


@pytest.mark.parametrize("kind", ["cnn", "smallimpala"])
def test_features_and_gradients_equal_those_of_whole_images(kind):
    encoder = _encoder(kind)
    reference = copy.deepcopy(encoder)
    images = _tiled(40)
    table = encoder.table({VISUAL: images}, CPU)[VISUAL]
    assert isinstance(table, FieldTable)
    rows = torch.tensor([7, 31, 0, 7, 12])
    features = encoder({VISUAL: table[rows]})
    expected = reference({VISUAL: torch.from_numpy(images)[rows]})
    torch.testing.assert_close(features, expected, rtol=1e-12, atol=1e-12)
    weights = torch.randn(features.shape, dtype=torch.float64)
    (features * weights).sum().backward()
    (expected * weights).sum().backward()
    for parameter, other in zip(encoder.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, other.grad, rtol=1e-11, atol=1e-11)


def test_only_the_fields_of_the_given_rows_are_computed():
    encoder = _encoder("cnn")
    table = encoder.table({VISUAL: _tiled(200)}, CPU)[VISUAL]
    assert isinstance(table, FieldTable)
    one, all_of_them = table[torch.tensor([3])], table[torch.arange(200)]
    alone = FieldTable(_tiled(200)[3:4], encoder._kernels())
    assert len(one.patches) == len(alone[torch.tensor([0])].patches) < len(all_of_them.patches)
    assert [len(layer) for layer in one.layers] == [
        len(layer) for layer in alone[torch.tensor([0])].layers
    ]


def test_images_that_share_little_or_are_not_bytes_are_convolved_whole():
    windows = _encoder("cnn")._kernels()
    generator = np.random.default_rng(0)
    noise = generator.integers(256, size=(64, 84, 84, 3)).astype(np.uint8)
    assert field_table(noise, windows) is None
    assert field_table(np.concatenate((_tiled(32), noise)), windows) is None
    assert field_table(_tiled(64).astype(np.float32), windows) is None
    assert field_table(_tiled(64), windows) is not None


def test_encoders_with_other_layers_convolve_whole_images():
    encoder = _encoder("rescnn")
    assert isinstance(encoder.table({VISUAL: _tiled(40)}, CPU)[VISUAL], torch.Tensor)


def test_an_update_equals_one_of_whole_images(monkeypatch):
    """Trains MiniGrid from images in float64; the weights after four epochs are the same."""

    def trained() -> tuple[dict[str, torch.Tensor], bool]:
        config = Config(environment=EnvironmentConfig(name="MiniGrid-DoorKey-5x5-v0"))
        environment = make_vector(config.environment, 4, 0)
        torch.manual_seed(0)
        model = ActorCritic(config.model, environment.specification).double()
        environment.restart()
        actor = Actor(model, 4, torch.Generator().manual_seed(0))
        rollout = collect(environment, actor, 32, config.trainer)
        scheduled = hyperparameters(config.trainer, 0)
        shuffle = torch.Generator().manual_seed(0)
        update(model, FusedAdamW(model.parameters()), rollout, config.trainer, scheduled, shuffle)
        by_fields = isinstance(rollout.observations[VISUAL], FieldTable)
        return model.state_dict(), by_fields

    weights, by_fields = trained()
    monkeypatch.setattr(receptive_fields, "MOST_WORK", -1.0)
    expected, others = trained()
    assert (by_fields, others) == (True, False)
    for key, tensor in weights.items():
        torch.testing.assert_close(tensor, expected[key], rtol=1e-10, atol=1e-10)
