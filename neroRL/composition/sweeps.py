"""Separates the sweeps of a command line from the overrides that all jobs share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override

from neroRL.composition.checking import COMMAND_LINE
from neroRL.composition.grammar import elements, parse_all
from neroRL.composition.overrides import override_key, plain_text
from neroRL.errors import UsageError
from neroRL.texts import shortened

PARAMS = "hydra.sweeper.params"


@dataclass(frozen=True)
class KeySweep:
    """The sweep of one key.

    Attributes:
        key: its dotted path, or the name of a config group.
        choices: each value, and the override that sets it.
        where: "command line", or the option that holds it.
    """

    key: str
    choices: tuple[tuple[Any, str], ...]
    where: str = COMMAND_LINE


def split(
    arguments: Sequence[str],
    params: Mapping[str, str],
    loader: ConfigLoader,
    problem_of: Callable[[str, object], str | None],
    most_choices: int,
) -> tuple[list[str], list[KeySweep]]:
    """Separates overrides that all jobs share from sweeps.

    As in Hydra, the last of several values of a key wins, and a single value on the command line
    replaces one in ``hydra.sweeper.params``.

    Args:
        arguments: of the command line.
        params: sweeps and values that the config itself has, by key.
        loader: knows the choices of config groups, for ``glob``.
        problem_of: tells why a key cannot have a value; None if it can.
        most_choices: largest length of a range.

    Returns:
        The shared overrides and the sweeps, in order.

    Raises:
        UsageError: a sweep is no list of choices, a range is too long, or a group has no such
            config.
    """
    given = parse_all(arguments, loader)
    own = parse_all([f"{key}={value}" for key, value in params.items()], loader)
    single = {_key(override) for override in given if not override.is_sweep_override()}
    multiple = {_key(override) for override in given} - single
    kept = [
        (override, PARAMS)
        for override in own
        if _key(override) not in single
        and (override.is_sweep_override() or _key(override) not in multiple)
    ]
    kept += [(override, COMMAND_LINE) for override in _without_overridden(given)]
    fixed, sweeps = [], []
    for override, where in kept:
        if override.is_sweep_override():
            key, choices = _key(override), _choices(override, most_choices)
            for value, _ in choices:
                problem = problem_of(key, value)
                if problem is not None:
                    raise UsageError(f"{where}: {key}: {problem}")
            sweeps.append(KeySweep(key, choices, where))
        else:
            fixed.append(str(override.input_line))
    return fixed, sweeps


def _key(override: Override) -> str:
    return override_key(str(override.input_line))


def _without_overridden(overrides: Iterable[Override]) -> list[Override]:
    """Drops sweeps and values that a later override of the same key replaces."""
    kept: list[Override] = []
    for override in overrides:
        for earlier in list(kept):
            if _key(earlier) == _key(override) and (
                earlier.is_sweep_override() != override.is_sweep_override()
            ):
                reason = f"{shortened(override.input_line)} comes later"
                message = f"{shortened(earlier.input_line)} has no effect: {reason}"
                print(f"warning: {COMMAND_LINE}: {message}", file=sys.stderr)
                kept.remove(earlier)
        kept.append(override)
    return kept


def _choices(override: Override, most: int) -> tuple[tuple[Any, str], ...]:
    text = shortened(override.input_line)
    if override.is_delete():
        raise UsageError(f"{text}: what is deleted cannot be swept")
    if not override.is_discrete_sweep():
        message = "an interval is no list of choices; use choice(…), range(…) or commas"
        raise UsageError(f"{text}: {message}")
    key = override.get_key_element()
    try:
        return tuple((value, f"{key}={plain_text(value)}") for value in elements(override, most))
    except ValueError as error:
        raise UsageError(f"{text}: {error}") from None
