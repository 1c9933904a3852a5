"""Names that people bring from other tools get the name here as a hint."""

from __future__ import annotations

import re

import pytest

from neroRL.composition.source import shipped_conf
from neroRL.config.counterparts import COUNTERPARTS, counterpart
from neroRL.config.problems import leaf_paths
from neroRL.config.schema import Config

PATHS = set(leaf_paths(Config))


@pytest.mark.parametrize("name", COUNTERPARTS)
def test_every_counterpart_exists_and_its_name_does_not(name):
    known = COUNTERPARTS[name]
    for key in known.keys:
        assert key in PATHS or (shipped_conf() / key).is_dir(), key
    for word in re.findall(r"\b[a-z]+_[a-z_]+\b", known.note):
        assert word in {path.rpartition(".")[2] for path in PATHS}, word
    assert known.keys or known.note
    assert name not in {path.rpartition(".")[2] for path in PATHS}


def test_names_are_found_at_the_end_of_a_path_and_as_flags_are_written():
    assert counterpart("trainer.n_steps") == counterpart("n_steps")
    assert "trainer.updates" in counterpart("total-timesteps")
    assert counterpart("no_such_thing") is None


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("trainer.n_steps=128", "Stable-Baselines3's n_steps is sampler.worker_steps here"),
        ("learning_rate=1e-3", "is trainer.learning_rate_schedule.initial here"),
        ("trainer.clip_coef=0.1", "CleanRL's clip_coef is trainer.clip_range_schedule.initial"),
        ("trainer.batch_size=64,128", "a mini batch has n_workers * worker_steps / n_mini_batches"),
    ],
)
@pytest.mark.parametrize("name", ["ntune", "ntrain"])
def test_the_command_line_tells(door, tiny, tmp_path, name, override, hint):
    if name == "ntrain" and "," in override:
        override = override.partition(",")[0]
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9]\n")
    tune = ["--tune=space.yaml"] if name == "ntune" else []
    outcome = door(name, ["--config=tiny.yaml", *tune, override])
    assert outcome.status == 2
    assert hint in outcome.err
    assert {path.name for path in tmp_path.iterdir()} == {"tiny.yaml", "space.yaml"}


@pytest.mark.parametrize("name", ["ntune", "ntrain"])
def test_a_config_file_tells_with_its_line(door, tiny, tmp_path, name):
    tiny.write_text(tiny.read_text().replace("  updates: 2\n", "  updates: 2\n  ent_coef: 0.01\n"))
    line = tiny.read_text().splitlines().index("  ent_coef: 0.01") + 1
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9]\n")
    tune = ["--tune=space.yaml"] if name == "ntune" else []
    outcome = door(name, ["--config=tiny.yaml", *tune])
    assert outcome.status == 2
    assert f"tiny.yaml:{line}: trainer.ent_coef: unknown key" in outcome.err
    assert "Stable-Baselines3's ent_coef is trainer.beta_schedule.initial here" in outcome.err
