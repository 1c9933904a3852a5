"""Tests that values reach a job exactly as written, through Hydra's grammar and back."""

from __future__ import annotations

import math

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from neroRL.composition.overrides import override_key, override_value, parse, value_text

keys = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True).filter(
    lambda key: key not in ("null", "true", "false", "inf", "nan")
)
# "${" begins an interpolation, so no text contains it.
texts = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=20).filter(
    lambda text: "${" not in text
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | texts
    | st.floats(allow_nan=False, allow_infinity=False)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
)


@given(values)
def test_round_trip(value):
    text = f"some.key={value_text(value)}"
    override = OverridesParser.create().parse_override(text)
    assert not override.is_sweep_override()
    arrived = override_value(text)
    assert arrived == value
    assert _types(arrived) == _types(value)


@pytest.mark.parametrize("value", ["1e3", "no", "null", "true", "inf", "~", "", " x ", "é"])
def test_strings_that_look_like_something_else(value):
    assert override_value(f"k={value_text(value)}") == value


@pytest.mark.parametrize("value", ["a,b", "a=b", "it's", 'say "x"', "{a: b}", "[1]", "#x", "$x"])
@pytest.mark.parametrize("end", ["", "\\", "\\'", "'\\''"])
def test_strings_with_special_characters_of_the_grammar(value, end):
    assert override_value(f"k={value_text(value + end)}") == value + end


@pytest.mark.parametrize(
    "text", ["${oc.decode:'4'}", '${oc.decode:"4"}', 'it\'s "${x}"', "it's ${x}", "\\${a'\"b}"]
)
def test_interpolations_may_stand_beside_quotes(text):
    """Hydra's list of overrides has them as they are written, and resolves it."""
    override = f"k={value_text(text)}"
    assert override_value(override) == text
    listed = OmegaConf.create({"x": 1, "overrides": [override]})
    assert listed.overrides[0].startswith("k=")


def test_interpolations_stay_interpolations():
    text = value_text("${trainer.gamma}")
    parsed = override_value(f"k={text}")
    config = OmegaConf.create({"trainer": {"gamma": 0.5}, "k": parsed})
    assert config.k == 0.5


def test_floats_keep_every_bit():
    for number in (0.1, 1e-5, 3e-4, 1 / 3, math.pi * 1e300, 5e-324):
        assert override_value(f"k={value_text(number)}") == number


@pytest.mark.parametrize(("text", "key"), [("+a.b=1", "a.b"), ("~a", "a"), ("a/b@c=x", "a/b")])
def test_key_of_an_override(text, key):
    assert override_key(text) == key


def _types(value):
    if isinstance(value, list):
        return [_types(item) for item in value]
    if isinstance(value, dict):
        return {key: _types(item) for key, item in value.items()}
    return type(value)


@given(
    st.sampled_from(["seed", "trainer.gamma", "a_1.b2", "hydra.sweeper.job.permutation"]),
    st.one_of(
        st.integers().map(repr),
        st.floats(allow_nan=False, allow_infinity=False).map(repr),
        st.from_regex(r"[0-9]{1,3}/[0-9]{1,3}", fullmatch=True),
        st.from_regex(r"-?[0-9]{1,3}(\.[0-9]{0,3})?([eE][-+]?[0-9]{1,2})?", fullmatch=True),
    ),
)
def test_numbers_and_directories_are_parsed_as_hydra_parses_them(key, text):
    override = f"{key}={text}"
    ours, hydras = parse(override), OverridesParser.create().parse_override(override)
    assert (ours, type(ours.value())) == (hydras, type(hydras.value()))
