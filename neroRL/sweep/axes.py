"""Collects the axes of a sweep from the tuning file and the command line."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import DictConfig

from neroRL.composition.checking import COMMAND_LINE, plain
from neroRL.composition.completion import complete
from neroRL.composition.overrides import override_key, override_value, value_text
from neroRL.composition.paths import find_tuning_file
from neroRL.config.documents import Document, read_document
from neroRL.errors import ConfigError, Problem, UsageError
from neroRL.sweep.grid import Axis, Choice
from neroRL.sweep.places import decides, paths_and_values
from neroRL.sweep.search_space import HYPERPARAMETERS, KnownKeys, deciding_entries, read_axes

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
        choices = tuple(
            Choice(override_key(key), override_value(text), text, COMMAND_LINE) for text in texts
        )
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
        fixed: overrides that all jobs share and that decide which other keys there are.
        others: axes of the command line.
        loader: knows the config groups.
        compose: composes a config from overrides.

    Raises:
        ConfigError: everything that is wrong with the file.
    """
    document = read_document(find_tuning_file(name))
    groups = config_groups(loader)
    known = KnownKeys(composed_values(compose, fixed), groups)
    brought: dict[str, Any] = {}
    for axis in others:
        if decides(axis.key, [choice.value for choice in axis.choices], groups):
            for choice in axis.choices:
                brought |= _brought(compose, [*fixed, choice.override])
    for path, choices in deciding_entries(document, known):
        brought |= _brought_by_entry(document, path, choices, groups, fixed, compose)
    return read_axes(document, replace(known, further=brought))


def config_groups(loader: ConfigLoader) -> dict[str, list[str]]:
    """The config groups, e.g. ``model/memory``, and the configs in each."""
    return {group: loader.get_group_options(group) for group in _groups(loader)}


def telling(loader: ConfigLoader, key: str) -> frozenset[str]:
    """The paths that tell the options of a config group apart; none where a key is no group."""
    found: frozenset[str] = loader.telling(key)  # type: ignore[attr-defined]
    return found


def of_record(recorded: Mapping[str, Sequence[Any]], groups: Collection[str]) -> list[Axis]:
    """The axes of a sweep that was recorded, by key, with their choices."""
    return [
        Axis(
            key,
            tuple(
                Choice(key, value, f"{key}={value if key in groups else value_text(value)}")
                for value in values
            ),
        )
        for key, values in recorded.items()
    ]


def composed_values(compose: Compose, overrides: Sequence[str]) -> dict[str, Any]:
    """The composed config as plain Python, complete and with interpolations resolved."""
    return complete(plain(compose(overrides)))


def _brought(compose: Compose, overrides: Sequence[str]) -> dict[str, Any]:
    """Every path of a config and its value; nothing where the config cannot be composed."""
    try:
        return dict(paths_and_values(composed_values(compose, overrides)))
    except (HydraException, ConfigError):
        return {}  # the checks of the permutations tell why


def _brought_by_entry(
    document: Document,
    path: str,
    choices: Sequence[Any],
    groups: Mapping[str, Sequence[str]],
    fixed: Sequence[str],
    compose: Compose,
) -> dict[str, Any]:
    """Every path that the choices of an entry bring, and its value.

    Raises:
        ConfigError: the base config has no place for a group.
    """
    brought: dict[str, Any] = {}
    if path not in groups:
        for choice in choices:
            with contextlib.suppress(ValueError):  # read_axes tells what is wrong with the choice
                brought |= _brought(compose, [*fixed, f"{path}={value_text(choice)}"])
        return brought
    known = [choice for choice in choices if choice in groups[path]]
    for choice in known:
        try:
            brought |= dict(
                paths_and_values(composed_values(compose, [*fixed, f"{path}={choice}"]))
            )
        except ConfigCompositionException as error:
            where = document.where((HYPERPARAMETERS, path))
            message = f"cannot be chosen for this base config: {str(error).splitlines()[0]}"
            raise ConfigError([Problem(path, message, where)]) from None
    return brought


def check_keys_given_twice(
    axes: Sequence[Axis], others: Sequence[Axis], fixed: Sequence[str]
) -> None:
    """Refuses keys that are swept twice; a value given besides belongs to the base config.

    Args:
        axes: of the tuning file.
        others: of the command line.
        fixed: overrides that all jobs share.

    Raises:
        ConfigError: a key is swept in the file and on the command line.
    """
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
