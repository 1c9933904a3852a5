"""Tests that shipped YAML files name only what they change, so that readers see what is special."""

from __future__ import annotations

import dataclasses

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.plugins import Plugins
from omegaconf import OmegaConf

from neroRL.composition.completion import complete
from neroRL.composition.source import (
    FileSource,
    PrimarySearchPath,
    PrimarySource,
    shipped_conf,
)
from neroRL.config.documents import read_document
from neroRL.config.nested import flat
from neroRL.config.schema import MEMORIES

CONF = shipped_conf()
CONFIGS = sorted(path.stem for path in CONF.glob("*.yaml") if path.stem != "default")
ENVIRONMENTS = sorted(path.stem for path in (CONF / "environment").glob("*.yaml"))
MEMORY_FILES = sorted(path.stem for path in (CONF / "model/memory").glob("*.yaml"))


def _surplus(given, below):
    """Returns the paths whose values the config has without the file."""
    return [path for path, value in given.items() if path in below and below[path] == value]


def _compose(path):
    for plugin in (FileSource, PrimarySource, PrimarySearchPath):
        Plugins.instance().register(plugin)
    PrimarySearchPath.primary = path
    with initialize_config_dir(str(path.parent), version_base="1.3"):
        return OmegaConf.to_container(compose(path.stem))


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_names_only_what_it_changes(name, tmp_path):
    content = read_document(CONF / f"{name}.yaml").data
    choices = content.pop("defaults")
    (tmp_path / "choices.yaml").write_text(yaml.safe_dump({"defaults": choices}))
    below = _compose(tmp_path / "choices.yaml")
    assert _surplus(flat(content), flat(below)) == []


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_names_no_choice_that_the_default_config_makes(name):
    default = read_document(CONF / "default.yaml").data["defaults"]
    chosen = read_document(CONF / f"{name}.yaml").data["defaults"]
    assert (default[-1], chosen[0], chosen[-1]) == ("_self_", "default", "_self_")
    made = [
        {f"override {group}": option} for entry in default[:-1] for group, option in entry.items()
    ]
    assert [entry for entry in chosen if entry in made] == []


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_an_environment_names_itself_and_what_differs_from_its_type(name):
    content = read_document(CONF / f"environment/{name}.yaml").data
    kind = {"type": content.pop("type"), "name": content.pop("name")}
    below = complete({"environment": kind})["environment"]
    assert _surplus(flat(content), flat(below)) == []


@pytest.mark.parametrize("name", MEMORY_FILES)
def test_a_memory_names_all_of_its_keys(name):
    """Hydra composes these files as they are; nothing below them has the keys of a memory."""
    content = read_document(CONF / f"model/memory/{name}.yaml").data
    given = {section: values for section, values in content.items() if values is not None}
    assert len(given) == (name != "none")
    for section, values in given.items():
        assert list(values) == [field.name for field in dataclasses.fields(MEMORIES[section])]
