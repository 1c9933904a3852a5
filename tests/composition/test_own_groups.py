"""Tests a user's own groups beside the shipped ones: an option changes only the keys it names."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra.core.plugins import Plugins
from hydra.types import RunMode

from neroRL.composition.checking import plain
from neroRL.composition.loader import ChoosingLoader
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


# Options with defaults lists of their own, and an option that nobody chooses.
NESTED = {
    "base.yaml": """\
defaults:
  - default
  - level: easy
  - experiment: null
  - override environment: cartpole
  - override model/memory: gru
  - _self_
model: {recurrence: {layer_type: gru, hidden_state_size: 48, sequence_length: 8}}
trainer: {gamma: 0.5, lamda: 0.55, epochs: 3}
""",
    "level/easy.yaml": "# @package _global_\ntrainer: {gamma: 0.9}\n",
    "level/hard.yaml": "# @package _global_\ntrainer: {lamda: 0.8}\n",
    "level/hardest.yaml": "# @package _global_\ndefaults: [hard, _self_]\ntrainer: {epochs: 7}\n",
    "level/more/odd.yaml": "# @package _global_\ntrainer: {gamma: 0.6}\n",
    "model/memory/big.yaml": "# @package model\ndefaults: [lstm, _self_]\n"
    "recurrence: {hidden_state_size: 24}\n",
    "model/memory/wide.yaml": "# @package model\nrecurrence: {hidden_state_size: 40}\n",
    "environment/fast.yaml": "defaults: [cartpole, _self_]\nframe_skip: 2\n",
    "experiment/a.yaml": "# @package _global_\ndefaults:\n  - override /model/memory: lstm\n"
    "  - override /environment: fast\nmodel: {recurrence: {hidden_state_size: 32}}\n",
    "experiment/b.yaml": "# @package _global_\ndefaults: [override /model/memory: big]\n",
    "experiment/none.yaml": "# @package _global_\ndefaults: [override /model/memory: none]\n"
    "trainer: {gamma: 0.7}\n",
    "experiment/quiet.yaml": "# @package _global_\ndefaults:\n"
    "  - override /hydra/job_logging: disabled\ntrainer: {gamma: 0.85}\n",
}
# The base config overrides no environment of its own, so Hydra takes that of an option.
PLAIN = {
    "plain.yaml": "defaults: [default, {experiment: null}, {third: null}, _self_]\n"
    "environment: {name: MiniGrid-MemoryS9-v0, reset_params: {foo: 3}}\n",
    "third/t.yaml": "# @package _global_\ndefaults: [override /experiment: env]\n",
    "experiment/env.yaml": "# @package _global_\ndefaults: [override /environment: cartpole]\n",
    "experiment/tk.yaml": "# @package _global_\nenvironment: {type: CartPole, name: CartPole-v1}\n"
    "model: {recurrence: {hidden_state_size: 32}}\n",
}
UNCHOSEN = {
    "experiment/off.yaml": "# @package _global_\nmodel: {recurrence: null}\n",
    "experiment/broken.yaml": "defaults: [no_such_config]\n",
    "experiment/listed.yaml": "defaults: [/list, _self_]\n",
    "list.yaml": "[1, 2]\n",
}
NESTED_BASE = {**BASE, "layer": "gru", "hidden": 48, "gamma": 0.5, "lamda": 0.55, "epochs": 3}
NESTED_CASES = {
    "": {},
    "level=easy": {},
    "level=hard": {"lamda": 0.8},
    "level=hardest": {"lamda": 0.8, "epochs": 7},
    "level=more/odd": {"gamma": 0.6},
    "model/memory=lstm": {"layer": "lstm"},
    "model/memory=big": {"layer": "lstm", "hidden": 24},
    "model/memory=wide": {"hidden": 40},
    "environment=fast": {"frame_skip": 2},
    "experiment=a": {"layer": "lstm", "hidden": 32, "frame_skip": 2},
    "experiment=b": {"layer": "lstm", "hidden": 24},
    "experiment=none": {**NONE, "gamma": 0.7},
    "experiment=quiet": {"gamma": 0.85},
    "experiment=a model/memory=none": {**NONE, "frame_skip": 2},
    "model/memory=none experiment=a": {**NONE, "frame_skip": 2},
    "experiment=none model/memory=lstm": {"layer": "lstm", "gamma": 0.7},
    "experiment=a model/memory=gru": {"hidden": 32, "frame_skip": 2},
    "experiment=a environment=minigrid": {"type": "Minigrid", "layer": "lstm", "hidden": 32},
    "experiment=b level=hardest": {"layer": "lstm", "hidden": 24, "lamda": 0.8, "epochs": 7},
}


@pytest.mark.parametrize("further", [{}, UNCHOSEN], ids=["", "beside others"])
def test_an_option_brings_what_its_defaults_list_names(further, tmp_path):
    for name, text in {**NESTED, **further}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    wrong = {}
    loader = _loader(tmp_path)
    for choices, changed in NESTED_CASES.items():
        composed = loader.load_configuration("base", choices.split(), RunMode.RUN)
        assert composed.hydra.overrides.task == choices.split()
        config = plain(composed)
        recurrence = config["model"]["recurrence"] or {}
        found = {
            "type": config["environment"]["type"],
            "frame_skip": config["environment"].get("frame_skip", 1),
            "layer": recurrence.get("layer_type"),
            "hidden": recurrence.get("hidden_state_size"),
            "length": recurrence.get("sequence_length"),
            **{key: config["trainer"][key] for key in ("gamma", "lamda", "epochs")},
        }
        if found != {**NESTED_BASE, **changed}:
            wrong[choices] = found
    assert not wrong


@pytest.mark.parametrize("further", [{}, UNCHOSEN], ids=["", "beside others"])
def test_an_option_may_choose_the_environment(further, tmp_path):
    for name, text in {**PLAIN, **further}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    loader = _loader(tmp_path)

    def composed(*choices: str) -> dict[str, Any]:
        return plain(loader.load_configuration("plain", list(choices), RunMode.RUN))

    direct = composed("environment=cartpole")["environment"]
    assert (direct["type"], direct["name"]) == ("CartPole", "CartPole-v1")
    assert "foo" not in direct["reset_params"]
    for choice in ("experiment=env", "third=t"):
        assert composed(choice)["environment"] == direct
    both = composed("model/memory=lstm", "experiment=tk")
    assert both["environment"]["type"] == "CartPole"
    assert both["model"]["recurrence"]["layer_type"] == "lstm"
    assert both["model"]["recurrence"]["hidden_state_size"] == 32
    without = composed("~model/memory", "experiment=env")
    assert "recurrence" not in without["model"]


def _loader(directory) -> ChoosingLoader:
    Plugins.instance()  # which registers the kinds of sources
    path = ConfigSearchPathImpl()
    places = ["pkg://hydra.conf", f"file://{directory}", f"file://{shipped_conf()}"]
    for place in [*places, "structured://"]:
        path.append("schema", place)
    return ChoosingLoader(path)


SWEEPS = {
    "hyperparameters: {level: [hard, more/odd]}": "lamda: 0.8",
    "hyperparameters: {level: [hard, more/even]}": "'more/even' is none of its configs",
    "hyperparameters: {level: [[hard, easy]]}": "['hard', 'easy'] is none of its configs",
    "hyperparameters: {experiment: [a, b]}\n": "layer_type: lstm",
}


def test_options_of_own_groups_are_swept_or_refused(door, tmp_path):
    for name, text in NESTED.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    arguments = ["--config=base.yaml", "--tune=space.yaml", "--cfg=job"]
    for text, expected in SWEEPS.items():
        (tmp_path / "space.yaml").write_text(text)
        outcome = door("ntune", arguments)
        assert expected in (outcome.err if outcome.status else outcome.out)
    undone = door("ntune", [*arguments, "model.recurrence.layer_type=gru"])
    assert undone.status == 2
    assert "layer_type: is what experiment (space.yaml:1) chooses" in undone.err
    for given in ("level=[hard,easy]", "level=[hard],[easy]", "level@trainer=hard,easy"):
        outcome = door("train", ["-m", "--config-path=.", "--config-name=base", "--cfg=job", given])
        assert outcome.status == 2
        assert "level is a group of configs" in outcome.err


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
