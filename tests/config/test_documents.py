"""Tests that YAML 1.2 is read with its line numbers, and that YAML 1.1 reads what is written."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from neroRL.config import documents
from neroRL.config.documents import dump_yaml, parse_scalar, read_document
from neroRL.errors import ConfigError

texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x85\ufeff"))
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | texts
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=10,
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("true", True), ("3e-4", 3e-4), ("1e3", 1000.0),
        ("012", 12), ("0o14", 12), ("0x1F", 31), ("1:30", "1:30"), ("1_000", "1_000"), ("", None),
        ("~", None), ("null", None), ("Null", None), (".5", 0.5), ("-.inf", float("-inf")),
        ("+7", 7), ("1.", 1.0), ("2001-01-01", "2001-01-01"), ("=", "="),
    ],
)  # fmt: skip
def test_scalars_of_yaml_1_2(text, value):
    parsed = parse_scalar(text)
    assert parsed == value
    assert type(parsed) is type(value)


@given(st.dictionaries(texts, plain, min_size=1))
def test_written_content_is_read_back(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("yaml") / "file.yaml"
    path.write_text(dump_yaml(content), encoding="utf-8")
    assert read_document(path).data == content


@given(st.lists(texts))
def test_strings_are_strings_for_readers_of_yaml_1_1_too(content):
    assert yaml.safe_load(dump_yaml(content)) == content


def test_lines_of_keys_and_items(tmp_path):
    path = tmp_path / "file.yaml"
    path.write_text("a:\n  b: [1,\n      2]\n# comment\nc:\n  - x\n  - {d: 1}\n")
    document = read_document(path)
    assert document.data == {"a": {"b": [1, 2]}, "c": ["x", {"d": 1}]}
    lines = {key: document.lines[key] for key in (("a",), ("a", "b"), ("a", "b", 1), ("c", 1, "d"))}
    assert lines == {("a",): 1, ("a", "b"): 2, ("a", "b", 1): 3, ("c", 1, "d"): 7}
    assert document.where(("a", "b", "nowhere")) == f"{path}:2"


def test_anchors_merge(tmp_path):
    path = tmp_path / "file.yaml"
    path.write_text("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n")
    assert read_document(path).data["use"] == {"x": 1, "y": 3}


def test_only_what_aliases_repeat_is_limited(tmp_path, monkeypatch):
    """A record of a sweep has as many values as the sweep; aliases of aliases multiply."""
    monkeypatch.setattr(documents, "MOST_VALUES", 10)
    path = tmp_path / "file.yaml"
    path.write_text(f"a: {list(range(20))}\nb: &b [1, 2]\nc: [*b, *b, *b]\n")
    assert read_document(path).data["c"] == [[1, 2]] * 3
    path.write_text("b: &b [1, 2]\nc: [*b, *b, *b, *b]\n")
    with pytest.raises(ConfigError, match="aliases write out more than 10 values"):
        read_document(path)


def test_an_alias_that_contains_itself_is_refused(tmp_path):
    path = tmp_path / "file.yaml"
    path.write_text("a: &a [*a]\n")
    with pytest.raises(ConfigError, match="contains itself"):
        read_document(path)
