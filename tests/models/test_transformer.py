"""Compares the transformer memory with a naive one that cuts out each window."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from neroRL.config.schema import ModelConfig, TransformerConfig
from neroRL.environments.specification import EnvironmentSpec
from neroRL.models.actor_critic import ActorCritic
from neroRL.models.memory.attention import Block, sinusoids
from neroRL.models.memory.interface import Pieces
from tests.models.naive_transformer import naive_features

SPEC = EnvironmentSpec(None, "uint8", 5, (3, 2), max_episode_steps=12)
UNKNOWN = dataclasses.replace(SPEC, max_episode_steps=None)
SMALL = TransformerConfig(num_blocks=2, embed_dim=8, num_heads=2, memory_length=4)
VARIANTS = {
    "plain": {"layer_norm": "", "positional_encoding": ""},
    "pre": {"layer_norm": "pre"},
    "post": {"layer_norm": "post", "positional_encoding": "learned"},
    "whole episodes": {"memory_length": -1, "positional_encoding": "learned"},
    "query": {"add_positional_encoding_to_query": True, "init_weights": "tfixup"},
    "gates": {"gtrxl": True, "gtrxl_bias": 1.5, "init_weights": "orthogonal"},
    "swapped": {"gtrxl": True, "gtrxl_swap": True, "init_weights": "kaiming"},
}


def make(specification=SPEC, **changes) -> ActorCritic:
    """Makes a small network in float64 whose biases and norms are not trivial."""
    torch.manual_seed(0)
    transformer = dataclasses.replace(SMALL, **changes)
    config = ModelConfig(
        num_vec_encoder_units=6, num_hidden_layers=1, num_hidden_units=7, transformer=transformer
    )
    model = ActorCritic(config, specification).double()
    for name, parameter in model.memory.named_parameters():
        if parameter.dim() == 1:
            torch.nn.init.normal_(parameter, 1.0 if "norm" in name and "weight" in name else 0.0)
    return model


class Played:
    """Two rollouts of three environments, acted out and computed naively side by side.

    Attributes:
        embedded: embeddings of all steps of the second rollout, shape (T · N, D).
        outputs: the network's outputs in the second rollout, shape (T · N, O).
        history: the memory's history of the second rollout.
        pasts: the earlier steps that each step of the second rollout remembers.
        past: the steps that each environment remembers at the end.
        state: the memory's state at the end.
    """

    T, N = 9, 3
    ENDS = ({(1, 0), (4, 0), (5, 0), (3, 1)}, {(0, 0), (6, 0), (7, 1)})

    def __init__(self, model: ActorCritic) -> None:
        generator = torch.Generator().manual_seed(5)
        state = model.begin(self.N, generator)
        self.state = state
        past = [[] for _ in range(self.N)]
        for ends in self.ENDS:
            with torch.no_grad():
                state.begin_rollout(self.T)
            inputs_of_steps, outputs, self.pasts = [], [], []
            for t in range(self.T):
                vectors = torch.randn(self.N, 5, generator=generator, dtype=torch.float64)
                with torch.no_grad():
                    embedded = model.features({"vector": vectors})
                    outputs.append(state.step(embedded))
                inputs_of_steps.append(embedded)
                for worker in range(self.N):
                    self.pasts.append(list(past[worker]))
                    features, inputs = naive_features(model.memory, embedded[worker], past[worker])
                    past[worker].append(inputs)
                    expected = model.heads(model.hidden(features))
                    torch.testing.assert_close(
                        outputs[-1][worker], expected.detach(), atol=1e-12, rtol=1e-12
                    )
                ended = [worker for worker in range(self.N) if (t, worker) in ends]
                state.begin_episodes(np.array(ended, np.int64))
                for worker in ended:
                    past[worker] = []
            self.history = state.end_rollout()
        self.past = past
        self.embedded, self.outputs = torch.cat(inputs_of_steps), torch.cat(outputs)


# A learned table for whole episodes needs their length, so it is refused without one.
CASES = [*((variant, SPEC) for variant in VARIANTS), *((v, UNKNOWN) for v in ("pre", "post"))]


@pytest.mark.parametrize(("variant", "specification"), CASES)
def test_acting_and_training_equal_windows(variant, specification):
    """Compares all outputs of two rollouts, then a mini batch's outputs and gradients."""
    model = make(specification, **VARIANTS[variant])
    played = Played(model)  # compares the outputs of acting
    chosen = torch.randperm(played.T * played.N, generator=torch.Generator().manual_seed(2))[:17]
    pieces = Pieces(
        indices=torch.arange(len(chosen))[None],
        steps=None,
        before=played.history.before(chosen.numpy()),
        starts=torch.zeros(len(chosen), dtype=torch.bool),
    )
    outputs = model.pieces(played.embedded[chosen], pieces)
    torch.testing.assert_close(outputs, played.outputs[chosen], atol=1e-12, rtol=1e-12)
    weights = torch.randn(outputs.shape, dtype=torch.float64)
    parameters = [p for n, p in model.named_parameters() if not n.startswith(("enc", "memory.emb"))]
    ours = torch.autograd.grad((outputs * weights).sum(), parameters)
    total = 0.0
    for row, weight in zip(chosen.tolist(), weights, strict=True):
        features, _ = naive_features(model.memory, played.embedded[row], played.pasts[row])
        total = total + model.heads(model.hidden(features)) @ weight
    for mine, naive in zip(ours, torch.autograd.grad(total, parameters), strict=True):
        torch.testing.assert_close(mine, naive, atol=1e-11, rtol=1e-10)


@pytest.mark.parametrize("workers", [[2, 0], [2, 0, 1]])
def test_looking_remembers_nothing(workers):
    model = make()
    played = Played(model)
    embedded = torch.randn(len(workers), 8, dtype=torch.float64)
    workers = np.array(workers)
    with torch.no_grad():
        played.state.begin_rollout(1)
        first = played.state.look(embedded, workers)
        torch.testing.assert_close(played.state.look(embedded, workers), first)
        for row, worker in enumerate(workers):
            features, _ = naive_features(model.memory, embedded[row], played.past[worker])
            torch.testing.assert_close(first[row], model.heads(model.hidden(features)))


def test_a_restored_state_goes_on_alike():
    model = make()
    played = Played(model)
    restored = model.begin(played.N, torch.Generator())
    restored.load_state_dict(played.state.state_dict())
    # At most the last four steps are kept, or as many as the longest running episode has.
    assert restored.state_dict()["items"][0].shape == (3, 4, 8)
    embedded = torch.randn(6, played.N, 8, dtype=torch.float64)
    with torch.no_grad():
        for state in (played.state, restored):
            state.begin_rollout(6)
        for row in embedded:
            assert torch.equal(played.state.step(row), restored.step(row))


@pytest.mark.parametrize("embed_dim", [6, 9, 10])
@pytest.mark.parametrize(("count", "memory_length"), [(1, 17), (3, 1)])
def test_a_restored_state_has_the_same_last_bits(embed_dim, count, memory_length):
    """The rows of these sizes do not all begin at multiples of 16 bytes."""
    sizes = {"embed_dim": embed_dim, "num_heads": 1, "memory_length": memory_length}
    model = make(**sizes, layer_norm="post").float()
    state, restored = (model.begin(count, torch.Generator()) for _ in range(2))
    with torch.no_grad():
        for _ in range(4):
            restored.load_state_dict(state.state_dict())
            for one in (state, restored):
                one.begin_rollout(24)
            for row in torch.randn(24, count, embed_dim):
                assert torch.equal(state.step(row), restored.step(row))


def test_only_running_episodes_are_kept():
    model = make()
    state = model.begin(2, torch.Generator())
    with torch.no_grad():
        for _ in range(3):
            state.begin_rollout(20)
            for _ in range(20):
                state.step(torch.randn(2, 8, dtype=torch.float64))
    state.begin_episodes(np.array([0, 1]))
    assert [items.shape for items in state.state_dict()["items"]] == [(2, 0, 8)] * 2
    history = state.end_rollout()
    # Whole rollouts are kept; the last step's window begins 4 steps before it.
    assert history.before(np.array([39])).items[0].shape == (2, 4, 8)


def test_attention_is_that_of_torch():
    """Copies our projections into torch's module, which scales by the head's size."""
    torch.manual_seed(0)
    block = Block(dataclasses.replace(SMALL, layer_norm="")).double()
    theirs = torch.nn.MultiheadAttention(8, 2, bias=True, batch_first=True).double()
    scale = math.sqrt(4) / math.sqrt(8)
    with torch.no_grad():
        parts = [block.queries.weight * scale, block.keys.weight, block.values.weight]
        theirs.in_proj_weight.copy_(torch.cat(parts))
        theirs.in_proj_bias.zero_()
        theirs.out_proj.weight.copy_(block.merge.weight)
        theirs.out_proj.bias.copy_(block.merge.bias)
    inputs, items = torch.randn(3, 5, 8).double(), torch.randn(3, 6, 8).double()
    mask = torch.rand(3, 5, 6) < 0.6
    mask[..., 0] = True
    expected, _ = theirs(inputs, items, items, attn_mask=~mask.repeat_interleave(2, 0))
    keys, values = block.keys_and_values(items)

    def attend(queries):
        return block.attend(queries, keys, values, mask)

    after = inputs + expected
    after = after + torch.relu(functional.linear(after, block.dense.weight, block.dense.bias))
    torch.testing.assert_close(block(inputs, attend), after)


def test_sinusoids():
    table = sinusoids(torch.arange(50), 6)
    assert table.shape == (50, 6)
    torch.testing.assert_close(table[0], torch.tensor([0.0, 0, 0, 1, 1, 1], dtype=torch.float64))
    assert float(table[7, 1]) == pytest.approx(math.sin(7 / 10000 ** (2 / 6)))
    # The product of two rows depends only on their distance.
    products = table @ table.T
    torch.testing.assert_close(products[3, 10], products[30, 37])


@pytest.mark.parametrize("kind", ["xavier", "orthogonal", "tfixup", "kaiming"])
def test_initialisation(kind):
    torch.manual_seed(0)
    config = TransformerConfig(num_blocks=3, embed_dim=256, num_heads=1, gtrxl=True)
    config = dataclasses.replace(config, init_weights=kind)
    model = ActorCritic(ModelConfig(transformer=config), SPEC)
    block = model.memory.blocks[0]
    factor = 0.67 * 3**-0.25 if kind == "tfixup" else 1.0
    # A uniform distribution on ±b has the standard deviation b / √3; orthogonal ones g / √n.
    deviation = {
        "xavier": math.sqrt(6 / 512) / math.sqrt(3),
        "tfixup": math.sqrt(6 / 512) / math.sqrt(3),
        "kaiming": math.sqrt(2) * math.sqrt(3 / 256) / math.sqrt(3),
        "orthogonal": math.sqrt(2) / math.sqrt(256),
    }[kind]
    for layer in (block.merge, block.dense, block.values):
        assert float(layer.weight.detach().std()) == pytest.approx(factor * deviation, rel=0.02)
    for layer in (block.queries, *block.gates[0].children()):
        for weight in layer.weight.split(256):
            assert float(weight.detach().std()) == pytest.approx(deviation, rel=0.02)
    assert float(block.merge.bias.detach().abs().max()) == 0.0


def test_gates_start_with_the_bias_of_the_config():
    """That the bias is learned follows from the gradients compared above."""
    config = dataclasses.replace(SMALL, gtrxl=True, gtrxl_bias=1.5)
    parameters = dict(Block(config).named_parameters())
    for number in range(2):
        assert torch.equal(parameters[f"gates.{number}.bias"], torch.full((8,), 1.5))


def test_positions_are_counted_from_the_end_of_the_longest_episode():
    """The last of 12 steps has the encoding of 0, and a learned table has a row for each step."""
    memory = make().memory
    first, last = memory.remembered([torch.zeros(2, 8).double()] * 2, torch.tensor([0, 11]))[0]
    torch.testing.assert_close(first, sinusoids(torch.tensor(11), 8))
    torch.testing.assert_close(last, torch.tensor([0.0] * 4 + [1.0] * 4, dtype=torch.float64))
    assert make(positional_encoding="learned").memory.positions.shape == (12, 8)
    unknown = make(UNKNOWN, positional_encoding="learned").memory
    assert unknown.positions.shape == (4, 8)  # memory_length
