"""Completes a base config with the documented defaults."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from neroRL.config import Config, as_mapping
from neroRL.config.schema import MEMORIES, EnvironmentConfig
from neroRL.environments import registry
from neroRL.errors import NeroRLError


def defaults() -> dict[str, Any]:
    """Returns the documented default of every key, as a plain mapping."""
    return as_mapping(Config())


def complete(given: Mapping[str, Any]) -> dict[str, Any]:
    """Merges a config onto the documented defaults.

    Args:
        given: an incomplete config; unknown keys are kept for the checks to report.

    Returns:
        A new mapping. A given memory gets its own defaults, and the reset parameters get those
        of the environment's type.
    """
    base = defaults()
    model = _section(given, "model")
    for name, schema in MEMORIES.items():
        if isinstance(model.get(name), Mapping):
            base["model"][name] = dataclasses.asdict(schema())
    merged = _merge(base, given)
    environment = merged["environment"]
    if isinstance(environment, dict):
        environment["reset_params"] = _reset_params(environment)
    return merged


def _reset_params(environment: dict[str, Any]) -> Any:
    given = environment.get("reset_params") or {}
    names = {field.name for field in dataclasses.fields(EnvironmentConfig)}
    try:
        known = {key: value for key, value in environment.items() if key in names}
        return registry.reset_params(EnvironmentConfig(**{**known, "reset_params": given}))
    except (NeroRLError, ValueError, TypeError):
        return given  # the checks report the problem


def _merge(base: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in given.items():
        below = merged.get(key)
        if isinstance(value, Mapping) and isinstance(below, dict):
            merged[key] = _merge(below, value)
        elif value is not None or not isinstance(below, dict):
            merged[key] = dict(value) if isinstance(value, Mapping) else value
    return merged


def _section(mapping: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    section = mapping.get(key)
    return section if isinstance(section, Mapping) else {}
