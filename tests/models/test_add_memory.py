"""Adds a memory as docs/architecture.md says, in a copy of the project, and trains it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import yaml

from tests.conftest import TINY
from tests.copies import copy_project, run_in

CLASS = '''\
"""A trace: the sum of the episode's features, older ones decayed."""

import torch
from torch import nn

from neroRL.models.memory.interface import Memory, MemoryState


class Trace(Memory):
    name = "trace"

    def __init__(self, config, inputs):
        super().__init__()
        self.decay, self.output_size, self.sequence_length = config.decay, config.size, 8
        self.embedding = nn.Sequential(nn.Linear(inputs.size, config.size), inputs.activation)

    def features(self, encoded, readout):
        return self.embedding(encoded)

    def begin(self, count, generator, readout):
        return Traces(self, torch.zeros(count, self.output_size), readout)

    def pieces(self, features, pieces, readout):
        trace, outputs = pieces.before, []
        for now in pieces.of_steps(features):
            trace = self.decay * trace + now
            outputs.append(trace)
        flat = torch.stack(outputs).flatten(0, 1)
        return readout(flat if pieces.steps is None else flat[pieces.steps])


class Traces(MemoryState):
    def __init__(self, memory, now, readout):
        self.memory, self.now, self.readout = memory, now, readout

    def begin_rollout(self, steps):
        self.kept = []

    def step(self, features):
        self.kept.append(self.now)
        self.now = self.memory.decay * self.now + features
        return self.readout(self.now)

    def look(self, features, workers):
        return self.readout(self.memory.decay * self.now[workers] + features)

    def begin_episodes(self, workers):
        self.now = self.now.clone()
        self.now[workers] = 0.0

    def end_rollout(self):
        return History(torch.stack(self.kept).flatten(0, 1))

    def state_dict(self):
        return {"now": self.now}

    def load_state_dict(self, state):
        self.now = state["now"]


class History:
    def __init__(self, kept):
        self.kept = kept

    def before(self, first):
        return self.kept[first]
'''
DATACLASS = '''\
@dataclass(config=STRICT)
class ToyConfig:
    """A decaying trace."""

    decay: Fraction = 0.5
    size: Units = 4


'''
CHANGES = {
    "neroRL/config/schema.py": [
        ("@dataclass(config=STRICT)\nclass ModelConfig:", DATACLASS),
        (
            "    transformer: TransformerConfig | None = None\n",
            "    toy: ToyConfig | None = None\n",
        ),
    ],
    "neroRL/models/memory/factory.py": [
        ("from neroRL.models.memory.trans", "from neroRL.models.memory.toy import Trace\n"),
        ('    "transformer": TransformerMemory,\n', '    "toy": Trace,\n'),
    ],
}
# The base config has another memory, which choosing one replaces.
BASE = TINY.replace("sampler:", "  recurrence: {layer_type: gru, hidden_state_size: 8}\nsampler:")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy with the memory added."""
    copy_project(tmp_path)
    (tmp_path / "neroRL/models/memory/toy.py").write_text(CLASS)
    (tmp_path / "conf/model/memory/toy.yaml").write_text("# @package model\ntoy:\n  decay: 0.75\n")
    for name, insertions in CHANGES.items():
        path = tmp_path / name
        text = path.read_text()
        for before, inserted in insertions:
            assert text.count(before) == 1
            text = text.replace(before, inserted + before)
        path.write_text(text)
    (tmp_path / "base.yaml").write_text(BASE)
    return tmp_path


@pytest.mark.slow
def test_the_added_memory_is_chosen_tuned_and_trained(project):
    """Sweeps over one of its keys, with its own default for the other, and over no memory."""
    done = run_in(
        project,
        "train.py -m --config-path=. --config-name=base.yaml hydra.sweep.dir=out "
        "hydra.sweeper.n_jobs=1 hydra.sweeper.duplicates=drop trainer.updates=1 "
        "model/memory=toy,none model.toy.size=3,5",
    )
    assert done.returncode == 0, done.stderr
    found = []
    for number in range(3):
        job = project / f"out/{number}/0"
        assert json.loads((job / "result.json").read_text())["updates"] == 1
        model = yaml.safe_load((job / ".hydra/config.yaml").read_text())["model"]
        assert (model["recurrence"], model["transformer"]) == (None, None)
        weights = torch.load(job / "checkpoints/default-1.pt", weights_only=False)["model"]
        found.append((model["toy"], weights["hidden.0.weight"].shape[1]))
    toys = [({"decay": 0.75, "size": size}, size) for size in (3, 5)]
    assert found == [*toys, (None, 8)]
