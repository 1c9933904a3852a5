"""Compares the files that a job leaves in ``.hydra`` with those that Hydra itself writes."""

from __future__ import annotations

import pytest
from hydra import compose, initialize_config_dir
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from neroRL.composition.run import _dump_sections, _raw
from neroRL.composition.source import shipped_conf
from neroRL.config.documents import dump_yaml

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
SECTIONS = st.recursive(SCALARS, lambda inner: st.dictionaries(st.text(), inner) | st.lists(inner))
MAPPINGS = st.dictionaries(st.sampled_from("abc"), SECTIONS, min_size=1)


def test_the_raw_content_of_a_config_is_what_omegaconf_gives():
    with initialize_config_dir(str(shipped_conf()), version_base="1.3"):
        config = compose("minigrid", return_hydra_config=True)
    assert "${" in str(_raw(config))
    assert _raw(config) == OmegaConf.to_container(config)


@pytest.mark.slow
@given(st.lists(MAPPINGS, min_size=1, max_size=4))
def test_sections_written_one_by_one_are_the_whole(mappings):
    for mapping in mappings:  # each uses the cache that the one before has left
        assert _dump_sections(mapping) == dump_yaml(mapping)
        assert _dump_sections(mapping, "parent") == dump_yaml({"parent": mapping})


def test_a_section_that_only_looks_equal_is_written_anew():
    for value, text in ((1, "a: 1\n"), (True, "a: true\n"), (1.0, "a: 1.0\n")):
        assert _dump_sections({"a": value}) == text
