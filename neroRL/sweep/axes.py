"""Collects the axes of a sweep from the tuning file and the command line."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig

from neroRL.composition.checking import COMMAND_LINE, plain
from neroRL.composition.overrides import override_key, override_value
from neroRL.composition.paths import find_tuning_file
from neroRL.config.documents import Document, read_document
from neroRL.errors import ConfigError, Problem, UsageError
from neroRL.sweep.grid import Axis, Choice
from neroRL.sweep.search_space import HYPERPARAMETERS, KnownKeys, read_axes

Compose = Callable[[Sequence[str]], DictConfig]


def split(
    arguments: Sequence[str], params: Mapping[str, str], loader: ConfigLoader, most_choices: int
) -> tuple[list[str], list[Axis]]:
    """Separates overrides that all jobs share from sweeps, which become axes.

    Args:
        arguments: of the command line.
        params: sweeps of the config, which those of the command line replace.
        loader: knows the choices of config groups, for ``glob``.
        most_choices: a longer range is not written out.

    Returns:
        The shared overrides, and the axes of the command line.

    Raises:
        UsageError: a sweep is no list of choices, or a range is too long.
    """
    parser = OverridesParser.create(config_loader=loader)
    given = {override_key(text) for text in arguments}
    own = [f"{key}={value}" for key, value in params.items() if key not in given]
    fixed, axes = [], []
    for override in parser.parse_overrides([*own, *arguments]):
        if not override.is_sweep_override():
            fixed.append(str(override.input_line))
            continue
        if not override.is_discrete_sweep():
            message = "an interval is no list of choices; use choice(…), range(…) or commas"
            raise UsageError(f"{override.input_line}: {message}")
        _check_length(override, most_choices)
        key = override.get_key_element()
        texts = [f"{key}={value}" for value in override.sweep_string_iterator()]
        choices = tuple(Choice(override_value(text), text) for text in texts)
        if not choices:
            raise UsageError(f"{override.input_line}: has no choices")
        axes.append(Axis(override_key(key), choices, COMMAND_LINE))
    return fixed, axes


def _check_length(override: Override, most: int) -> None:
    value = override.value()
    if not isinstance(value, RangeSweep):
        return
    assert value.start is not None and value.stop is not None  # noqa: PT018
    length = math.ceil((value.stop - value.start) / value.step) if value.step else 0
    if length > most:
        message = f"has {length:,} choices; hydra.sweeper.max_jobs allows {most:,}"
        raise UsageError(f"{override.input_line}: {message}")


def of_file(
    name: str, fixed: Sequence[str], others: Sequence[Axis], loader: ConfigLoader, compose: Compose
) -> list[Axis]:
    """The axes of a tuning file, read against a config that has the chosen groups.

    Args:
        name: path of the tuning file, or the name of a shipped one.
        fixed: overrides that all jobs share.
        others: axes of the command line.
        loader: knows the config groups.
        compose: composes a config from overrides.

    Raises:
        ConfigError: everything that is wrong with the file, or a key is swept twice.
    """
    document = read_document(find_tuning_file(name))
    groups = {group: loader.get_group_options(group) for group in _groups(loader)}
    chosen = [
        *fixed,
        *(axis.choices[0].override for axis in others if axis.key in groups),
        *_first_choices(document, groups, [*fixed], compose),
    ]
    axes = read_axes(document, KnownKeys(plain(compose(chosen)), groups))
    _check_keys_given_twice(axes, others, fixed)
    return axes


def _check_keys_given_twice(
    axes: Sequence[Axis], others: Sequence[Axis], fixed: Sequence[str]
) -> None:
    """Refuses keys that are swept twice; a value given besides belongs to the base config."""
    swept = {axis.key for axis in others}
    given = {override_key(text) for text in fixed}
    found = [
        Problem(axis.key, f"is swept here and on the {COMMAND_LINE}", axis.where)
        for axis in axes
        if axis.key in swept
    ]
    if found:
        raise ConfigError(found)
    for axis in axes:
        if axis.key in given:
            message = f"is swept here, so the value on the {COMMAND_LINE} has no effect"
            print(f"warning: {Problem(axis.key, message, axis.where)}", file=sys.stderr)


def _groups(loader: ConfigLoader, parent: str = "") -> Iterator[str]:
    """The config groups, e.g. ``model/memory``."""
    for name in loader.list_groups(parent):
        group = f"{parent}/{name}" if parent else name
        if group != "hydra":
            yield group
            yield from _groups(loader, group)


def _first_choices(
    document: Document, groups: Mapping[str, Sequence[str]], fixed: list[str], compose: Compose
) -> list[str]:
    """Overrides that choose the first config of each group a tuning file sweeps.

    Raises:
        ConfigError: the base config has no place for a group.
    """
    section: Any = document.data.get(HYPERPARAMETERS) if isinstance(document.data, dict) else None
    found = []
    for key, choices in section.items() if isinstance(section, dict) else ():
        if key not in groups or not isinstance(choices, list):
            continue
        known = [f"{key}={choice}" for choice in choices if choice in groups[key]]
        try:
            compose([*fixed, *known[:1]])
        except ConfigCompositionException as error:
            where = document.where((HYPERPARAMETERS, key))
            message = f"cannot be chosen for this base config: {str(error).splitlines()[0]}"
            raise ConfigError([Problem(key, message, where)]) from None
        found += known[:1]
    return found
