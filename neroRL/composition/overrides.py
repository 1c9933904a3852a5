"""Writes and reads values in Hydra's grammar of overrides."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import (
    Override,
    OverrideType,
    Quote,
    QuotedString,
    ValueType,
)
from omegaconf import DictConfig, ListConfig, OmegaConf, grammar_parser
from omegaconf.errors import GrammarParseError

from neroRL.composition.grammar import parser

Compose = Callable[[Sequence[str]], DictConfig]
"""Composes a config from overrides."""

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
# A key and a number, or two numbers and a slash: the overrides that differ between jobs.
_KEY = r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)"
_NUMBER = re.compile(_KEY + r"=(-?(?:0|[1-9]\d*)(\.\d+)?(e[-+]?\d+)?)", re.ASCII)
_DIRECTORY = re.compile(_KEY + r"=(\d+/\d+)", re.ASCII)
# Backslashes before it are doubled, as they would escape it themselves.
_INTERPOLATION = re.compile(r"(\\*)\$\{")
_NEEDS_NO_QUOTES = re.compile(r"[a-zA-Z./][\w./-]*", re.ASCII)
_RESERVED = {"null", "true", "false", "inf", "nan"}


def value_text(value: Any) -> str:
    """Writes a value in the grammar of Hydra's overrides.

    Args:
        value: None, a boolean, a finite number, a string, or lists and maps of them.

    Returns:
        Text that Hydra parses to the same value, of the same type. A string that holds ``${…}``
        is an interpolation, as anywhere in Hydra.

    Raises:
        ValueError: Hydra's grammar cannot write a key of a map, or an interpolation's quotes.
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return QuotedString(value, _quote_of(value)).with_quotes()
    if isinstance(value, list):
        return f"[{','.join(value_text(item) for item in value)}]"
    if isinstance(value, Mapping):
        pairs = (f"{_key_text(key)}:{value_text(item)}" for key, item in value.items())
        return f"{{{','.join(pairs)}}}"
    raise ValueError(f"{value!r} is not a plain value")


def plain_text(value: Any) -> str:
    """Writes a value as :func:`value_text` does, but without needless quotes."""
    if isinstance(value, str) and _NEEDS_NO_QUOTES.fullmatch(value):
        return value if value.lower() not in _RESERVED else value_text(value)
    return value_text(value)


def escaped(value: Any) -> Any:
    """Escapes each ``${`` in plain Python, so that OmegaConf reads it as text."""
    if isinstance(value, str):
        return _INTERPOLATION.sub(lambda found: f"{2 * found[1]}\\${{", value)
    if isinstance(value, list):
        return [escaped(item) for item in value]
    if isinstance(value, Mapping):
        return {key: escaped(item) for key, item in value.items()}
    return value


def _quote_of(text: str) -> Quote:
    """Returns the quotes for a text.

    Hydra records overrides as they are written, and OmegaConf reads interpolations in them, with
    the quotes of their arguments escaped.
    """
    if "${" not in text or "'" not in text:
        return Quote.single
    for quote in (Quote.single, Quote.double):
        with contextlib.suppress(GrammarParseError):
            grammar_parser.parse(QuotedString(text, quote).with_quotes())
            return quote
    raise ValueError(f"{text!r}: an interpolation with both kinds of quotes cannot be passed")


def _key_text(key: object) -> str:
    if isinstance(key, str) and _PLAIN_KEY.fullmatch(key) and key.lower() not in _RESERVED:
        return key
    raise ValueError(f"the key {key!r} of a map cannot be passed through Hydra")


@functools.lru_cache(maxsize=65536)
def parse(text: str) -> Override:
    """Parses one override, as Hydra does; cached, since the same choices recur in many jobs."""
    value: int | float | str
    if number := _NUMBER.fullmatch(text):
        key, digits, fraction, exponent = number.groups()
        value = float(digits) if fraction or exponent else int(digits)
    elif directory := _DIRECTORY.fullmatch(text):
        key, value = directory.groups()
    else:
        return parser().parse_override(text)
    return Override(
        type=OverrideType.CHANGE,
        key_or_group=key,
        value_type=ValueType.ELEMENT,
        _value=value,
        input_line=text,
    )


def override_text(key: str, value: Any, groups: Collection[str]) -> str:
    """Writes the override of a choice.

    Args:
        key: a dotted path, or the name of a config group.
        value: of the key; a string is the name of a group's config, if the key is a group.
        groups: names of the config groups.

    Raises:
        ValueError: Hydra's grammar cannot write the value.
    """
    is_name = key in groups and isinstance(value, str)
    return f"{key}={value if is_name else value_text(value)}"


def override_key(text: str) -> str:
    """Returns the key an override sets, without the prefixes ``+`` and ``~``."""
    return text.split("=", 1)[0].lstrip("+~").split("@", 1)[0]


def override_value(text: str) -> Any:
    """Returns the plain value an override sets; the name, for a choice of a config group."""
    value = parse(text).value()
    if isinstance(value, DictConfig | ListConfig):
        return OmegaConf.to_container(value)
    return value
