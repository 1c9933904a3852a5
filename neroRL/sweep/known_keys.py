"""Finds the place of a key that a tuning file names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from neroRL.composition.choices import RESET_PARAMS, TYPE, takes_any_parameter
from neroRL.config.counterparts import counterpart_hint
from neroRL.config.nested import paths_and_values
from neroRL.config.problems import leaf_paths
from neroRL.config.schema import Config
from neroRL.texts import did_you_mean

ALIASES = {"num_workers": "sampler.n_workers"}
# Sections in which a bare key is looked up; other sections need dotted paths.
SEARCHED = ("sampler", "trainer", "model", "environment")
# Sections that an option of a group brings.
_PARTS = {"model.recurrence": "gru", "model.transformer": "transformer"}
_PARAMETER = re.compile(re.escape(RESET_PARAMS) + r"\.[A-Za-z_][\w-]*", re.ASCII)


@dataclass(frozen=True)
class KnownKeys:
    """The keys and groups that a tuning file can name.

    Attributes:
        config: a composed config, whose keys at any depth can be swept.
        groups: config groups, e.g. ``model/memory``, and the configs in each.
        further: for choices of the sweep that may add keys, dotted paths and their values.
    """

    config: Mapping[str, Any]
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    further: Sequence[Mapping[str, Any]] = ()

    @cached_property
    def paths(self) -> Mapping[str, Any]:
        """Every dotted path that can be swept and its value."""
        return {path: value for one in self._contents for path, value in one.items()}

    @cached_property
    def _contents(self) -> Sequence[Mapping[str, Any]]:
        return [*self.further, dict(paths_and_values(self.config))]

    @cached_property
    def _takes_any(self) -> bool:
        return any(takes_any_parameter(content.get(TYPE)) for content in self._contents)

    @property
    def schedules(self) -> list[str]:
        """The sections of ``trainer`` that are schedules."""
        sections = self.config.get("trainer", {}).items()
        return [key for key, value in sections if _is_schedule(key, value)]

    def has(self, path: str) -> bool:
        """Returns whether a dotted path can be swept."""
        is_parameter = _PARAMETER.fullmatch(path) is not None
        return path in self.paths or (self._takes_any and is_parameter)

    def place_of(self, key: Any) -> str:
        """Returns the dotted path or the config group that a key names.

        Raises:
            LookupError: it names none, or several; the message says which there are.
        """
        if not isinstance(key, str):
            raise LookupError(f"a key must be a string, not {key!r}")
        if _is_refused(key):
            raise LookupError("cannot be swept in a tuning file")
        if self.has(key) or key in self.groups:
            return key
        if key in ALIASES:
            return ALIASES[key]
        schedule, dot, inside = key.partition(".")
        if schedule in self.schedules:
            return self.place_in_schedule(schedule, inside) if dot else f"trainer.{schedule}"
        if "." not in key and "/" not in key:
            matches = [path for path in self.paths if _is_bare_match(path, key)]
            if len(matches) == 1:
                return matches[0]
            if matches:
                raise LookupError(f"names several keys; write one of {', '.join(matches)}")
        raise LookupError(self._unknown(key))

    def place_in_schedule(self, schedule: str, key: Any) -> str:
        """Returns the dotted path of a schedule's key.

        Raises:
            LookupError: the schedule has no such key.
        """
        known = self.config["trainer"][schedule]
        if key in known:
            return f"trainer.{schedule}.{key}"
        hint = did_you_mean(str(key), known)
        raise LookupError(f"unknown key; allowed are {', '.join(known)}{hint}")

    def _unknown(self, key: str) -> str:
        absent = [path for path in leaf_paths(Config) if path.split(".")[-1] == key.split(".")[-1]]
        if absent and all(path not in self.paths for path in absent):
            part = _PARTS.get(absent[0].rpartition(".")[0])
            way = f", e.g. by model/memory: [{part}]" if part else ""
            return f"{absent[0]} is not in the base config; choose that part of it first{way}"
        elsewhere = [path for path in self.paths if path.split(".")[-1] == key]
        if elsewhere:
            return f"unknown key; did you mean {' or '.join(elsewhere)}?"
        bare = Counter(p.split(".")[-1] for p in self.paths if p.split(".")[0] in SEARCHED)
        unique = [name for name, count in bare.items() if count == 1]
        candidates = [*self.paths, *self.groups, *unique, *ALIASES]
        name = key.split(".")[-1]
        return f"unknown key{counterpart_hint(name) or did_you_mean(key, candidates)}"


def _is_schedule(key: str, value: Any) -> bool:
    return key.endswith("_schedule") and isinstance(value, Mapping)


def _is_bare_match(path: str, key: str) -> bool:
    parts = path.split(".")
    return parts[0] in SEARCHED and len(parts) > 1 and parts[-1] == key


def _is_refused(key: str) -> bool:
    parts = key.replace("/", ".").replace("@", ".").split(".")
    return parts[0] == "hydra" or any(
        part in ("_target_", "_partial_", "_args_", "_convert_", "_recursive_") for part in parts
    )
