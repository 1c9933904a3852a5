"""Collects the axes of a sweep from the tuning file and the command line."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.errors import ConfigCompositionException, HydraException

from neroRL.composition.checking import COMMAND_LINE, plain
from neroRL.composition.completion import complete
from neroRL.composition.groups import ConfigGroups
from neroRL.composition.overrides import Compose, override_key, override_text
from neroRL.composition.sweeps import KeySweep
from neroRL.config.documents import Document
from neroRL.config.nested import paths_and_values
from neroRL.errors import ConfigError, Problem
from neroRL.records.sweep_record import SweepRecord
from neroRL.sweep.jobs import SEED
from neroRL.sweep.known_keys import KnownKeys
from neroRL.sweep.places import decides
from neroRL.sweep.points import Axis, Choice, Exclusion, Permutation, Product
from neroRL.sweep.search_space import deciding_entries, read


def of_command_line(sweeps: Iterable[KeySweep]) -> list[Axis]:
    """Returns the axes of the sweeps on the command line and in ``hydra.sweeper.params``."""
    return [
        Axis(
            sweep.key,
            tuple(Choice(sweep.key, value, text, sweep.where) for value, text in sweep.choices),
            sweep.where,
        )
        for sweep in sweeps
    ]


def with_numbered_seeds(products: Iterable[Product]) -> list[Product]:
    """Numbers the seeds that are to be drawn: the first is -1, the second -2, and so on.

    Each ``-1`` in a list of seeds asks for its own seed.
    """
    numbers = itertools.count(1)
    numbered: dict[int, Axis] = {}  # an axis that several grids share has the same seeds in all

    def of(axis: Axis) -> Axis:
        if axis.key != SEED:
            return axis
        if id(axis) not in numbered:
            numbered[id(axis)] = replace(axis, choices=_numbered(axis.choices, numbers))
        return numbered[id(axis)]

    return [
        replace(product, dimensions=tuple(tuple(map(of, one)) for one in product.dimensions))
        for product in products
    ]


def _numbered(choices: Iterable[Choice], numbers: Iterator[int]) -> tuple[Choice, ...]:
    found = []
    for choice in choices:
        if type(choice.value) is int and choice.value < 0:
            value = -next(numbers)
            choice = replace(choice, value=value, override=f"{SEED}={value}")
        found.append(choice)
    return tuple(found)


def check_distinct(axes: Sequence[Axis], groups: Collection[str]) -> None:
    """Refuses two axes that set the same key, wherever they are written.

    Args:
        axes: of the tuning file, the command line and ``hydra.sweeper.params``.
        groups: names of the config groups.

    Raises:
        ConfigError: two axes do; it names both places.
    """
    found = []
    for index, axis in enumerate(axes):
        for other in axes[:index]:
            if axis.key == other.key or _gives(axis, other, groups) or _gives(other, axis, groups):
                message = f"is swept twice, also as {other.name} ({other.where}); keep one of them"
                found.append(Problem(axis.key, message, axis.where))
    if found:
        raise ConfigError(found)


def check_swept(axes: Sequence[Axis]) -> None:
    """Refuses an axis that changes nothing of what is trained.

    Raises:
        ConfigError: ``loggers`` is swept.
    """
    message = "says where curves go, which changes no result; give it one value for all jobs"
    found = [Problem(axis.key, message, axis.where) for axis in axes if axis.key == "loggers"]
    if found:
        raise ConfigError(found)


def _gives(axis: Axis, other: Axis, groups: Collection[str]) -> bool:
    """Returns whether a choice of an axis also sets the key of another axis below it."""
    inside = other.key.removeprefix(f"{axis.key}.")
    if inside == other.key:
        return False
    given = [choice.value for choice in axis.choices]
    if axis.key in groups:
        given = [value for value in given if isinstance(value, Mapping)]
    return any(_reaches(value, inside.split(".")) for value in given)


def _reaches(value: Any, keys: Sequence[str]) -> bool:
    """Returns whether setting a value at a path also sets the key below it."""
    for key in keys:
        if not isinstance(value, Mapping):
            return value is not None
        value = value.get(key)
    return value is not None


def written(
    documents: Sequence[Document],
    fixed: Sequence[str],
    others: Sequence[Axis],
    loader: ConfigLoader,
    compose: Compose,
) -> list[Product]:
    """Reads search spaces against a config that has the chosen groups.

    Args:
        documents: the tuning file, and what the sweeper's options add to it.
        fixed: shared overrides that decide which other keys exist.
        others: axes of the command line, which come last in every grid.
        loader: knows the config groups.
        compose: composes a config from overrides.

    Returns:
        The grids, whose union is the search space.

    Raises:
        ConfigError: everything that is wrong with a file.
    """
    groups = ConfigGroups(loader)
    known = KnownKeys(composed_values(compose, fixed), groups)
    brought: list[dict[str, Any]] = []
    for axis in others:
        if decides(axis.key, [choice.value for choice in axis.choices], groups):
            brought += [_brought(compose, [*fixed, choice.override]) for choice in axis.choices]
    for document in documents:
        for path, choices, where in deciding_entries(document, known):
            brought += _brought_by_entry(path, choices, where, groups, fixed, compose)
    known = replace(known, further=brought)
    products = [Product()]
    for document in documents:
        found = read(document, known)
        products = [one + further for one in products for further in found]
    return [one + Product(tuple((axis,) for axis in others)) for one in products]


def telling(loader: ConfigLoader, key: str) -> frozenset[str]:
    """Returns the paths in which the options of a config group differ; none for other keys."""
    found: frozenset[str] = loader.telling(key)  # type: ignore[attr-defined]
    return found


def permutation_of(number: int, values: Mapping[str, Any], groups: Collection[str]) -> Permutation:
    """Returns a permutation with some values of swept keys."""
    return Permutation(number, tuple(_choice(key, value, groups) for key, value in values.items()))


def _choice(key: str, value: Any, groups: Collection[str]) -> Choice:
    return Choice(key, value, override_text(key, value, groups))


def of_record(record: SweepRecord, groups: Collection[str]) -> list[Product]:
    """Returns the grids of a sweep that was recorded."""

    def axis(key: str, values: Iterable[Any]) -> Axis:
        return Axis(key, tuple(_choice(key, value, groups) for value in values))

    if "grids" not in record.space:
        return [Product(tuple((axis(*one),) for one in record.axes.items()))]
    return [
        Product(
            tuple(tuple(axis(*one) for one in tied.items()) for tied in grid["axes"]),
            tuple(Exclusion(values) for values in grid["exclude"]),
        )
        for grid in record.space["grids"]
    ]


def composed_values(compose: Compose, overrides: Sequence[str]) -> dict[str, Any]:
    """Returns the composed config as plain Python, complete and with interpolations resolved."""
    return complete(plain(compose(overrides)))


def _brought(compose: Compose, overrides: Sequence[str]) -> dict[str, Any]:
    """Returns every path of a config and its value; nothing if it cannot be composed."""
    try:
        return dict(paths_and_values(composed_values(compose, overrides)))
    except (HydraException, ConfigError):
        return {}  # the checks of the permutations report why


def _brought_by_entry(
    path: str,
    choices: Sequence[Any],
    where: str,
    groups: Mapping[str, Sequence[str]],
    fixed: Sequence[str],
    compose: Compose,
) -> Iterator[dict[str, Any]]:
    """Yields every path of a config with each of the choices of an entry, and its value.

    Raises:
        ConfigError: the base config has no place for a group.
    """
    for choice in choices:
        try:
            override = override_text(path, choice, groups)
        except ValueError:
            continue  # reading the entry reports the problem
        if path not in groups or isinstance(choice, Mapping):
            yield _brought(compose, [*fixed, override])
            continue
        if choice not in groups[path]:
            continue
        try:
            yield dict(paths_and_values(composed_values(compose, [*fixed, override])))
        except ConfigCompositionException as error:
            message = f"cannot be chosen for this base config: {str(error).splitlines()[0]}"
            raise ConfigError([Problem(path, message, where)]) from None


def value_notices(axes: Iterable[Axis], fixed: Sequence[str]) -> list[Problem]:
    """Warns of swept keys that also have a single value on the command line.

    Args:
        axes: those of which every permutation has a choice.
        fixed: overrides that all jobs share; they belong to the base config.
    """
    given = {override_key(text) for text in fixed}
    message = f"is swept here, so the value on the {COMMAND_LINE} has no effect"
    return [Problem(axis.key, message, axis.where) for axis in axes if axis.key in given]
