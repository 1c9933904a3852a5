"""Keys that exist under some choices of a sweep only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf, open_dict

from neroRL.composition.choices import (
    CONDITIONAL,
    ENVIRONMENT,
    RESET_PARAMS,
    TYPE,
    takes_any_parameter,
)
from neroRL.composition.overrides import parse


def make_room(config: DictConfig, overrides: Iterable[Override], kind: str | None = None) -> None:
    """Adds the reset parameters that overrides set, if the environment's type takes any.

    Args:
        config: a composed config, before the overrides change it.
        overrides: of the config.
        kind: the environment type that the overrides choose, if they choose one.
    """
    names = [
        name
        for override in overrides
        if override.type is OverrideType.CHANGE
        for name in _reset_params(override)
    ]
    if not names:
        return
    if kind is None:
        kind = OmegaConf.select(config, TYPE, throw_on_resolution_failure=False)
    params = OmegaConf.select(config, RESET_PARAMS)
    if takes_any_parameter(kind) and isinstance(params, DictConfig):
        with open_dict(config):
            for name in names:
                params.setdefault(name, None)


def _reset_params(override: Override) -> list[str]:
    """Returns the names of the reset parameters that an override sets."""
    key, value = override.key_or_group, override.value()
    if key == ENVIRONMENT and isinstance(value, dict):
        key, value = RESET_PARAMS, value.get("reset_params")
    if key == RESET_PARAMS and isinstance(value, dict):
        return [str(name) for name in value]
    name = key.removeprefix(f"{RESET_PARAMS}.")
    return [name] if name != key and "." not in name else []


def is_conditional(text: str) -> bool:
    """Returns whether an override may apply to some jobs only, so that only jobs take it."""
    override = parse(text)
    return override.key_or_group.startswith(CONDITIONAL) or bool(_reset_params(override))


def write(config: DictConfig, values: Mapping[str, Any], base: Mapping[str, Any]) -> None:
    """Sets the values of a chosen option, and removes those of another type."""
    with open_dict(config):
        for path, value in values.items():
            OmegaConf.update(config, path, value, merge=False, force_add=True)
        kind = values.get(TYPE)
        if kind is not None and kind != base.get(ENVIRONMENT, {}).get("type"):
            for key in list(config[ENVIRONMENT].reset_params):
                if f"{RESET_PARAMS}.{key}" not in values:
                    del config[ENVIRONMENT].reset_params[key]
