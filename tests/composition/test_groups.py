"""Tests that config groups are looked up, not listed: a directory may hold thousands of others."""

from __future__ import annotations

from hydra._internal.config_search_path_impl import ConfigSearchPathImpl
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins

from neroRL.composition.groups import MOST_GROUPS, ConfigGroups
from neroRL.composition.loader import ChoosingLoader


class _Counting(ChoosingLoader):
    """Counts how often a directory is listed."""

    count = 0

    def get_group_options(self, group_name, results_filter=ObjectType.CONFIG, *rest, **more):
        self.count += 1
        return super().get_group_options(group_name, results_filter, *rest, **more)


def _loader(directory):
    Plugins.instance()  # which registers the kinds of sources
    path = ConfigSearchPathImpl()
    path.append("test", f"file://{directory}")
    return _Counting(path)


def test_groups_are_those_that_hydra_lists(tmp_path):
    for name in ("model/memory/gru", "model/memory/lstm", "environment/cartpole", "base"):
        path = tmp_path / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    groups = ConfigGroups(_loader(tmp_path))
    assert groups["model/memory"] == ["gru", "lstm"]
    assert groups["model"] == []
    assert set(groups) == {"model", "model/memory", "environment"}
    for key in ("trainer.gamma", "model/memories", "hydra", "hydra/launcher", "", "/", "../model"):
        assert key not in groups


def test_the_jobs_of_earlier_sweeps_beside_a_base_config_cost_nothing(tmp_path):
    for number in range(1500):
        (tmp_path / f"grid_search/run/{number}/0/.hydra").mkdir(parents=True)
    loader = _loader(tmp_path)
    groups = ConfigGroups(loader)
    assert "model/memory" not in groups
    assert "trainer.gamma" not in groups
    assert loader.count <= 6
    assert len(groups) == MOST_GROUPS
