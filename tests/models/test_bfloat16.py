"""Compares layers that multiply in bfloat16 with exact arithmetic on rounded numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from neroRL.config.checks import build
from neroRL.environments.factory import specification
from neroRL.models.actor_critic import ActorCritic
from neroRL.models.bfloat16 import (
    LOW,
    ConvolutionInBfloat16,
    LinearInBfloat16,
    filled,
    lower,
    product,
)
from neroRL.models.receptive_fields import Kernel, field_table, forward_fields
from neroRL.training.optimizer import FusedAdamW

ROUNDING = 2.0**-8  # of one number: half of the distance between neighbours, relative


def _rounded(numbers: torch.Tensor) -> torch.Tensor:
    return numbers.to(LOW).double()


@pytest.mark.parametrize("rows", [0, 1, 16, 53, 130])
def test_a_product_and_its_gradients_are_those_of_rounded_numbers(rows):
    generator = torch.Generator().manual_seed(rows)
    inputs, weight, above = (
        torch.randn(shape, generator=generator) for shape in ((rows, 96), (40, 96), (rows, 40))
    )
    inputs.requires_grad_()
    weight.requires_grad_()
    outputs = product(inputs, weight, None, weight.detach().to(LOW))
    d_inputs, d_weight = torch.autograd.grad(outputs, (inputs, weight), above)
    x, w, d = _rounded(inputs.detach()), _rounded(weight.detach()), _rounded(above)
    for found, exact in ((outputs, x @ w.t()), (d_inputs, d @ w), (d_weight, d.t() @ x)):
        assert found.dtype == torch.float32
        # Sums in float32 may cancel, so their rounding is relative to the largest numbers.
        torch.testing.assert_close(found.double(), exact, rtol=ROUNDING, atol=1e-4)


def test_a_layer_adds_its_bias_in_float32_and_takes_any_leading_shape():
    layer = nn.Linear(1024, 16)
    lower(layer)
    nn.init.zeros_(layer.weight)
    nn.init.constant_(layer.bias, 1.001)  # no number of bfloat16
    outputs = layer(torch.ones(2, 16, 1024))
    assert outputs.shape == (2, 16, 16)
    assert (outputs == torch.tensor(1.001)).all()
    assert layer(torch.ones(3, 0, 1024)).shape == (3, 0, 16)  # a transformer without columns
    outputs.sum().backward()
    assert layer.bias.grad.tolist() == [32.0] * 16
    assert (layer.weight.grad == 32.0).all()


def test_changed_weights_are_rounded_anew():
    layer = nn.Linear(1024, 1024)
    lower(layer)
    inputs = torch.ones(32, 1024)
    optimizer = FusedAdamW(layer.parameters())

    def check():
        with torch.no_grad():
            expected = _rounded(inputs) @ _rounded(layer.weight).t() + layer.bias
            torch.testing.assert_close(
                layer(inputs).double(), expected.double(), rtol=0.01, atol=1e-3
            )

    check()
    layer(inputs).sum().backward()
    optimizer.step(learning_rate=0.5)
    check()
    layer.load_state_dict({"weight": torch.full((1024, 1024), 3.0), "bias": torch.zeros(1024)})
    check()
    with torch.no_grad():
        layer.weight.mul_(2.0)
    check()
    layer.to(torch.device("cpu"))
    layer.weight.data = torch.full((1024, 1024), -7.0)
    check()


def test_a_convolution_is_that_of_rounded_numbers():
    generator = torch.Generator().manual_seed(0)
    layer = nn.Conv2d(4, 6, 5, 2)
    lower(layer)
    images = torch.randn((3, 4, 12, 12), generator=generator, requires_grad=True)
    outputs = layer(images)
    x, w, b = _rounded(images.detach()), _rounded(layer.weight), layer.bias.double()
    sums = functional.conv2d(x, w, None, 2)  # rounded before the bias is added
    torch.testing.assert_close(
        outputs.double() - b[:, None, None], sums, rtol=2 * ROUNDING, atol=1e-6
    )
    outputs.sum().backward()
    assert images.grad.shape == images.shape
    assert layer.weight.grad.dtype == torch.float32
    assert layer.bias.grad.tolist() == [outputs[:, 0].numel()] * 6


def test_distinct_fields_give_what_the_convolutions_give():
    layers = [(nn.Conv2d(3, 8, 8, 4), nn.ReLU()), (nn.Conv2d(8, 4, 4, 2), nn.ReLU())]
    for layer, _ in layers:
        lower(layer)
    tiles = torch.randint(0, 256, (2, 4, 4, 3), dtype=torch.uint8)
    images = tiles[torch.randint(0, 2, (40, 7, 7))].permute(0, 1, 3, 2, 4, 5)
    images = images.reshape(40, 28, 28, 3)
    table = field_table(images.numpy(), [Kernel(8, 4, 1), Kernel(4, 2, 1)])
    assert table is not None
    found = forward_fields(layers, table[torch.arange(40)])
    plain = nn.Sequential(*(module for pair in layers for module in pair), nn.Flatten())
    expected = plain(images.permute(0, 3, 1, 2).float() / 255.0)
    # Sums of another order may be rounded to the neighbour; all others have the same digits.
    apart = (found - expected).abs()
    assert (apart > 1e-6).float().mean() < 0.02
    assert apart.max() < 2 * ROUNDING * expected.abs().max()


VECTOR = {"type": "MinigridVec", "name": "MiniGrid-MemoryS7-v0"}
IMAGE = {"type": "Minigrid", "name": "MiniGrid-Empty-Random-5x5-v0"}
NETWORKS = {
    "numbers": ({"type": "CartPole", "name": "CartPole-v1"}, {}, {"hidden.0", "heads.hidden"}),
    "gru": (
        VECTOR,
        {"recurrence": {"hidden_state_size": 128}},
        {"memory.embedding.0", "memory.projections.0", "hidden.0", "heads.hidden"},
    ),
    "image": (
        IMAGE,
        {},
        {"encoder.visual.2", "encoder.visual.4", "hidden.0", "heads.hidden"},
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_large_layers_are_lowered_and_no_weight_is(name):
    environment, model, expected = NETWORKS[name]
    config = build({"environment": environment, "model": {"num_hidden_layers": 1, **model}})
    shapes = specification(config.environment)
    network = ActorCritic(config.model, shapes)
    keys = list(network.state_dict())
    assert network.use_bfloat16(rows=4096)
    lowered = {
        path
        for path, module in network.named_modules()
        if isinstance(module, LinearInBfloat16 | ConvolutionInBfloat16)
    }
    assert lowered == expected
    assert list(network.state_dict()) == keys
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("rows", "layers"), [(63, []), (64, ["heads.hidden"]), (512, ["hidden.0", "heads.hidden"])]
)
def test_layers_that_few_rows_pass_stay_in_float32(rows, layers):
    config = build({"environment": NETWORKS["numbers"][0], "model": {"num_hidden_layers": 1}})
    network = ActorCritic(config.model, specification(config.environment))
    names = {module: path for path, module in network.named_modules()}
    assert [names[layer] for layer in network.large_layers(rows)] == layers
    assert network.use_bfloat16(rows) == bool(layers)
    assert sum(isinstance(one, LinearInBfloat16) for one in network.modules()) == len(layers)


def test_rows_are_filled_up_by_an_eighth_or_15_and_have_few_sizes():
    for rows in range(1, 5000):
        assert rows <= filled(rows) <= max(rows + 15, 1.125 * rows)
    assert len({filled(rows) for rows in range(1, 4097)}) < 80
