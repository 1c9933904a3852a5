"""Reads a search space: the axes of a tuning file, what changes together and what is left out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from neroRL.composition.choices import SECTIONS
from neroRL.composition.groups import is_option, not_among
from neroRL.composition.overrides import override_text
from neroRL.config.documents import Document
from neroRL.errors import ConfigError, Problem
from neroRL.sweep.known_keys import KnownKeys
from neroRL.sweep.places import decides
from neroRL.sweep.points import Axis, Choice, Exclusion, Product, Tied
from neroRL.sweep.ranges import is_range, numbers_of
from neroRL.texts import did_you_mean

HYPERPARAMETERS, TOGETHER, EXCLUDE, GRIDS = "hyperparameters", "together", "exclude", "grids"

_Location = tuple[Any, ...]


def deciding_entries(document: Document, known: KnownKeys) -> Iterator[tuple[str, list[Any], str]]:
    """Yields the entries of a search space that decide which other keys exist.

    Args:
        document: the file; :func:`read` reports its problems.
        known: the keys that it can name, without those that the entries add.

    Yields:
        The path or group of each entry, its choices, and its ``FILE:LINE``.
    """
    for location, entries in _maps_of_choices(document.data):
        for key, choices in entries.items():
            try:
                path = known.place_of(key)
            except LookupError:
                continue
            if isinstance(choices, list) and decides(path, choices, known.groups):
                yield path, choices, document.where((*location, key))


def _maps_of_choices(
    data: Any, prefix: _Location = ()
) -> Iterator[tuple[_Location, dict[Any, Any]]]:
    """Yields every map from keys to choices in a search space, and its location."""
    if not isinstance(data, dict):
        return
    if isinstance(data.get(HYPERPARAMETERS), dict):
        yield (*prefix, HYPERPARAMETERS), data[HYPERPARAMETERS]
    for section in (TOGETHER, GRIDS):
        items = data.get(section)
        for index, item in enumerate(items if isinstance(items, list) else ()):
            location = (*prefix, section, index)
            if section == GRIDS:
                yield from _maps_of_choices(item, location)
            elif isinstance(item, dict):
                yield location, item


def read(document: Document, known: KnownKeys) -> list[Product]:
    """Reads a search space.

    Args:
        document: a tuning file: ``hyperparameters`` and schedule sections of lists of choices,
            ``together``, ``exclude`` and ``grids``.
        known: the keys that it can name.

    Returns:
        The grids, whose union is the search space; one without ``grids``.

    Raises:
        ConfigError: everything that is wrong with the file, with lines.
    """
    if not isinstance(document.data, dict) or not document.data:
        shape = "is empty" if not document.data else f"holds a {_kind(document.data)}"
        expected = f"expected a map with {HYPERPARAMETERS} or schedule sections"
        raise ConfigError([Problem("", f"{shape}; {expected}", str(document.path))])
    reader = _Reader(document, known)
    products = reader.products()
    if reader.problems:
        raise ConfigError(dict.fromkeys(reader.problems))
    return products


class _Reader:
    def __init__(self, document: Document, known: KnownKeys) -> None:
        self.problems: list[Problem] = []
        self._document = document
        self._known = known

    def products(self) -> list[Product]:
        """Reads the whole document."""
        data = self._document.data
        names = list(data)
        place = names.index(GRIDS) if GRIDS in names else len(names)
        shared = self._product(data, names[:place], ())
        after = self._product(data, names[place + 1 :], ())
        items = self._items(GRIDS, data[GRIDS], ()) if GRIDS in data else ()
        grids = [self._product(item, list(item), (GRIDS, index)) for index, item in items]
        return [shared + grid + after for grid in grids or [Product()]]

    def _product(self, data: Mapping[Any, Any], names: Sequence[Any], at: _Location) -> Product:
        """Reads some sections of a map."""
        dimensions: list[Tied] = []
        exclude: list[Exclusion] = []
        for name in names:
            content, location = data[name], (*at, name)
            if name == TOGETHER:
                for index, item in self._items(name, content, at):
                    dimensions += self._tied(item, (*location, index))
            elif name == EXCLUDE:
                for index, item in self._items(name, content, at):
                    exclude += self._exclusion(item, (*location, index))
            elif name == HYPERPARAMETERS or name in self._known.schedules:
                dimensions += [(axis,) for axis in self._axes(content, location)]
            else:
                self._report(location, self._unknown_section(name, nested=bool(at)))
        return Product(tuple(dimensions), tuple(exclude))

    def _items(
        self, name: str, content: Any, at: _Location
    ) -> Iterator[tuple[int, dict[Any, Any]]]:
        """Yields the maps of a section that is a list of maps."""
        if not isinstance(content, list) or not content:
            shape = "is empty" if not content else f"is a {_kind(content)}"
            self._report((*at, name), f"{shape}; expected a list of maps")
            return
        for index, item in enumerate(content):
            if isinstance(item, dict) and item:
                yield index, item
            else:
                shape = "is an empty map" if item == {} else f"is a {_kind(item)}"
                self._report((*at, name, index), f"{shape}; expected a map")

    def _tied(self, item: Mapping[Any, Any], location: _Location) -> list[Tied]:
        """Reads axes that change together."""
        known = len(self.problems)
        axes = tuple(self._axes(item, location))
        if len(self.problems) > known:  # of what is wrong, no number of choices is right
            return []
        for axis in axes[1:]:
            first = axes[0]
            if len(axis.choices) != len(first.choices):
                message = (
                    f"lists {len(axis.choices)} choices, but {first.name} lists "
                    f"{len(first.choices)}; keys that change together have equally many"
                )
                self.problems.append(Problem(f"{TOGETHER}.{axis.name}", message, axis.where))
                return []
        return [axes]

    def _exclusion(self, item: Mapping[Any, Any], location: _Location) -> list[Exclusion]:
        """Reads what to leave out."""
        values: dict[str, Sequence[Any]] = {}
        for key, given in item.items():
            path = self._place((*location, key), key)
            if path is None:
                continue
            of_lists = isinstance(self._known.paths.get(path), list)
            several = isinstance(given, list) and (
                not of_lists or all(isinstance(one, list) for one in given)
            )
            if several and not given:
                self._report((*location, key), "has no values; expected one, or a list of some")
            values[path] = given if several else [given]
        complete = len(values) == len(item)
        return [Exclusion(values, self._document.where(location))] if complete else []

    def _axes(self, content: Any, location: _Location) -> Iterator[Axis]:
        """Reads a map from keys to choices."""
        if not isinstance(content, dict) or not content:
            shape = "is empty" if not content else f"is a {_kind(content)}"
            self._report(location, f"{shape}; expected keys with lists of choices")
            return
        section = location[-1]
        schedule = section if section in self._known.schedules else None
        for key, given in content.items():
            path = self._place((*location, key), key, schedule)
            choices = self._choices((*location, key), given, path) if path is not None else None
            if path is not None and choices is not None:
                label = f"{schedule}.{key}" if schedule else str(key)
                yield Axis(path, choices, self._document.where((*location, key)), label)

    def _place(self, location: _Location, key: Any, schedule: str | None = None) -> str | None:
        """Returns the dotted path or config group of a key; None after reporting a problem."""
        try:
            if schedule is not None:
                return self._known.place_in_schedule(schedule, key)
            return self._known.place_of(key)
        except LookupError as error:
            self._report(location, str(error.args[0]))
            return None

    def _choices(self, location: _Location, given: Any, path: str) -> tuple[Choice, ...] | None:
        """Returns the choices of a key; None after reporting a problem."""
        values = given
        if is_range(given):
            try:
                values = numbers_of(given)
            except ValueError as error:
                self._report(location, str(error))
                return None
            if type(self._known.paths.get(path)) is int and not all(
                type(value) is int for value in values
            ):
                part = next(value for value in values if type(value) is not int)
                self._report(location, f"gives {part}, but the key takes integers")
                return None
        elif given is not None and not isinstance(given, list):
            told = f"{given!r} is no list of choices; expected a list, e.g. [{given}]"
            if isinstance(given, dict):
                told = (
                    "a map is no list of choices; expected a list, or a range with from, to, count"
                )
            self._report(location, told)
            return None
        if not values:
            self._report(location, "has no choices; expected a list with at least one")
            return None
        found = []
        for index, value in enumerate(values):
            where = self._document.where((*location, index))
            try:
                found.append(self._choice(path, value, where))
            except ValueError as error:
                self.problems.append(Problem(_path_of(location), str(error), where))
        return tuple(found)

    def _choice(self, path: str, value: Any, where: str) -> Choice:
        """Returns a choice.

        Raises:
            ValueError: the key cannot have the value.
        """
        problem = self._choice_problem(path, value)
        if problem:
            raise ValueError(problem)
        return Choice(path, value, override_text(path, value, self._known.groups), where)

    def _choice_problem(self, path: str, value: Any) -> str | None:
        if any(not math.isfinite(number) for number in _floats(value)):
            return f"{value} is not a finite number"
        base = self._known.paths.get(path)
        if path in self._known.groups and not (path in SECTIONS and isinstance(value, Mapping)):
            names = self._known.groups[path]
            return None if is_option(self._known.groups, path, value) else not_among(value, names)
        if isinstance(base, list) and not isinstance(value, list | str):
            return f"{value!r} is no list; the key takes a list, so its choices are lists in a list"
        if isinstance(base, Mapping) and isinstance(value, list):
            other = "explicit-seeds" in base
            way = f"sweep {path}.explicit-seeds" if other else "give the base config a list there"
            return f"{value!r} cannot take the place of a map; {way}"
        if isinstance(base, Mapping) and isinstance(value, Mapping):
            unknown = [key for key in value if not self._known.has(f"{path}.{key}")]
            if unknown:
                listed = ", ".join(map(str, base))
                return f"the map in the base config has no {unknown[0]!r}; it has {listed}"
        return None

    def _unknown_section(self, name: Any, *, nested: bool) -> str:
        if nested and name == GRIDS:
            return "grids cannot hold grids"
        own = [HYPERPARAMETERS, TOGETHER, EXCLUDE, *([] if nested else [GRIDS])]
        allowed = [*own, *self._known.schedules]
        hint = did_you_mean(str(name), allowed)
        if not hint and name in self._known.config:
            hint = f"; write its keys below {HYPERPARAMETERS}, e.g. {name}.<key>"
        return f"unknown section; allowed are {', '.join(allowed)}{hint}"

    def _report(self, location: _Location, message: str) -> None:
        where = self._document.where(location)
        self.problems.append(Problem(_path_of(location), message, where))


def _path_of(location: _Location) -> str:
    """Returns the keys of a location, without the positions in lists."""
    return ".".join(str(key) for key in location if type(key) is not int)


def _floats(value: Any) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _floats(item)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _floats(item)


def _kind(value: object) -> str:
    names = {
        type(None): "null",
        dict: "map",
        list: "list",
        str: "string",
        int: "number",
        float: "number",
    }
    return names.get(type(value), type(value).__name__)
