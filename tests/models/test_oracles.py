"""Compares our modules with forward passes of the original's, with the same weights."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from neroRL.config.convolutions import allowed_sizes, feature_map
from neroRL.config.schema import ModelConfig, RecurrenceConfig, TransformerConfig
from neroRL.environments.specification import VISUAL, EnvironmentSpec
from neroRL.models.encoders import Encoder
from neroRL.models.memory.interface import Inputs, Pieces
from neroRL.models.memory.recurrent import RecurrentMemory
from neroRL.models.memory.transformer import TransformerMemory

ORACLES = Path(__file__).parent / "oracles"
TOLERANCE = {"atol": 1e-5, "rtol": 1e-5}


def _load(name: str) -> dict[str, dict[str, torch.Tensor]]:
    """Returns the arrays of an oracle, ``weights``, ``inputs`` and ``outputs``, by their names."""
    parts: dict[str, dict[str, torch.Tensor]] = {"weights": {}, "inputs": {}, "outputs": {}}
    with np.load(ORACLES / f"{name}.npz") as file:
        for key in file.files:
            part, rest = key.split("/", 1)
            parts[part][rest] = torch.from_numpy(file[key])
    return parts


def _renamed(weights: dict[str, torch.Tensor], *rules: tuple) -> dict[str, torch.Tensor]:
    """Returns the weights under our names; each rule is a pattern and its replacement."""
    renamed = {}
    for name, tensor in weights.items():
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        renamed[name] = tensor
    return renamed


RESCNN = [
    (rf"layer{number + 1}\.{part}\.", f"visual.{4 * number + part}.")
    for number in range(3)
    for part in (0, 2, 3)
] + [(r"conv1\.", "layers.1."), (r"conv2\.", "layers.3.")]
SMALL_IMPALA = [(r"block1\.0", "visual.0"), (r"block2\.0", "visual.2"), (r"fc\.", "dense.0.")]


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("rescnn_36x36x1", RESCNN),
        ("smallimpala_36x36x1", SMALL_IMPALA),
        ("smallimpala_9x9x3", SMALL_IMPALA),
    ],
)
def test_visual_encoders(name, rules):
    oracle = _load(name)
    images = oracle["inputs"]["images_nchw"].permute(0, 2, 3, 1)
    specification = EnvironmentSpec(tuple(images.shape[1:]), "float32", None, (3,))
    config = ModelConfig(vis_encoder=name.split("_")[0], activation="elu")
    encoder = Encoder(config, specification)
    encoder.load_state_dict(_renamed(oracle["weights"], *rules))
    expected = oracle["outputs"]["features"]
    assert encoder.output_size == expected.shape[1]
    torch.testing.assert_close(encoder({VISUAL: images}), expected, **TOLERANCE)


@pytest.mark.parametrize("encoder", ["cnn", "rescnn", "smallimpala"])
def test_feature_maps_are_those_of_the_convolutions(encoder):
    """Compares the arithmetic that checks a config with torch, for even and odd sides."""
    for height, width in [(side, side) for side in range(1, 41)] + [(9, 40), (40, 9), (84, 37)]:
        shape = feature_map(encoder, height, width)
        specification = EnvironmentSpec((height, width, 1), "float32", None, (3,))
        if shape is None:
            continue
        visual = Encoder(ModelConfig(vis_encoder=encoder), specification).visual
        image = torch.zeros(1, 1, height, width)
        assert visual[:-1](image).shape[1:] == shape


@pytest.mark.parametrize(
    ("encoder", "smallest", "text"),
    [
        ("cnn", [36], "36 x 36 and more"),
        ("rescnn", [15], "15 x 15 and more"),
        ("smallimpala", [6, 20], "6 x 6 to 9 x 9, or 20 x 20 and more"),
    ],
)
def test_smallest_images(encoder, smallest, text):
    """Torch's convolutions raise an error for every smaller side."""
    assert allowed_sizes(encoder) == text
    for side in smallest:
        assert feature_map(encoder, side, side) is not None
        assert feature_map(encoder, side - 1, side - 1) is None
        specification = EnvironmentSpec((side, side, 1), "float32", None, (3,))
        visual = Encoder(ModelConfig(vis_encoder=encoder), specification).visual
        with pytest.raises(RuntimeError):
            visual(torch.zeros(1, 1, side - 1, side - 1))


def test_initial_weights_of_encoders():
    """Glorot and Bengio's uniform weights lie within √(6 / (inputs + outputs)) times the gain."""
    torch.manual_seed(0)
    specification = EnvironmentSpec((84, 84, 3), "uint8", None, (3,))
    for name, gain in (("rescnn", 1.0), ("smallimpala", 2**0.5)):
        encoder = Encoder(ModelConfig(vis_encoder=name), specification)
        for layer in encoder.modules():
            if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
                weight = layer.weight.detach()
                area = weight[0, 0].numel()
                bound = gain * (6 / ((weight.shape[0] + weight.shape[1]) * area)) ** 0.5
                assert 0.9 * bound < float(weight.abs().max()) <= bound
                assert float(layer.bias.detach().abs().max()) == 0.0


@pytest.mark.parametrize("layer_type", ["gru", "lstm"])
def test_residual_layers(layer_type):
    """One residual connection goes around both layers; the pieces are whole sequences."""
    oracle = _load(f"{layer_type}_residual_two_layers")
    config = RecurrenceConfig(
        layer_type=layer_type, num_layers=2, hidden_state_size=16, residual=True
    )
    memory = RecurrentMemory(config, Inputs(12, torch.nn.ReLU()))
    renamed = _renamed(
        oracle["weights"],
        (r"linear_transform", "embedding.0"),
        (r"recurrent_layer\.(weight|bias)_ih_l(\d)", r"projections.\2.\1"),
        (r"recurrent_layer\.(weight|bias)_hh_l(\d)", r"recurrents.\2.\1"),
    )
    memory.load_state_dict({**memory.state_dict(), **renamed})
    features = oracle["inputs"]["features_batch_time"]
    count, length = features.shape[:2]
    states = [oracle["inputs"][name] for name in ("hidden", "cell") if name in oracle["inputs"]]
    before = torch.stack(states, dim=2).reshape(count, -1)  # layer by layer: hidden, then cell
    pieces = Pieces(
        indices=torch.arange(count * length).view(count, length).T,
        steps=None,
        before=before,
        starts=torch.zeros(count, dtype=torch.bool),
    )
    got = memory.pieces(memory.features(features.flatten(0, 1), _identity), pieces, _identity)
    expected = oracle["outputs"]["features_batch_time"]
    torch.testing.assert_close(got.view(length, count, 16).transpose(0, 1), expected, **TOLERANCE)


def _identity(features: torch.Tensor) -> torch.Tensor:
    return features


TRANSFORMERS = {
    "pre": {},
    "post": {"layer_norm": "post"},
    "no_norm": {"layer_norm": ""},
    "no_encoding": {"positional_encoding": ""},
    "learned": {"positional_encoding": "learned"},
    "query_encoding": {"add_positional_encoding_to_query": True},
    "gtrxl": {"gtrxl": True, "gtrxl_bias": 0.5},
    "gtrxl_swap": {"gtrxl": True, "gtrxl_bias": 0.5, "gtrxl_swap": True},
}
EPISODE, SLOTS = 20, 6


def _transformer(name: str, weights: dict[str, torch.Tensor]) -> TransformerMemory:
    """Returns our transformer with the original's weights, without those that it never uses."""
    config = TransformerConfig(
        num_blocks=2, embed_dim=32, num_heads=4, memory_length=SLOTS, **TRANSFORMERS[name]
    )
    memory = TransformerMemory(config, Inputs(10, torch.nn.ReLU(), EPISODE))
    renamed = _renamed(
        weights,
        (r"linear_embedding", "embedding.0"),
        (r"^pos_embedding$", "positions"),
        (r"transformer_blocks", "blocks"),
        (r"attention\.fc_out", "merge"),
        (r"attention\.", ""),
        (r"norm1", "norm_attention"),
        (r"norm2", "norm_dense"),
        (r"norm_kv", "norm_memory"),
        (r"fc\.0", "dense"),
        (r"gate(\d)\.", lambda found: f"gates.{int(found[1]) - 1}."),
        (r"\.bg$", ".bias"),
        (r"\.Ug\.", ".of_reset."),
    )
    for gate in [name for name in renamed if name.endswith("Wr.weight")]:
        ours = gate.removesuffix("Wr.weight")
        for target, parts in (("of_output", "Wr Wz Wg"), ("of_input", "Ur Uz")):
            matrices = [renamed.pop(f"{ours}{part}.weight") for part in parts.split()]
            renamed[f"{ours}{target}.weight"] = torch.cat(matrices)
    unused = set(renamed) - set(memory.state_dict())
    assert unused <= {name for name in renamed if "inv_freqs" in name or ".norm" in name}
    assert name == "no_norm" or not any(".norm" in name for name in unused)
    memory.load_state_dict({key: value for key, value in renamed.items() if key not in unused})
    return memory


@pytest.mark.parametrize("name", TRANSFORMERS)
@torch.no_grad()
def test_transformers(name):
    """Computes one step of six environments in the rollout and in a mini batch."""
    oracle = _load(f"transformer_{name}")
    memory = _transformer(name, oracle["weights"])
    inputs, now = oracle["inputs"], oracle["inputs"]["step_now"]
    filled = inputs["mask"].sum(1)
    columns = np.arange(SLOTS)
    # Our windows end with the newest step; the original's slots begin with the oldest.
    slots = torch.from_numpy(columns) - (SLOTS - filled)[:, None]
    times = now[:, None] - SLOTS + torch.from_numpy(columns)
    remembered = inputs["memories"].gather(
        1, slots.clamp(min=0)[..., None, None].expand(-1, -1, 2, 32)
    )
    assert torch.equal(times[slots >= 0], inputs["steps"][inputs["mask"]])
    items = memory.remembered(list(remembered.unbind(2)), times)
    begins = SLOTS - now.numpy()

    state = memory.begin(6, torch.Generator(), _identity)
    state.load_state_dict({"items": items, "begins": begins.tolist()})
    state.begin_rollout(1)
    features = memory.features(inputs["features"], _identity)
    expected = oracle["outputs"]["features"]
    torch.testing.assert_close(state.step(features), expected, **TOLERANCE)
    kept = memory.remembered(list(oracle["outputs"]["block_inputs"].unbind(1)), now)
    for ours, theirs in zip(state.state_dict()["items"], kept, strict=True):
        torch.testing.assert_close(ours[:, -1], theirs, **TOLERANCE)

    pieces = Pieces(
        indices=torch.arange(6)[None],
        steps=None,
        before=state.end_rollout().before(np.arange(6)),
        starts=torch.zeros(6, dtype=torch.bool),
    )
    torch.testing.assert_close(memory.pieces(features, pieces, _identity), expected, **TOLERANCE)
