"""Tests the network: shapes, initialisation, and that pieces give the outputs of single steps."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch

from neroRL.acting.actor import Actor
from neroRL.acting.features import Features
from neroRL.config.schema import ModelConfig, RecurrenceConfig
from neroRL.environments.specification import EnvironmentSpec
from neroRL.errors import ConfigError
from neroRL.models.actor_critic import ActorCritic
from neroRL.models.memory.interface import Pieces

BOTH = EnvironmentSpec((84, 84, 3), "uint8", 5, (3, 2))
VECTOR = EnvironmentSpec(None, "uint8", 5, (3, 2))
SMALL = ModelConfig(num_vec_encoder_units=8, num_hidden_layers=1, num_hidden_units=16)


def _observations(spec: EnvironmentSpec, rows: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    observation = {}
    if spec.visual:
        shape = (rows, *spec.visual)
        observation["visual"] = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
    if spec.vector:
        observation["vector"] = torch.randn(rows, spec.vector, generator=generator)
    return observation


@pytest.mark.parametrize("encoder", ["cnn", "rescnn", "smallimpala"])
@pytest.mark.parametrize("memory", ["none", "gru", "lstm"])
def test_image_and_vector_together(encoder, memory):
    recurrence = None if memory == "none" else RecurrenceConfig(layer_type=memory)
    config = dataclasses.replace(SMALL, vis_encoder=encoder, recurrence=recurrence)
    model = ActorCritic(config, BOTH)
    features = model.features(_observations(BOTH, 4))
    state = model.begin(4, torch.Generator())
    outputs = state.step(features)
    assert outputs.shape == (4, 3 + 2 + 1)
    sizes = {key: value.shape for key, value in state.state_dict().items()}
    size = {"none": 0, "gru": 128, "lstm": 256}[memory]
    assert sizes == ({"states": (4, size)} if size else {})
    assert torch.isfinite(outputs).all()


def test_cnn_has_the_documented_layers():
    model = ActorCritic(SMALL, EnvironmentSpec((84, 84, 3), "uint8", None, (7,)))
    layers = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    told = [(c.in_channels, c.out_channels, c.kernel_size[0], c.stride[0]) for c in layers]
    assert told == [(3, 32, 8, 4), (32, 64, 4, 2), (64, 64, 3, 1)]
    assert model.encoder.output_size == 64 * 7 * 7


def test_too_small_an_image_is_refused():
    with pytest.raises(ConfigError, match="20 x 20 is too small"):
        ActorCritic(SMALL, EnvironmentSpec((20, 20, 3), "uint8", None, (7,)))


def test_a_residual_connection_of_different_sizes_is_refused():
    recurrence = RecurrenceConfig(hidden_state_size=6, residual=True, embed=False)
    with pytest.raises(ConfigError, match="the encoder's 128; set embed to true"):
        ActorCritic(dataclasses.replace(ModelConfig(), recurrence=recurrence), VECTOR)


def test_orthogonal_initialisation():
    model = ActorCritic(SMALL, VECTOR)
    weight = model.hidden[0].weight
    gram = weight.T @ weight if weight.shape[0] >= weight.shape[1] else weight @ weight.T
    torch.testing.assert_close(gram, 2.0 * torch.eye(len(gram)), atol=1e-5, rtol=0)
    for branch in model.heads.policy.weight.split((3, 2)):
        torch.testing.assert_close(
            branch @ branch.T, 0.01 * torch.eye(len(branch)), atol=1e-6, rtol=0
        )
    torch.testing.assert_close(model.heads.value.weight.norm(), torch.tensor(1.0))
    for part in model.heads.hidden.weight.split(512):
        torch.testing.assert_close(part.T @ part, 2 * torch.eye(16), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("layer_type", "num_layers", "residual", "embed"),
    [
        (*options[:2], options[2], options[3])
        for options in itertools.product(["gru", "lstm"], [1, 2], [False, True], [False, True])
        if options[3] or not options[2]
    ],
)
def test_pieces_equal_steps(layer_type, num_layers, residual, embed):
    """A piece gives the outputs of its steps computed one by one, with and without padding."""
    recurrence = RecurrenceConfig(
        layer_type=layer_type,
        num_layers=num_layers,
        hidden_state_size=6,
        residual=residual,
        embed=embed,
    )
    torch.manual_seed(0)
    model = ActorCritic(dataclasses.replace(SMALL, recurrence=recurrence), VECTOR).double()
    observation = {"vector": torch.randn(7, 5, dtype=torch.float64)}
    features = model.features(observation)
    lengths = [4, 2]
    rows = torch.tensor([[0, 4], [1, 5], [2, 0], [3, 0]])
    states = torch.randn(2, model.memory.state_size, dtype=torch.float64)
    real = torch.tensor([[t < length for length in lengths] for t in range(4)]).flatten()
    pieces = Pieces(rows, torch.nonzero(real).flatten(), states, torch.zeros(2, dtype=torch.bool))
    together = model.pieces(features, pieces)
    order = [(t, b) for t in range(4) for b in range(2) if t < lengths[b]]
    one_by_one = {}
    for b in range(2):
        state = model.begin(1, torch.Generator())
        state.load_state_dict({"states": states[b : b + 1]})
        for t in range(lengths[b]):
            one_by_one[t, b] = state.step(features[rows[t, b]][None])[0]
    torch.testing.assert_close(together, torch.stack([one_by_one[key] for key in order]))


def test_learned_initial_state_gets_a_gradient_only_from_starts():
    recurrence = RecurrenceConfig(hidden_state_size=6, hidden_state_init="learned")
    model = ActorCritic(dataclasses.replace(SMALL, recurrence=recurrence), VECTOR)
    features = model.features(_observations(VECTOR, 3))
    for starts, expected in (([False, False], 0.0), ([True, False], None)):
        model.zero_grad()
        pieces = Pieces(torch.tensor([[0, 1]]), None, torch.ones(2, 6), torch.tensor(starts))
        model.pieces(features.detach(), pieces).sum().backward()
        norm = model.memory.initial.grad.norm().item()
        assert norm == expected if expected is not None else norm > 0


@pytest.mark.parametrize("kind", ["zero", "one", "mean", "sample"])
def test_initial_states(kind):
    recurrence = RecurrenceConfig(hidden_state_size=4, hidden_state_init=kind)
    model = ActorCritic(dataclasses.replace(SMALL, recurrence=recurrence), VECTOR)
    seen = torch.randn(50, 8, 4, generator=torch.Generator().manual_seed(0)) * 0.5 + 2.0
    model.memory.learn_initial_states(seen)
    states = model.memory.initial_states(20_000, torch.Generator().manual_seed(1))
    mean = {"zero": torch.zeros(4), "one": torch.ones(4)}.get(kind, seen.flatten(0, 1).mean(0))
    spread = seen.flatten(0, 1).std(0) if kind == "sample" else torch.zeros(4)
    # Three standard errors of the mean of 20,000 draws with a deviation of 0.5.
    torch.testing.assert_close(states.mean(0), mean, atol=3 * 0.5 / math.sqrt(20_000), rtol=1e-4)
    torch.testing.assert_close(states.std(0), spread, atol=0.01, rtol=0)


def test_actions_follow_the_policy():
    model = ActorCritic(SMALL, VECTOR)
    with torch.no_grad():
        model.heads.policy.weight.zero_()
        model.heads.policy.bias.copy_(torch.tensor([0.0, 1.0, 2.0, 0.5, -0.5]))
    actor = Actor(model, 1, torch.Generator().manual_seed(0))
    features = model.features(_observations(VECTOR, 1)).detach()
    draws = 40_000
    noise = model.distribution.noise(draws, 1, torch.Generator().manual_seed(0), features.dtype)
    perturbed = features[:, :-1] + noise[:, 0]
    actions = torch.stack([part.argmax(1) for part in perturbed.split([3, 2], dim=1)], dim=1)
    for branch, logits in enumerate(features[0, :-1].split([3, 2])):
        expected = logits.softmax(0)
        counts = torch.bincount(actions[:, branch], minlength=len(expected)) / draws
        # Four standard errors of a proportion.
        torch.testing.assert_close(counts, expected, atol=4 * math.sqrt(0.25 / draws), rtol=0)
    actor.begin(draws)
    chosen, _ = actor.act(features)
    assert chosen.tolist() == [actions[0].tolist()]


class _Table:
    """Records which ids are asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.data = np.random.default_rng(0).normal(size=(500, 5)).astype(np.float32)

    def at(self, ids: np.ndarray) -> dict[str, np.ndarray]:
        self.asked.extend(ids.tolist())
        return {"vector": self.data[ids]}


def test_each_distinct_observation_is_computed_once():
    model = ActorCritic(SMALL, VECTOR)
    table = _Table()
    features = Features(model, table, torch.device("cpu"))
    with torch.no_grad():
        for ids in ([7, 7, 3], [3, 400, 7], [400, 5, 5]):
            rows = features.rows(np.array(ids))
            expected = model.features({"vector": torch.from_numpy(table.data[ids])})
            torch.testing.assert_close(features.at(rows), expected)
    assert table.asked == [7, 3, 400, 5]  # in the order of first appearance
    assert features.length == 4


def test_features_of_new_observations_are_those_of_their_rows():
    """Rows that are all new are not looked up, unless others came in between."""
    model = ActorCritic(SMALL, VECTOR)
    table = _Table()
    features = Features(model, table, torch.device("cpu"))

    def check(ids, rows):
        expected = model.features({"vector": torch.from_numpy(table.data[ids])})
        torch.testing.assert_close(features.at(rows), expected)

    with torch.no_grad():
        kept, kept_rows = [1, 2, 3], features.rows(np.array([1, 2, 3]))
        for ids in ([5, 6, 7], [12, 11, 10], list(range(20, 100)), [200], [200], [3, 201]):
            check(ids, features.rows(np.array(ids)))
            check(kept, kept_rows)


def test_features_in_the_order_of_the_steps_need_no_indices():
    features, starts = torch.arange(24.0).view(6, 4), torch.ones(2, dtype=torch.bool)
    in_order = torch.arange(6).view(3, 2)  # three steps of two pieces
    looked_up = Pieces(in_order, None, None, starts).of_steps(features)
    assert torch.equal(Pieces(None, None, None, starts).of_steps(features), looked_up)
    assert torch.equal(looked_up[2, 1], features[5])
