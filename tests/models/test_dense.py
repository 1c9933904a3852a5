"""Tests the written-out gradients of dense networks against autograd's, bit for bit."""

from __future__ import annotations

from unittest import mock

import pytest
import torch

from neroRL.acting.actor import Actor
from neroRL.config.checks import build
from neroRL.config.schema import ModelConfig
from neroRL.environments.factory import make_vector
from neroRL.environments.specification import Binary, Continuous, EnvironmentSpec, Mixed
from neroRL.models.actor_critic import ActorCritic, seeded_model
from neroRL.models.dense import DenseNetwork
from neroRL.training import checkpoint as checkpoints
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
    network = DenseNetwork.of(model)
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
    assert DenseNetwork.of(ActorCritic(settings, shapes)) is None


def test_layers_in_bfloat16_and_compiled_ones_are_left_as_they_are():
    rounded, compiled = (_model((4,), {"num_hidden_units": 512}) for _ in range(2))
    assert DenseNetwork.of(rounded) is not None
    rounded.use_bfloat16()
    compiled.compile_layers()
    assert DenseNetwork.of(rounded) is None
    assert DenseNetwork.of(compiled) is None


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
        with mock.patch("neroRL.training.update.DenseNetwork") as in_update:
            in_update.of.return_value = None
            train(config, tmp_path / "recorded")
        assert written_out.call_count == 3 * 4 * 4
    weights = [
        checkpoints.load(
            checkpoints.checkpoint_path(tmp_path / name, "default", 3), torch.device("cpu")
        )["model"]
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
