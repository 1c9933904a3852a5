"""Reads and writes YAML by the rules of YAML 1.2, and remembers the line of every key it read.

``no`` is a string and ``3e-4`` a float (PyYAML reads them as False and as a string). Duplicate
keys, tags, several documents and files that are not text are refused with their line.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from neroRL.errors import ConfigError, Problem

# The core schema of YAML 1.2.2, section 10.3.2.
_NULL = re.compile(r"null|Null|NULL|~|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_ZERO = re.compile(r"[-+.0]*[1-9]")
_INFINITY = re.compile(r"([-+]?)\.(inf|Inf|INF)")
_NAN = re.compile(r"\.(nan|NaN|NAN)")
_CORE_TAG = "tag:yaml.org,2002:"

Keys = tuple[Hashable, ...]

DEEPEST = 50
MOST_VALUES = 1_000_000
MOST_DIGITS = sys.int_info.default_max_str_digits


@dataclass
class Document:
    """A YAML file.

    Attributes:
        path: where it was read from, as the user gave it.
        data: its content as plain Python; None for an empty file.
        lines: line of every key and list item, counted from 1, by the path of keys to it.
        text: the file's content.
    """

    path: Path
    data: Any
    lines: dict[Keys, int] = field(default_factory=dict)
    text: str = ""

    def where(self, keys: Keys) -> str:
        """``FILE:LINE`` of a key, or of the nearest key above it that the file has."""
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.lines:
                return f"{self.path}:{self.lines[keys[:length]]}"
        return str(self.path)


def read_document(path: Path) -> Document:
    """Reads one YAML file.

    Args:
        path: the file.

    Returns:
        Its content and lines.

    Raises:
        ConfigError: the file is missing, a directory, not UTF-8, not YAML, holds several
            documents, a duplicate key, a tag, or a key that is no scalar.
    """
    text = read_text(path)
    try:
        return _document(path, text)
    except RecursionError:
        message = f"nested more than {DEEPEST} deep"
        raise ConfigError([Problem("", message, str(path))]) from None


def _document(path: Path, text: str) -> Document:
    try:
        nodes = list(YAML(typ="safe", pure=True).compose_all(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        problem = (error.problem or str(error)).strip().splitlines()[0]
        raise _error(path, line, f"not valid YAML: {problem} (column {column})") from None
    except YAMLError as error:
        raise _error(path, 1, f"not valid YAML: {str(error).strip().splitlines()[0]}") from None
    if len(nodes) > 1:
        line = nodes[1].start_mark.line + 1
        raise _error(path, line, f"{len(nodes)} documents in one file; expected one")
    document = Document(path=path, data=None, text=text)
    if nodes and nodes[0] is not None:
        document.data = _Constructor(document).construct(nodes[0], ())
    return document


def read_text(path: Path) -> str:
    """Reads a text file.

    Raises:
        ConfigError: the file is missing, a directory, not UTF-8, or cannot be read.
    """
    resolved = path.resolve()
    shown = f"{path}" if path.is_absolute() else f"{path} ({resolved})"
    if not path.exists():
        raise ConfigError([Problem("", f"{shown} does not exist")])
    if path.is_dir():
        raise ConfigError([Problem("", f"{shown} is a directory; expected a YAML file")])
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise _error(path, line, f"not UTF-8: {error.reason}; save the file as UTF-8") from None
    except OSError as error:
        raise ConfigError([Problem("", f"{shown} cannot be read: {error.strerror}")]) from None


def _error(path: Path, line: int, message: str) -> ConfigError:
    return ConfigError([Problem("", message, f"{path}:{line}")])


class _Constructor:
    """Builds plain Python from YAML nodes and notes the line of every key."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._seen: set[int] = set()
        self._count = 0  # of values that an alias writes out once more
        self._open: set[int] = set()  # nodes being built: an alias to one of them is a cycle

    def construct(self, node: Node, keys: Keys) -> Any:
        self._document.lines.setdefault(keys, node.start_mark.line + 1)
        self._count += id(node) in self._seen
        self._seen.add(id(node))
        if len(keys) > DEEPEST:
            raise self._refused(node, f"nested more than {DEEPEST} deep")
        if self._count > MOST_VALUES:  # aliases of aliases multiply
            raise self._refused(node, f"aliases write out more than {MOST_VALUES:,} values")
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if id(node) in self._open:
            raise self._refused(node, "an alias that contains itself")
        self._open.add(id(node))
        try:
            if isinstance(node, SequenceNode):
                self._check_tag(node, "seq")
                return [self.construct(item, (*keys, i)) for i, item in enumerate(node.value)]
            assert isinstance(node, MappingNode)
            self._check_tag(node, "map")
            return self._mapping(node, keys)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: MappingNode, keys: Keys) -> dict[Hashable, Any]:
        mapping: dict[Hashable, Any] = {}
        merged: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                raise self._refused(key_node, "a key must be a scalar")
            if key_node.value == "<<" and key_node.style is None:
                value = self.construct(value_node, (*keys, "<<"))
                for source in value if isinstance(value, list) else [value]:
                    if not isinstance(source, dict):
                        message = f"<< takes a map or a list of maps, not {source!r:.80}"
                        raise self._refused(key_node, message)
                    merged = {**source, **merged}
                continue
            key = self._scalar(key_node)
            if key in mapping:
                first = self._document.lines[(*keys, key)]
                raise self._refused(key_node, f"key {key!r} is given twice, first in line {first}")
            self._document.lines[(*keys, key)] = key_node.start_mark.line + 1
            mapping[key] = self.construct(value_node, (*keys, key))
        return {**merged, **mapping}

    def _scalar(self, node: ScalarNode) -> Any:
        tag = str(node.tag)
        if not tag.startswith(_CORE_TAG) or tag.startswith(f"{_CORE_TAG}python"):
            raise self._refused(node, f"the tag {tag} is not allowed; write plain values")
        if node.style is not None or (tag == f"{_CORE_TAG}str" and _is_explicit(node)):
            return node.value
        try:
            value = parse_scalar(node.value)
        except ValueError:
            message = f"a number of {len(node.value)} digits; at most {MOST_DIGITS} are read"
            raise self._refused(node, message) from None
        if value == 0 and _NOT_ZERO.match(node.value):
            raise self._refused(node, f"{node.value} is nearer to 0 than numbers can be")
        return value

    def _check_tag(self, node: Node, expected: str) -> None:
        if str(node.tag) != f"{_CORE_TAG}{expected}":
            raise self._refused(node, f"the tag {node.tag} is not allowed; write plain values")

    def _refused(self, node: Node, message: str) -> ConfigError:
        return _error(self._document.path, node.start_mark.line + 1, message)


def _is_explicit(node: ScalarNode) -> bool:
    """Returns whether ``!!str`` was written before a plain scalar."""
    start, end = node.start_mark.index, node.end_mark.index
    written: bool = end - start != len(node.value)
    return written


def parse_scalar(text: str) -> Any:
    """Reads a plain scalar by the core schema of YAML 1.2 (section 10.3.2 of its text).

    Raises:
        ValueError: an integer has more digits than Python reads.
    """
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if _INT.fullmatch(text):
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if _HEX.fullmatch(text):
        return int(text[2:], 16)
    if _FLOAT.fullmatch(text):
        return float(text)
    if match := _INFINITY.fullmatch(text):
        return float(f"{match[1]}inf")
    if _NAN.fullmatch(text):
        return float("nan")
    return text


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Quotes every string that YAML 1.1 or YAML 1.2 would read as something else."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


_PLAIN = re.compile(r"[A-Za-z_][\w./-]*")
# Booleans of YAML 1.1.
_WORDS = ("y", "n", "yes", "no", "on", "off")


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = _PLAIN.fullmatch(text) and parse_scalar(text) == text and text.lower() not in _WORDS
    style = None if plain else "'"
    return dumper.represent_scalar(f"{_CORE_TAG}str", text, style=style)


def _represent_enum(dumper: yaml.SafeDumper, value: Enum) -> yaml.ScalarNode:
    return dumper.represent_scalar(f"{_CORE_TAG}str", value.name)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_multi_representer(Enum, _represent_enum)


def dump_yaml(data: Any) -> str:
    """Writes plain Python as YAML that readers of version 1.1 and 1.2 read alike."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1000)
    return text


def text_of_value(value: Any) -> str:
    """Returns the YAML text of a value; strings that look like something else are quoted."""
    if isinstance(value, str):
        plain = parse_scalar(value) == value and not value.startswith(("'", "[", "{"))
        return value if plain else f"'{value}'"
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        value = int(value)  # equal numbers have equal texts
    return json.dumps(value, ensure_ascii=False)
