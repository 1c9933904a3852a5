"""Tests the written-out gradients of dense networks against autograd's, bit for bit."""

from __future__ import annotations

from unittest import mock

import pytest
import torch
from torch import nn

from neroRL.acting.actor import Actor
from neroRL.config.checks import build
from neroRL.config.schema import ModelConfig, RecurrenceConfig
from neroRL.environments.factory import make_vector
from neroRL.environments.specification import Binary, Continuous, EnvironmentSpec, Mixed
from neroRL.models.actor_critic import ActorCritic, seeded_model
from neroRL.models.bfloat16 import LinearInBfloat16
from neroRL.models.dense import DenseNetwork
from neroRL.models.heads import Heads
from neroRL.training import checkpoint as checkpoints
from neroRL.training import update
from neroRL.training.rollout import collect
from neroRL.training.trainer import train

NUMBERS = Continuous((-1.0, -2.0, 0.0), (1.0, 2.0, 3.0))
SMALL = {"num_vec_encoder_units": 16, "num_hidden_units": 24}
DENSE = {
    "choices": ((4,), {}),
    "branches": ((4, 2, 3), {"num_hidden_layers": 2}),
    "bits": (Binary(5), {"num_hidden_layers": 1}),
    "numbers": (NUMBERS, {"log_std_init": -1.0}),
    "one number": (Continuous((-2.0,), (2.0,)), {"num_hidden_layers": 2}),
    "no encoder": (NUMBERS, {"vec_encoder": "none", "num_hidden_layers": 2}),
}


def _model(actions, settings, visual=None) -> ActorCritic:
    shapes = EnvironmentSpec(visual, "uint8", 7, actions, 10)
    return seeded_model(ModelConfig(**{**SMALL, **settings}), shapes, 3)


@pytest.mark.parametrize("case", DENSE)
@pytest.mark.parametrize("rows", [1, 64, 150])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_outputs_and_gradients_equal_those_of_autograd(case, rows, dtype):
    model = _model(*DENSE[case]).to(dtype)
    network = model.dense_network()
    assert network is not None
    generator = torch.Generator().manual_seed(rows)
    for _ in range(2):  # the second time, gradients are there already
        vectors = torch.randn((rows, 7), generator=generator).to(dtype)
        recorded = model.features({"vector": vectors})
        gradient = torch.randn(recorded.shape, generator=generator).to(dtype)
        parameters = list(model.parameters())
        expected = torch.autograd.grad(recorded, parameters, gradient)
        outputs = network.outputs(vectors)
        network.backward(gradient)
        assert torch.equal(outputs, recorded)
        for parameter, of_autograd in zip(parameters, expected, strict=True):
            assert torch.equal(parameter.grad, of_autograd)
            assert of_autograd.any()


@pytest.mark.parametrize(
    ("actions", "settings", "visual"),
    [
        ((4,), {"activation": "elu"}, None),
        ((4,), {"recurrence": {"hidden_state_size": 8}}, None),
        ((4,), {}, (36, 36, 3)),
        (Mixed((Binary(2), NUMBERS)), {}, None),
    ],
)
def test_any_other_network_is_left_to_autograd(actions, settings, visual):
    settings = build({"model": settings}).model
    shapes = EnvironmentSpec(visual, "uint8", 7, actions, 10)
    assert ActorCritic(settings, shapes).dense_network() is None


def test_a_compiled_network_is_left_to_its_compiler():
    compiled = _model((4,), {})
    assert compiled.dense_network() is not None
    compiled.compile_layers()
    assert compiled.dense_network() is None


LARGE = {"num_vec_encoder_units": 512, "num_hidden_units": 512}


def _lowered(actions, settings) -> tuple[ActorCritic, ActorCritic]:
    """Returns a network with layers in bfloat16, and the same one in float32."""
    lowered, plain = (_model(actions, {**LARGE, **settings}) for _ in range(2))
    generator = torch.Generator().manual_seed(5)
    for name, parameter in plain.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.1, generator=generator)
    lowered.load_state_dict(plain.state_dict())
    assert lowered.use_bfloat16(rows=4096)
    return lowered, plain


def _rounded_outputs(parts, heads, units: torch.Tensor) -> torch.Tensor:
    """Computes outputs layer by layer, rounding where bfloat16 does."""

    def of_layer(layer, units):
        if isinstance(layer, LinearInBfloat16):
            rounded = [Rounded.apply(numbers) for numbers in (units, layer.weight, layer.bias)]
            return Rounded.apply(nn.functional.linear(*rounded))
        return layer(units)

    for part in (*parts, heads.hidden):
        for layer in part.modules():
            if isinstance(layer, nn.Linear):
                units = of_layer(layer, units).relu()
    for_policy, for_value = units.chunk(2, dim=-1)
    return torch.cat((heads.policy(for_policy), heads.value(for_value)), dim=-1)


class Rounded(torch.autograd.Function):
    """Rounds to bfloat16, forward and backward."""

    @staticmethod
    def forward(ctx, numbers):
        return numbers.to(torch.bfloat16).to(numbers.dtype)

    @staticmethod
    def backward(ctx, above):
        return above.to(torch.bfloat16).to(above.dtype)


@pytest.mark.parametrize("case", ["choices", "branches", "numbers"])
@pytest.mark.parametrize("rows", [64, 150, 512])
def test_layers_in_bfloat16_have_the_gradients_of_rounded_numbers(case, rows):
    model, plain = _lowered(*DENSE[case])
    network, parameters = model.dense_network(), list(model.parameters())
    assert any(isinstance(layer, LinearInBfloat16) for layer in model.modules())
    generator = torch.Generator().manual_seed(rows)
    vectors, gradient = (
        torch.randn((rows, size), generator=generator) for size in (7, model.distribution.size + 1)
    )
    expected = _rounded_outputs([model.encoder.vector, model.hidden], model.heads, vectors)
    exact = torch.autograd.grad(expected, parameters, gradient)
    outputs = network.outputs(vectors)
    network.backward(gradient)
    found = [parameter.grad for parameter in parameters]
    assert _distance(outputs[:, -1], expected[:, -1]) < 0.0006
    for one, other in zip(found, exact, strict=True):
        assert one.dtype == torch.float32
        assert _distance(one, other) < 0.01  # where rounded sums differ, a unit may not act
    # Rounding is what makes them differ from those of float32.
    of_float32 = plain.features({"vector": vectors})
    assert _distance(outputs[:, -1], of_float32[:, -1]) > 0.001
    of_autograd = torch.autograd.grad(of_float32, list(plain.parameters()), gradient)
    assert max(map(_distance, found, of_autograd)) > 0.03


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Returns the norm of the difference, relative to that of the second."""
    return float(((one - other).norm() / other.norm()).detach())


@pytest.mark.parametrize("rows", [(16,), (70,), (150,), (6, 30)])
@pytest.mark.parametrize("low", [False, True])
def test_a_readout_is_differentiable_in_its_inputs_and_all_weights(rows, low):
    lowered, plain = _lowered((4,), {"num_hidden_layers": 1})
    model = lowered if low else plain
    network = DenseNetwork.of([model.hidden], model.heads)
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn((*rows, 512), generator=generator, requires_grad=True)
    outputs = network.readout(inputs)
    assert outputs.shape == (*rows, 5)
    above = torch.randn(outputs.shape, generator=generator)
    parameters = [*model.hidden.parameters(), *model.heads.parameters()]
    found = torch.autograd.grad(outputs, [inputs, *parameters], above)
    reference = _rounded_outputs([model.hidden], model.heads, inputs)
    expected = torch.autograd.grad(reference, [inputs, *parameters], above)
    for one, other in zip(found, expected, strict=True):
        assert _distance(one, other) < (0.01 if low else 1e-6)


@pytest.mark.parametrize("memory", [{}, {"recurrence": RecurrenceConfig(hidden_state_size=512)}])
@pytest.mark.parametrize("hidden_units", [512, 128])  # those of 128 are multiplied in float32
def test_few_rows_of_a_rollout_round_as_those_of_an_update_do(memory, hidden_units):
    settings = {"num_hidden_layers": 2, "num_hidden_units": hidden_units}
    lowered, plain = _lowered((4,), {**settings, **memory})
    units = torch.randn((512, 512), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        of_update, of_float32 = lowered._readout(units)[:16], plain._readout(units)[:16]
        lowered.begin_rollout()
        of_rollout = lowered._readout(units[:16])
    assert _distance(of_rollout, of_update) < 0.0006
    assert _distance(of_float32, of_update) > 0.001


def test_a_network_in_bfloat16_can_be_moved():
    """As one that was trained on a CPU and plays on a GPU: its weights get other memory."""
    lowered, plain = _lowered((4,), {"recurrence": RecurrenceConfig(hidden_state_size=8)})
    lowered.begin_rollout()
    for one, other in zip(lowered.parameters(), plain.parameters(), strict=True):
        one.data = other.data.clone().mul_(1.5)
        other.data.mul_(1.5)
    remembered = torch.ones(3, 8)
    with torch.no_grad():
        assert _distance(lowered._readout(remembered), plain._readout(remembered)) < 0.02


def test_compiled_layers_are_used_in_bfloat16_too():
    lowered, _ = _lowered((4,), {"recurrence": RecurrenceConfig(hidden_state_size=8)})
    of_heads = mock.patch.object(Heads, "forward", autospec=True, side_effect=Heads.forward)
    with mock.patch.object(nn.Module, "compile"), of_heads as heads:
        lowered.compile_layers()
        with torch.no_grad():
            lowered._readout(torch.ones(3, 8))
    heads.assert_called_once()


@pytest.mark.parametrize("name", ["weight", "bias"])
@pytest.mark.parametrize("low", [False, True])
def test_frozen_weights_are_not_used_after_a_change(low, name):
    model = _lowered((4,), {})[0 if low else 1]
    network, vectors = model.dense_network(), torch.ones(3, 7)
    network.begin_rollout()
    with torch.no_grad():
        before = network.outputs(vectors)
        getattr(model.heads.hidden, name).mul_(2.0)
        after = network.outputs(vectors)
    assert not torch.equal(after, before)
    assert torch.equal(after, model.dense_network().outputs(vectors))


def test_a_training_with_autograd_has_the_same_weights(tmp_path):
    config = build(
        {
            "environment": {"type": "Gymnasium", "name": "Pendulum-v1"},
            "model": SMALL,
            "sampler": {"n_workers": 2, "worker_steps": 32},
            "trainer": {"updates": 3},
            "seed": 3,
            "threads": 1,
            "device": "cpu",
        }
    )
    backward = mock.patch.object(
        DenseNetwork, "backward", autospec=True, side_effect=DenseNetwork.backward
    )
    with backward as written_out:
        train(config, tmp_path / "written out")
        assert written_out.call_count == 3 * 4 * 4
        # Rollouts stay as they are: without it, their last bits may differ.
        forward = update._forward

        def recorded(model, dense, *others):
            return forward(model, None, *others)

        with mock.patch.object(update, "_forward", recorded):
            train(config, tmp_path / "recorded")
        assert written_out.call_count == 3 * 4 * 4
    weights = [
        checkpoints.load(
            checkpoints.checkpoint_path(tmp_path / name, "default", 3), torch.device("cpu")
        ).model
        for name in ("written out", "recorded")
    ]
    for name, values in weights[0].items():
        assert torch.equal(values, weights[1][name]), name


def test_every_rollout_acts_with_the_weights_of_its_time():
    """Its features are of frozen weights, which must not outlast an update."""
    config = build({"environment": {"type": "Gymnasium", "name": "Pendulum-v1"}, "model": SMALL})
    environment = make_vector(config.environment, 2, seed=3)
    environment.restart()
    model = seeded_model(config.model, environment.specification, 3)
    actor = Actor(model, 2, torch.Generator().manual_seed(3))
    for factor in (1.0, 1.5):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(factor)
            rollout = collect(environment, actor, 16, config.trainer)
            seen = rollout.observations["vector"][torch.from_numpy(rollout.rows.reshape(-1))]
            outputs = model.features({"vector": seen})
        torch.testing.assert_close(rollout.values, outputs[:, -1])
        evaluated = model.distribution.at(outputs[:, :-1], rollout.actions)
        torch.testing.assert_close(rollout.log_probs, evaluated.log_probs)
