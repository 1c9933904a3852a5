"""A policy acts as it was trained to, and tells what it thought."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neroRL.acting.player import STEPS
from neroRL.acting.policy import Policy
from neroRL.config.schema import EnvironmentConfig, ModelConfig, RecurrenceConfig, TransformerConfig
from neroRL.environments.factory import specification
from neroRL.environments.specification import EnvironmentSpec
from neroRL.environments.vector.observation_table import ObservationTable
from neroRL.errors import ObservationError
from neroRL.models.actor_critic import ActorCritic
from neroRL.models.memory.interface import Pieces

CARTPOLE = EnvironmentConfig(type="CartPole", name="CartPole-v1")
SHAPES = specification(CARTPOLE)
GRU = {"recurrence": RecurrenceConfig(hidden_state_size=8)}
TRANSFORMER = {"transformer": TransformerConfig(num_blocks=2, embed_dim=8, num_heads=2,
                                                memory_length=5)}  # fmt: skip


def _policy(memory, **options) -> Policy:
    torch.manual_seed(4)
    model = ActorCritic(ModelConfig(num_hidden_units=16, **memory), SHAPES)
    return Policy(model, SHAPES, CARTPOLE, **options)


def _observations(count):
    return np.random.default_rng(1).normal(size=(count, 4)).astype(np.float32)


@pytest.mark.parametrize("memory", [{}, GRU, TRANSFORMER], ids=["none", "gru", "transformer"])
def test_decisions_are_those_of_the_network(memory):
    """Against the network over the whole episode at once, past the steps prepared at a time."""
    policy = _policy(memory)
    policy.reset(seed=3)
    observations = _observations(STEPS + 20)
    decided = [policy.decide({"vector": observation}) for observation in observations]
    model = policy.model
    with torch.no_grad():
        features = model.features({"vector": torch.from_numpy(observations)})
        count = len(observations)
        if "transformer" in memory:
            state = model.begin(1, torch.Generator())
            state.begin_rollout(count)
            outputs = torch.cat([state.step(features[i : i + 1]) for i in range(count)])
        else:
            before = torch.zeros(1, 8) if memory else None
            shape = (count, 1) if memory else (1, count)
            indices = torch.arange(count).view(shape)
            outputs = model.pieces(features, Pieces(indices, None, before, torch.ones(1).bool()))
        parts = torch.distributions.Categorical(logits=outputs[:, :2])
    torch.testing.assert_close(torch.tensor([one.value for one in decided]), outputs[:, 2])
    probabilities = np.stack([one.probabilities[0] for one in decided])
    np.testing.assert_allclose(probabilities, parts.probs, rtol=1e-4, atol=1e-6)
    entropies = torch.tensor([one.entropy for one in decided])
    torch.testing.assert_close(entropies, parts.entropy(), rtol=1e-4, atol=1e-5)
    # A decision is the action that the policy would take, and sampled from its probabilities.
    policy.reset(seed=3)
    actions = [policy.act({"vector": observation}).tolist() for observation in observations]
    assert actions == [one.action.tolist() for one in decided]
    assert 0.2 < np.mean(actions) < 0.8


@pytest.mark.parametrize("order", ["C", "F"])
def test_float_images_give_the_last_bits_of_an_evaluation(order):
    shapes = EnvironmentSpec((40, 40, 3), "float32", None, (3,))
    torch.manual_seed(4)
    policy = Policy(ActorCritic(ModelConfig(num_hidden_units=16), shapes), shapes, CARTPOLE)
    table = ObservationTable(shapes)
    generator = np.random.default_rng(1)
    for _ in range(4):
        image = generator.random((40, 40, 3), np.float32).copy(order=order)
        row = table.at(np.array([table.add({"visual": image})]))["visual"]
        with torch.no_grad():
            outputs = policy.model.begin(1, torch.Generator()).step(
                policy.model.features({"visual": torch.from_numpy(row)})
            )
        assert policy.decide({"visual": image}).value == float(outputs[0, -1])


def test_the_attention_is_that_over_the_steps_remembered():
    policy = _policy(TRANSFORMER)
    policy.reset()
    decided = [policy.decide({"vector": observation}) for observation in _observations(STEPS + 9)]
    for step, one in enumerate(decided):
        attention = one.memory["attention"]
        assert attention.shape == (2, min(step, 5))
        if step:
            np.testing.assert_allclose(attention.sum(axis=1), 1.0, rtol=1e-5)


def test_attention_weights_are_those_that_values_are_summed_with():
    block = _policy(TRANSFORMER).model.memory.blocks[0]
    generator = torch.Generator().manual_seed(0)
    queries, keys, values = torch.randn(3, 2, 4, 8, generator=generator)
    mask = torch.ones(2, 4, 4, dtype=torch.bool).tril(-1)  # the first query attends to nothing
    summed = torch.einsum(
        "nhqc,nchd->nqhd", block.weights(queries, keys, mask), values.view(2, 4, 2, 4)
    )
    torch.testing.assert_close(summed.flatten(-2), block.attend(queries, keys, values, mask))


def test_the_norm_is_that_of_the_state():
    policy = _policy(GRU)
    policy.reset()
    first, second = (policy.decide({"vector": one}) for one in _observations(2))
    assert first.memory["norm"] == 0.0
    with torch.no_grad():
        features = policy.model.features({"vector": torch.from_numpy(_observations(1))})
        _, state = policy.model.memory.step(features, torch.zeros(1, 8))
    assert second.memory["norm"] == pytest.approx(float(state.norm()))


def test_deterministic_policies_take_the_most_probable_action():
    policy = _policy({}, deterministic=True)
    policy.reset()
    for observation in _observations(20):
        one = policy.decide({"vector": observation})
        assert one.action[0] == one.probabilities[0].argmax()


def test_each_reset_without_a_seed_draws_other_actions():
    policy = _policy({})
    found = []
    for _ in range(2):
        policy.reset()
        found.append([policy.act({"vector": one}).item() for one in _observations(40)])
    assert found[0] != found[1]


@pytest.mark.parametrize(
    "observation",
    [{"vector": np.zeros(5, np.float32)}, {"vector": np.zeros(4)}, {}],
    ids=["length", "dtype", "none"],
)
def test_observations_of_other_shapes_are_refused(observation):
    with pytest.raises(ObservationError, match=r"expected an observation of .*\(4,\), 'float32'"):
        _policy({}).act(observation)
