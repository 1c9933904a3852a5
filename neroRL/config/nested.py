"""Walks nested mappings by the dotted paths of their keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def paths_and_values(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields every dotted path of a nested mapping and its value, sections included.

    >>> list(paths_and_values({"trainer": {"gamma": 0.9}}))
    [('trainer', {'gamma': 0.9}), ('trainer.gamma', 0.9)]
    """
    for key, value in mapping.items():
        yield f"{prefix}{key}", value
        if isinstance(value, Mapping):
            yield from paths_and_values(value, f"{prefix}{key}.")


def flat(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of a nested mapping by their dotted paths, without its sections."""
    return {
        path: value for path, value in paths_and_values(mapping) if not isinstance(value, Mapping)
    }
