"""Reads a tuning file: the swept keys and their choices."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from neroRL.composition.overrides import value_text
from neroRL.config.documents import Document
from neroRL.config.problems import leaf_paths
from neroRL.config.schema import Config
from neroRL.errors import ConfigError, Problem, did_you_mean
from neroRL.sweep.grid import Axis, Choice
from neroRL.sweep.places import decides, paths_and_values

HYPERPARAMETERS = "hyperparameters"
ALIASES = {"num_workers": "sampler.n_workers"}
# Sections in which a bare key is looked up; other sections need dotted paths.
SEARCHED = ("sampler", "trainer", "model", "environment")


@dataclass(frozen=True)
class KnownKeys:
    """The keys and groups that a tuning file can name.

    Attributes:
        config: a composed config, whose keys at any depth can be swept.
        groups: config groups, e.g. ``model/memory``, and the configs in each.
        further: dotted paths that only some choices of the sweep add, and their values.
    """

    config: Mapping[str, Any]
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    further: Mapping[str, Any] = field(default_factory=dict)

    def paths(self) -> dict[str, Any]:
        """Returns every dotted path that can be swept and its value."""
        return {**self.further, **dict(paths_and_values(self.config))}


def deciding_entries(document: Document, known: KnownKeys) -> Iterator[tuple[str, list[Any]]]:
    """Yields the entries of a tuning file that decide which other keys exist.

    Args:
        document: the file; :func:`read_axes` reports its problems.
        known: the keys that it can name, without those that the entries add.

    Yields:
        The path or group of each entry, and its choices.
    """
    section = document.data.get(HYPERPARAMETERS) if isinstance(document.data, dict) else None
    reader = _Reader(document, known)
    for key, choices in section.items() if isinstance(section, dict) else ():
        path = reader.path_of(HYPERPARAMETERS, key)
        if path is not None and isinstance(choices, list) and decides(path, choices, known.groups):
            yield path, choices


def read_axes(document: Document, known: KnownKeys) -> list[Axis]:
    """Turns a tuning file into axes.

    Args:
        document: the file; ``hyperparameters`` and schedule sections of lists of choices.
        known: the keys that it can name.

    Returns:
        One axis per key, in the order of the file.

    Raises:
        ConfigError: everything that is wrong with the file, with lines.
    """
    if not isinstance(document.data, dict) or not document.data:
        shape = "is empty" if not document.data else f"holds a {_kind(document.data)}"
        expected = f"expected a map with {HYPERPARAMETERS} or schedule sections"
        raise ConfigError([Problem("", f"{shape}; {expected}", str(document.path))])
    reader = _Reader(document, known)
    axes = [axis for section in document.data for axis in reader.section(section)]
    if reader.problems:
        raise ConfigError(dict.fromkeys(reader.problems))
    return axes


class _Reader:
    def __init__(self, document: Document, known: KnownKeys) -> None:
        self.problems: list[Problem] = []
        self._document = document
        self._known = known
        self._paths = known.paths()

    def section(self, name: Any) -> Iterator[Axis]:
        """Yields the axes of one top-level section."""
        content = self._document.data[name]
        schedules = [
            key
            for key, value in self._known.config.get("trainer", {}).items()
            if key.endswith("_schedule") and isinstance(value, Mapping)
        ]
        if name != HYPERPARAMETERS and name not in schedules:
            self._report((name,), self._unknown_section(str(name), schedules))
        elif not isinstance(content, dict) or not content:
            shape = "is empty" if not content else f"is a {_kind(content)}"
            self._report((name,), f"{shape}; expected keys with lists of choices")
        else:
            for key in content:
                path = self.path_of(name, key)
                choices = self._choices(name, key, path) if path is not None else None
                if path is not None and choices is not None:
                    label = str(key) if name == HYPERPARAMETERS else f"{name}.{key}"
                    where = self._document.where((name, key))
                    yield Axis(path, choices, where, label)

    def path_of(self, section: str, key: Any) -> str | None:
        """Returns the dotted path or config group of a key; None after reporting a problem."""
        location = (section, key)
        if not isinstance(key, str):
            self._report(location, f"a key must be a string, not the {_kind(key)} {key!r}")
            return None
        if _is_refused(key):
            self._report(location, "cannot be swept in a tuning file")
            return None
        if section != HYPERPARAMETERS:
            return self._schedule_path(section, key)
        if key in self._paths or key in self._known.groups:
            return key
        if key in ALIASES:
            return ALIASES[key]
        if "." not in key and "/" not in key:
            matches = [path for path in self._paths if self._is_bare_match(path, key)]
            if len(matches) == 1:
                return matches[0]
            if matches:
                listed = ", ".join(matches)
                self._report(location, f"names several keys; write one of {listed}")
                return None
        self._report(location, self._unknown_key(key))
        return None

    def _schedule_path(self, section: str, key: str) -> str | None:
        schedule = self._known.config["trainer"][section]
        if key in schedule:
            return f"trainer.{section}.{key}"
        allowed = f"allowed are {', '.join(schedule)}"
        self._report((section, key), f"unknown key; {allowed}{did_you_mean(key, schedule)}")
        return None

    def _choices(self, section: str, key: str, path: str) -> tuple[Choice, ...] | None:
        """Returns the choices of a key; None after reporting a problem."""
        given = self._document.data[section][key]
        location = (section, key)
        if given is not None and not isinstance(given, list):
            self._report(
                location, f"{given!r} is no list of choices; expected a list, e.g. [{given}]"
            )
            return None
        if not given:
            self._report(location, "has no choices; expected a list with at least one")
            return None
        found = []
        for index, value in enumerate(given):
            where = self._document.where((*location, index))
            problem = self._choice_problem(path, value)
            if problem:
                self.problems.append(Problem(".".join(location), problem, where))
                continue
            try:
                text = value if path in self._known.groups else value_text(value)
            except ValueError as error:
                self.problems.append(Problem(".".join(location), str(error), where))
                continue
            found.append(Choice(path, value, f"{path}={text}", where))
        return tuple(found)

    def _choice_problem(self, path: str, value: Any) -> str | None:
        if any(not math.isfinite(number) for number in _floats(value)):
            return f"{value} is not a finite number"
        if path in self._known.groups:
            return self._group_problem(path, value)
        base = self._paths.get(path)
        if isinstance(base, list) and not isinstance(value, list | str):
            return f"{value!r} is no list; the key takes a list, so its choices are lists in a list"
        if isinstance(base, Mapping) and isinstance(value, list):
            other = "explicit-seeds" in base
            way = f"sweep {path}.explicit-seeds" if other else "give the base config a list there"
            return f"{value!r} cannot take the place of a map; {way}"
        if isinstance(base, Mapping) and isinstance(value, Mapping):
            unknown = [key for key in value if key not in base]
            if unknown:
                listed = ", ".join(map(str, base))
                return f"the map in the base config has no {unknown[0]!r}; it has {listed}"
        return None

    def _group_problem(self, group: str, value: Any) -> str | None:
        names = self._known.groups[group]
        if value in names:
            return None
        hint = did_you_mean(value, names) if isinstance(value, str) else ""
        return f"{value!r} is none of its configs: {', '.join(names)}{hint}"

    def _is_bare_match(self, path: str, key: str) -> bool:
        parts = path.split(".")
        return parts[0] in SEARCHED and len(parts) > 1 and parts[-1] == key

    def _unknown_section(self, name: str, schedules: list[str]) -> str:
        allowed = [HYPERPARAMETERS, *schedules]
        hint = did_you_mean(name, allowed)
        if not hint and name in self._known.config:
            hint = f"; write its keys below {HYPERPARAMETERS}, e.g. {name}.<key>"
        return f"unknown section; allowed are {', '.join(allowed)}{hint}"

    def _unknown_key(self, key: str) -> str:
        absent = [path for path in leaf_paths(Config) if path.split(".")[-1] == key.split(".")[-1]]
        if absent and all(path not in self._paths for path in absent):
            return f"{absent[0]} is not in the base config; choose that part of it first"
        elsewhere = [path for path in self._paths if path.split(".")[-1] == key]
        if elsewhere:
            return f"unknown key; did you mean {' or '.join(elsewhere)}?"
        bare = Counter(p.split(".")[-1] for p in self._paths if p.split(".")[0] in SEARCHED)
        unique = [name for name, count in bare.items() if count == 1]
        candidates = [*self._paths, *self._known.groups, *unique, *ALIASES]
        return f"unknown key{did_you_mean(key, candidates)}"

    def _report(self, keys: tuple[Any, ...], message: str) -> None:
        path = ".".join(str(key) for key in keys)
        self.problems.append(Problem(path, message, self._document.where(keys)))


def _is_refused(key: str) -> bool:
    parts = key.replace("/", ".").replace("@", ".").split(".")
    return parts[0] == "hydra" or any(
        part in ("_target_", "_partial_", "_args_", "_convert_", "_recursive_") for part in parts
    )


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
