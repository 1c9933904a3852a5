"""Compares the repository that reads once with Hydra's own."""

from __future__ import annotations

import copy

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra.core.plugins import Plugins
from hydra.types import RunMode
from omegaconf import OmegaConf

from neroRL.composition.alone import make_primary
from neroRL.composition.loader import ChoosingLoader
from neroRL.composition.repository import ReadOnceRepository
from neroRL.composition.source import PrimarySearchPath, shipped_conf


def _search_path(directory, provider="main"):
    Plugins.instance()  # which registers the kinds of sources
    path = ConfigSearchPathImpl()
    path.append("hydra", "pkg://hydra.conf")
    path.append(provider, f"file://{directory}")
    path.append("schema", "structured://")
    return path


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/small.yaml").write_text("units: 8\n")
    (tmp_path / "model/big.yaml").write_text("units: 64\n")
    (tmp_path / "base.yaml").write_text("defaults: [{model: small}, _self_]\nseed: 1\n")
    (tmp_path / "elsewhere/other").mkdir(parents=True)
    (tmp_path / "elsewhere/other/far.yaml").write_text("# @package _global_\nseed: 7\n")
    return tmp_path


def _composed(repository_type, directory, overrides):
    loader = ConfigLoaderImpl(_search_path(directory))
    loader.repository = repository_type(_search_path(directory))
    found = []
    for _ in range(2):
        config = loader.load_configuration("base", list(overrides), RunMode.RUN)
        found.append(OmegaConf.to_yaml(config))
        config.seed = 99  # what a caller changes is not read by the next
    return found


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["model=big", "seed=3"],
        ["hydra/job_logging=disabled", "hydra.job.chdir=true"],
        ["hydra.searchpath=[{0}/elsewhere]", "+other=far"],
    ],
)
def test_it_composes_what_hydras_own_does(directory, overrides):
    overrides = [text.format(directory) for text in overrides]
    first, second = _composed(ReadOnceRepository, directory, overrides)
    assert first == second == _composed(ConfigRepository, directory, overrides)[0]


def test_copies_share_what_was_read_until_they_take_a_search_path(directory):
    repository = ReadOnceRepository(_search_path(directory))
    assert repository.load_config("model/small").config == {"units": 8}
    (directory / "model/small.yaml").write_text("units: 16\n")
    copied = copy.deepcopy(repository)
    assert copied.load_config("model/small").config == {"units": 8}
    copied.initialize_sources(_search_path(directory))
    assert copied.load_config("model/small").config == {"units": 16}
    assert repository.load_config("model/small").config == {"units": 8}
    assert copied.get_sources() is not repository.get_sources()


def test_configs_that_do_not_exist_are_none():
    repository = ReadOnceRepository(_search_path(shipped_conf()))
    assert [repository.load_config("model/nothing") for _ in range(2)] == [None, None]


def _chosen(loader, overrides):
    return OmegaConf.to_yaml(loader.load_configuration("sized", overrides, RunMode.RUN))


@pytest.mark.slow
def test_what_a_loader_keeps_changes_no_later_composition(tmp_path):
    """Each choice of two groups that set the same key is what a new loader composes."""
    (tmp_path / "model/size").mkdir(parents=True)
    for name, units in (("small", 16), ("big", 24)):
        text = f"# @package model\nrecurrence: {{hidden_state_size: {units}}}\n"
        (tmp_path / f"model/size/{name}.yaml").write_text(text)
    groups = "{model/size: small}, {override model/memory: gru}"
    (tmp_path / "sized.yaml").write_text(f"defaults: [default, _self_, {groups}]\n")

    def loader():
        make_primary(tmp_path / "sized.yaml")
        path = _search_path(tmp_path)
        PrimarySearchPath().manipulate_search_path(path)
        return ChoosingLoader(path)

    choices = [
        [f"model/size={size}", f"model/memory={memory}", f"environment={environment}"]
        for size in ("small", "big")
        for memory in ("none", "gru", "lstm")
        for environment in ("cartpole", "minigrid")
    ]
    expected = [_chosen(loader(), overrides) for overrides in choices]
    assert len(set(expected)) == len(choices)
    one = loader()
    assert [_chosen(one, overrides) for overrides in choices] == expected
    assert [_chosen(one, overrides) for overrides in choices[::-1]] == expected[::-1]
