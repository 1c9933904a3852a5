"""Tests a user's own groups beside the shipped ones: an option changes only the keys it names."""

from __future__ import annotations

import pytest
import yaml

from neroRL.composition.source import shipped_conf

FILES = {
    "base.yaml": """\
defaults:
  - default
  - level: easy
  - model/width: small
  - experiment: null
  - override environment: cartpole
  - override model/memory: lstm
  - _self_
model: {recurrence: {sequence_length: 8}}
trainer: {gamma: 0.97}
""",
    "level/easy.yaml": "# @package environment\nframe_skip: 1\n",
    "level/hard.yaml": "# @package environment\nframe_skip: 2\n",
    "model/width/small.yaml": "# @package model\nrecurrence: {hidden_state_size: 16}\n",
    "model/width/big.yaml": "# @package model\nrecurrence: {hidden_state_size: 32}\n",
    "experiment/a.yaml": "# @package _global_\nmodel: {recurrence: {hidden_state_size: 24}}\n"
    "trainer: {gamma: 0.9}\n",
    "experiment/b.yaml": "# @package _global_\ntrainer: {gamma: 0.8}\n",
}
BASE = {"type": "CartPole", "frame_skip": 1, "layer": "lstm", "hidden": 16, "length": 8}
NONE = {"layer": None, "hidden": None, "length": None}
CASES = {
    "": {},
    "level=hard": {"frame_skip": 2},
    "model/width=big": {"hidden": 32},
    "experiment=a": {"hidden": 24, "gamma": 0.9},
    "experiment=b": {"gamma": 0.8},
    "model/memory=gru": {"layer": "gru"},
    "model/memory=none": NONE,
    "model/width=big model/memory=gru": {"layer": "gru", "hidden": 32},
    "model/memory=none model/width=big": NONE,
    "model/width=big model/memory=none": NONE,
    "experiment=a model/memory=none": {**NONE, "gamma": 0.9},
    "level=hard environment=minigrid": {"type": "Minigrid", "frame_skip": 2},
}


@pytest.mark.slow
@pytest.mark.parametrize("choices", CASES)
def test_an_option_changes_the_keys_that_it_names(choices, door, tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    base = ["--config-path=.", "--config-name=base", "--cfg=job"]
    outcome = door("train", [*base, *choices.split()])
    assert outcome.status == 0, outcome.err
    config = yaml.safe_load(outcome.out)
    recurrence = config["model"]["recurrence"] or {}
    assert {
        "type": config["environment"]["type"],
        "frame_skip": config["environment"]["frame_skip"],
        "layer": recurrence.get("layer_type"),
        "hidden": recurrence.get("hidden_state_size"),
        "length": recurrence.get("sequence_length"),
        "gamma": config["trainer"]["gamma"],
    } == {**BASE, "gamma": 0.97, **CASES[choices]}


@pytest.mark.parametrize("place", ["command line", "config"])
def test_an_option_on_the_search_path_of_a_group_that_is_shipped(door, tiny, tmp_path, place):
    (tmp_path / "further/model/memory").mkdir(parents=True)
    shipped = (shipped_conf() / "model/memory/gru.yaml").read_text()
    (tmp_path / "further/model/memory/mine.yaml").write_text(shipped)
    path = f"[file://{tmp_path}/further]"
    arguments = ["--config-path=.", "--config-name=tiny", "--cfg", "job"]
    if place == "config":
        tiny.write_text(f"hydra: {{searchpath: {path}}}\n{tiny.read_text()}")
    else:
        arguments.append(f"hydra.searchpath={path}")
    one = door("train", [*arguments, "model/memory=mine"])
    assert one.status == 0, one.err
    assert "layer_type: gru" in one.out
    swept = door("train", ["-m", *arguments, "model/memory=none,mine"])
    assert swept.status == 0, swept.err
    assert swept.out.count("layer_type: gru") == 1
    wrong = door("train", ["-m", *arguments, "model/memory=none,mime"])
    assert wrong.status == 2
    assert "'mime' is none of its configs" in wrong.err
