"""Turns pydantic's findings into problems that name the key, the value and what is allowed."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import ValidationError

from neroRL.config.counterparts import counterpart_hint
from neroRL.errors import Problem
from neroRL.texts import did_you_mean

UNKNOWN_KEY = "unexpected_keyword_argument"
_TINY = re.compile(r"0\.0{4,}\d+")


def problems_of(error: ValidationError, root: str, schema: type) -> list[Problem]:
    """Translates what pydantic found wrong.

    Args:
        error: raised when a mapping was validated against ``schema``.
        root: dotted path of that mapping, empty for a whole config.
        schema: the dataclass validated against.

    Returns:
        One problem per key; the alternatives of a union are joined by "or".
    """
    messages: dict[tuple[str, ...], list[str]] = {}
    hints: dict[tuple[str, ...], str] = {}
    for finding in error.errors():
        path = _key_path(finding["loc"], schema)
        if finding["type"] == UNKNOWN_KEY:
            message = _unknown_key(path, schema)
        else:
            wanted = finding["msg"].replace("Input should be ", "").replace("a dictionary", "a map")
            wanted = wanted.split(" or an instance of ")[0]
            wanted = _TINY.sub(lambda number: f"{float(number[0]):g}", wanted)
            message = f"{_shown(finding['input'])} is not allowed; expected {wanted}"
            # Python's None is a text in YAML.
            if finding["input"] == "None" and type(None) in _alternatives(_type_at(path, schema)):
                hints[path] = "; write null for no value"
        messages.setdefault(path, []).append(message)
    # A union reports every branch; the deepest problem explains it best.
    paths = [path for path in messages if not any(_is_below(other, path) for other in messages)]
    prefix = (root,) if root else ()
    return [
        Problem(".".join(prefix + path), _joined(messages[path]) + hints.get(path, ""))
        for path in paths
    ]


def field_types(schema: type) -> dict[str, Any]:
    """Returns the keys of a configuration dataclass, by alias if they have one, and their types."""
    hints = typing.get_type_hints(schema, include_extras=True)
    return {_alias(field.name, hints[field.name]): hints[field.name] for field in _fields(schema)}


def leaf_paths(schema: type, prefix: str = "") -> Iterator[str]:
    """Yields the dotted path of every key of ``schema``, sections included, in order."""
    for key, annotation in field_types(schema).items():
        path = f"{prefix}{key}"
        yield path
        section = _dataclass_in(annotation)
        if section is not None:
            yield from leaf_paths(section, f"{path}.")


def _fields(schema: type) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(schema)


def _alias(name: str, annotation: Any) -> str:
    for entry in getattr(annotation, "__metadata__", ()):
        alias = getattr(entry, "alias", None)
        if alias is not None:
            return str(alias)
    return name


def _type_at(path: tuple[str, ...], schema: type) -> Any:
    """Returns the type of the key at a path; None where there is no such key."""
    found: Any = schema
    for part in path:
        section = _dataclass_in(found)
        found = field_types(section).get(part) if section is not None else None
    return found


def _dataclass_in(annotation: Any) -> type | None:
    """Returns the dataclass that an annotation allows, also within Annotated and unions."""
    for found in _alternatives(annotation):
        if isinstance(found, type) and dataclasses.is_dataclass(found):
            return found
    return None


def _alternatives(annotation: Any) -> Iterator[Any]:
    """Yields the types within Annotated and unions."""
    if typing.get_origin(annotation) in (Annotated, typing.Union, types.UnionType):
        for argument in typing.get_args(annotation):
            yield from _alternatives(argument)
    else:
        yield annotation


def _key_path(location: tuple[int | str, ...], schema: type) -> tuple[str, ...]:
    """Drops the tags that pydantic puts into a location for the branches of a union."""
    path: list[str] = []
    section: type | None = schema
    for index, part in enumerate(location):
        keys = field_types(section) if section is not None else {}
        by_name = {field.name for field in _fields(section)} if section is not None else set()
        if isinstance(part, int):
            path.append(str(part))
        elif part in keys:
            path.append(part)
            section = _dataclass_in(keys[part])
        elif part in by_name or (index == len(location) - 1 and not _is_tag(part)):
            path.append(part)
    return tuple(path)


def _is_tag(part: str) -> bool:
    return (
        "[" in part
        or ("-" in part and part.startswith(("constrained", "function")))
        or (part[:1].isupper())
    )


def _unknown_key(path: tuple[str, ...], schema: type) -> str:
    section = _dataclass_in(_type_at(path[:-1], schema))
    siblings = list(field_types(section)) if section is not None else []
    hint = counterpart_hint(path[-1]) or did_you_mean(path[-1], siblings)
    if not hint:
        same_name = [p for p in leaf_paths(schema) if p.rsplit(".", 1)[-1] == path[-1]]
        hint = f"; did you mean {' or '.join(same_name)}?" if same_name else ""
    return f"unknown key; allowed are {', '.join(siblings)}{hint}"


def _is_below(path: tuple[str, ...], ancestor: tuple[str, ...]) -> bool:
    return len(path) > len(ancestor) and path[: len(ancestor)] == ancestor


def _joined(messages: list[str]) -> str:
    marker = "; expected "
    first, *others = messages
    return first + "".join(
        f" or {other.split(marker, 1)[1]}" for other in others if marker in other
    )


def _shown(value: object) -> str:
    text = "null" if value is None else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
