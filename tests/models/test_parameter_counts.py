"""Compares parameter counts of published configs with the original's, counted layer by layer.

The sections are the parts of the original's ``configs/`` that the network depends on.
"""

from __future__ import annotations

import pytest

from neroRL.config.checks import build
from neroRL.environments.factory import specification
from neroRL.models.actor_critic import ActorCritic

COMMON = {
    "activation": "relu", "vis_encoder": "cnn", "vec_encoder": "linear",
    "num_vec_encoder_units": 128, "num_hidden_layers": 1, "num_hidden_units": 512,
}  # fmt: skip
GRU = {"layer_type": "gru", "num_layers": 1, "residual": False, "embed": True}
APPENDED = {"last_action_to_obs": True, "last_reward_to_obs": True}


def _linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def _convolution(inputs: int, outputs: int, size: int) -> int:
    return inputs * outputs * size * size + outputs


def _gru(size: int) -> int:
    """Counts three gates with weights for an input and a state of equal size, and biases."""
    return 3 * 2 * _linear(size, size)


def _block(size: int) -> int:
    """Counts queries, keys and values without biases, two layers with biases, and three norms."""
    return 3 * size * size + 2 * _linear(size, size) + 3 * 2 * size


def _heads(units: int, actions: tuple[int, ...]) -> int:
    """Counts the heads, one for each branch and one for the value, with a layer of 512 each."""
    return 2 * _linear(units, 512) + sum(_linear(512, count) for count in (*actions, 1))


# 84 x 84 x 3 becomes 20 x 20 x 32, then 9 x 9 x 64, then 7 x 7 x 64.
CNN = _convolution(3, 32, 8) + _convolution(32, 64, 4) + _convolution(64, 64, 3)
FEATURES = 7 * 7 * 64

PUBLISHED = {
    "cartpole": (
        {"type": "CartPole", "name": "CartPole-v0", "reset_params": {"mask-velocity": True}},
        {"recurrence": {**GRU, "hidden_state_size": 128}},
        _linear(4, 128) + _linear(128, 128) + _gru(128) + _linear(128, 512) + _heads(512, (2,)),
    ),
    "minigrid": (
        {"type": "Minigrid", "name": "MiniGrid-MemoryS13-v0"},
        {"recurrence": {**GRU, "hidden_state_size": 256}},
        CNN + _linear(FEATURES, 256) + _gru(256) + _linear(256, 512) + _heads(512, (4,)),
    ),
    "minigrid_vec": (  # 3 x 3 cells of 6 classes
        {"type": "MinigridVec", "name": "MiniGrid-MemoryS7-v0"},
        {"recurrence": {**GRU, "hidden_state_size": 32}},
        _linear(54, 128) + _linear(128, 32) + _gru(32) + _linear(32, 512) + _heads(512, (4,)),
    ),
    "mortar_mayhem": (
        {"type": "MemoryGym", "name": "MortarMayhem-v0", "reset_params": {"command_count": [5]}},
        {"recurrence": {**GRU, "hidden_state_size": 512}},
        CNN + _linear(FEATURES, 512) + _gru(512) + _linear(512, 512) + _heads(512, (3, 3)),
    ),
    "mystery_path": (  # the last action and reward: 3 + 3 + 1 numbers
        {"type": "MemoryGym", "name": "MysteryPath-v0", **APPENDED},
        {"recurrence": {**GRU, "hidden_state_size": 512}},
        CNN + _linear(7, 128) + _linear(FEATURES + 128, 512) + _gru(512) + _linear(512, 512)
        + _heads(512, (3, 3)),
    ),
    "trxl": (
        {
            "type": "Minigrid",
            "name": "MiniGrid-MemoryS9-v0",
            "reset_params": {"max-episode-steps": 128},
        },
        {
            "num_hidden_units": 384,
            "transformer": {
                "num_blocks": 2, "embed_dim": 256, "num_heads": 4, "memory_length": 64,
                "positional_encoding": "absolute", "layer_norm": "pre", "gtrxl": False,
            },
        },
        CNN + _linear(FEATURES, 256) + 2 * _block(256) + _linear(256, 384) + _heads(384, (4,)),
    ),
}  # fmt: skip


def _parameters(environment, model) -> int:
    config = build({"environment": environment, "model": {**COMMON, **model}})
    network = ActorCritic(config.model, specification(config.environment))
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_configs(name):
    environment, model, expected = PUBLISHED[name]
    assert _parameters(environment, model) == expected
    if name == "trxl":
        assert expected == 2_033_957


def test_variants_of_the_transformer():
    """Counts the parameters that each choice adds to trxl.yaml."""
    environment, model, expected = PUBLISHED["trxl"]

    def changed(**changes) -> int:
        transformer = {**model["transformer"], **changes}
        return _parameters(environment, {**model, "transformer": transformer}) - expected

    assert changed(positional_encoding="learned") == 128 * 256  # a row for each step
    # Each block has two gates, and each gate has six matrices and a bias.
    assert changed(gtrxl=True) == 2 * 2 * (6 * 256 * 256 + 256)
    assert changed(num_heads=8) == 0
    assert changed(num_blocks=3) == _block(256)


def test_encoders_of_published_configs():
    """``rescnn`` ends in 9 x 9 x 32 features, ``smallimpala`` in a layer of 256."""
    environment = PUBLISHED["minigrid"][0]
    rest = _gru(256) + _linear(256, 512) + _heads(512, (4,))
    model = {"recurrence": {**GRU, "hidden_state_size": 256}}
    blocks = [
        _convolution(inputs, outputs, 3) + 4 * _convolution(outputs, outputs, 3)
        for inputs, outputs in ((3, 16), (16, 32), (32, 32))
    ]
    residual = sum(blocks) + _linear(9 * 9 * 32, 256) + rest
    assert _parameters(environment, {**model, "vis_encoder": "rescnn"}) == residual
    convolutions = _convolution(3, 16, 8) + _convolution(16, 32, 4)
    impala = convolutions + _linear(9 * 9 * 32, 256) + _linear(256, 256) + rest
    assert _parameters(environment, {**model, "vis_encoder": "smallimpala"}) == impala
