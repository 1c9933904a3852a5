"""Finds the keys that do not apply beside some choices of a sweep.

Choices of config groups, of the environment's type and of whole sections decide which other keys a
config has. A swept key, or a value of the command line, that such a config does not have does not
apply there.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from neroRL.composition.checking import COMMAND_LINE, as_written
from neroRL.composition.choices import EXCLUSIVE, RESET_PARAMS, SECTIONS, TYPE, takes_any_parameter
from neroRL.composition.completion import complete
from neroRL.composition.overrides import Compose, override_key
from neroRL.config.nested import paths_and_values
from neroRL.errors import ConfigError, Problem
from neroRL.sweep.points import Axis, Permutation, Places

# Stands for all reset parameters, in the config of an environment that takes any.
_ANY_PARAMETER = f"{RESET_PARAMS}.*"


def decides(key: str, values: Collection[Any], groups: Collection[str]) -> bool:
    """Returns whether choices of a key decide which other keys a config has."""
    whole = any(value is None or isinstance(value, Mapping) for value in values)
    return key in groups or key == TYPE or (key in SECTIONS and whole)


def contradictions(
    axes: Sequence[Axis], fixed: Sequence[str], telling: Callable[[str], Collection[str]]
) -> list[Problem]:
    """Finds keys that would undo what a swept config group chooses.

    Args:
        axes: of the sweep.
        fixed: overrides of the command line that all jobs share.
        telling: returns the paths in which the options of a config group differ.
    """
    swept = [(axis.key, axis.where) for axis in axes]
    shared = [(override_key(text), COMMAND_LINE) for text in fixed]
    found = []
    for axis in axes:
        paths = telling(axis.key)
        # Beside a group of the user's own, a swept key is a finer choice that the table shows.
        rivals = [*swept, *shared] if EXCLUSIVE.issuperset(paths) else shared
        for key, where in rivals:
            if key != axis.key and any(f"{path}.".startswith(f"{key}.") for path in paths):
                message = f"is what {axis.key} ({axis.where}) chooses; give one of the two"
                found.append(Problem(key, message, where))
    return found


def deciding_overrides(fixed: Sequence[str], groups: Collection[str]) -> list[str]:
    """Returns the shared overrides that decide which other keys exist."""

    def may_decide(key: str) -> bool:
        return key in groups or key == TYPE or key in SECTIONS or key.startswith("hydra.")

    return [text for text in fixed if may_decide(override_key(text))]


class Overrides:
    """The shared overrides of the command line, as far as they apply to each permutation.

    Args:
        compose: composes a config from overrides.
        fixed: overrides of the command line that all jobs share.
        grids: the axes of each grid of the sweep.
        groups: names of the config groups.
    """

    def __init__(
        self,
        compose: Compose,
        fixed: Sequence[str],
        grids: Sequence[Sequence[Axis]],
        groups: Collection[str],
    ) -> None:
        self._compose = compose
        self._fixed = tuple(fixed)
        self._groups = groups
        self._deciding = deciding_overrides(fixed, groups)
        self._base = self.paths([])
        self._paths: dict[tuple[str, ...], frozenset[str]] = {}
        found = [self._deciding_axes(axes) for axes in grids]
        self._keys = frozenset(axis.key for axes in found for axis in axes)
        for axes in found:
            choices = (dict.fromkeys(choice.override for choice in axis.choices) for axis in axes)
            for overrides in itertools.product(*choices):
                self._beside(overrides)
        self._known = frozenset(self._base).union(*self._paths.values())

    def places_of(self, axes: Sequence[Axis]) -> Places:
        """Returns the axes of a grid that do not apply beside some choices of others."""
        deciding = self._deciding_axes(axes)
        absent = {}
        for overrides in itertools.product(
            *(dict.fromkeys(choice.override for choice in axis.choices) for axis in deciding)
        ):
            paths = self._beside(overrides)
            gone = frozenset(axis.key for axis in axes if self._is_absent(axis.key, paths))
            if gone:
                absent[overrides] = gone
        return Places(tuple(axis.key for axis in deciding), absent)

    def absent(self, permutation: Permutation, keys: Collection[str]) -> frozenset[str]:
        """Returns which of some keys do not apply beside the choices of a permutation."""
        paths = self._beside(self._decided(permutation))
        return frozenset(key for key in keys if self._is_absent(key, paths))

    def shared(self, permutation: Permutation) -> tuple[str, ...]:
        """Returns the shared overrides that apply to a permutation."""
        return self._applying(self._beside(self._decided(permutation)))

    def of_base(self) -> tuple[str, ...]:
        """Returns the shared overrides that apply to the base config itself."""
        return self._applying(self._base)

    def notices(self) -> list[Problem]:
        """Warns of shared overrides that do not apply beside every choice."""
        return [
            Problem(
                "", f"{text} has no place beside some choices and is not set there", COMMAND_LINE
            )
            for text in self._fixed
            if any(text not in self._applying(paths) for paths in self._paths.values())
        ]

    def conditional(self) -> list[str]:
        """Returns the shared overrides that only some permutations apply, not the base config."""
        return [text for text in self._fixed if text not in self.of_base()]

    def paths(self, choices: Sequence[str]) -> frozenset[str]:
        """Returns the dotted paths of a config with some choices; none if it cannot be composed."""
        try:
            composed = self._compose([*self._deciding, *choices])
        except (HydraException, ConfigError):
            return frozenset()  # the checks report why
        kind = OmegaConf.select(composed, TYPE, throw_on_resolution_failure=False)
        any_parameter = [_ANY_PARAMETER] if takes_any_parameter(kind) else []
        return frozenset([*all_paths(composed), *any_parameter])

    def _decided(self, permutation: Permutation) -> tuple[str, ...]:
        return tuple(c.override for c in permutation.choices if c.key in self._keys)

    def _beside(self, overrides: tuple[str, ...]) -> frozenset[str]:
        """Returns the dotted paths of a config with some deciding choices."""
        if overrides not in self._paths:
            self._paths[overrides] = self.paths(overrides) if overrides else self._base
        return self._paths[overrides]

    def _deciding_axes(self, axes: Sequence[Axis]) -> list[Axis]:
        return [a for a in axes if decides(a.key, [c.value for c in a.choices], self._groups)]

    def _applying(self, paths: frozenset[str]) -> tuple[str, ...]:
        return tuple(
            text
            for text in self._fixed
            if text in self._deciding or not self._is_absent(override_key(text), paths)
        )

    def _is_absent(self, key: str, paths: frozenset[str]) -> bool:
        """Returns whether a key applies somewhere in the sweep, but not among these paths."""
        if key not in self._known and key.startswith(f"{RESET_PARAMS}."):
            key = _ANY_PARAMETER
        return bool(paths) and key not in paths and key in self._known


def all_paths(config: DictConfig) -> Iterator[str]:
    """Yields the dotted path of every key of a composed config, sections included."""
    yield from (path for path, _ in paths_and_values(complete(as_written(config))))
