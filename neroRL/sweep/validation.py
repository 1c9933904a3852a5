"""Finds the permutations that cannot work, before anything is created."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hydra.errors import HydraException

from neroRL.composition.checking import (
    Origin,
    as_written,
    composition_problem,
    plain,
    ports_of,
    trying,
)
from neroRL.composition.completion import complete
from neroRL.composition.overrides import Compose
from neroRL.config import Config, environment_steps
from neroRL.errors import ConfigError, Problem
from neroRL.sweep.points import Permutation
from neroRL.sweep.space import Space

MOST_SHOWN = 20

Inspect = Callable[[Config], list[Problem]]
Check = Callable[[Mapping[str, Any]], Config]


@dataclass
class Findings:
    """The result of checking all permutations.

    Attributes:
        valid: numbers of the permutations that can be trained, ascending.
        problems: each distinct problem, with the first permutation that has it.
        cautions: each distinct caution.
        invalid: number of permutations that have a problem.
        steps: environment steps of one training of each valid permutation.
        ports: the most network ports that a job needs.
    """

    valid: Sequence[int] = field(default_factory=lambda: array("q"))
    problems: list[Problem] = field(default_factory=list)
    cautions: list[Problem] = field(default_factory=list)
    invalid: int = 0
    steps: Sequence[int] = field(default_factory=lambda: array("q"))
    ports: int = 0


class _Template(NamedTuple):
    """The resolved config of some choices, and whether it had interpolations before."""

    mapping: Mapping[str, Any]
    has_interpolations: bool


class Validator:
    """Checks permutations one by one.

    Args:
        compose: composes a job from its overrides.
        shared: the overrides of the command line that apply to a permutation.
        deciding: the swept keys that decide which other keys exist.
        origin: where the values of the base config come from.
        inspect: finds problems of a checked config that only the training knows.
    """

    def __init__(
        self,
        compose: Compose,
        shared: Callable[[Permutation], Sequence[str]],
        deciding: frozenset[str],
        origin: Origin,
        inspect: Inspect,
    ) -> None:
        self._compose = compose
        self._shared = shared
        self._deciding = deciding
        self._origin = origin
        self._inspect = inspect
        self._templates: dict[tuple[str, ...], _Template] = {}

    def check_all(self, space: Space) -> Findings:
        """Checks every permutation of a search space."""
        findings = Findings()
        valid, steps = array("q"), array("q")
        seen: dict[tuple[str, str], None] = {}
        with trying() as check:
            for permutation in space:
                config, problems, cautions = self._check(permutation, check)
                if config is None:
                    findings.invalid += 1
                else:
                    valid.append(permutation.number)
                    steps.append(environment_steps(config))
                    findings.ports = max(findings.ports, ports_of(config))
                for problem in problems + cautions:
                    if (problem.path, problem.message) in seen:
                        continue
                    seen[problem.path, problem.message] = None
                    found = findings.problems if problem in problems else findings.cautions
                    found.append(self._placed(permutation, problem))
        findings.valid, findings.steps = valid, steps
        return findings

    def _check(
        self, permutation: Permutation, check: Check
    ) -> tuple[Config | None, list[Problem], list[Problem]]:
        """Returns the config, problems and cautions; no config if there is a problem."""
        try:
            config = check(self.mapping(permutation))
        except ConfigError as error:
            return None, list(error.problems), []
        except HydraException as error:
            return None, [self._composition_problem(permutation, error)], []
        problems = self._inspect(config)
        if problems:
            return None, problems, []
        return config, [], self._origin.cautions(config, permutation.values.keys())

    def mapping(self, permutation: Permutation) -> Mapping[str, Any]:
        """Returns the resolved config of one permutation as plain Python.

        Setting values in a plain copy makes the checks of a large grid cheap. Hydra composes only
        values that may change more than their own key: a group, a map, an interpolation.
        """
        shared = self._shared(permutation)
        plain_choices = [
            choice
            for choice in permutation.choices
            if choice.key not in self._deciding and _is_plain(choice.key, choice.value)
        ]
        structural = tuple(c.override for c in permutation.choices if c not in plain_choices)
        if structural not in self._templates:
            if len(self._templates) > 1000:
                self._templates.clear()
            composed = self._compose([*shared, *structural])
            has_interpolations = "${" in str(as_written(composed))
            self._templates[structural] = _Template(plain(composed), has_interpolations)
        mapping, has_interpolations = self._templates[structural]
        if has_interpolations:
            return plain(self._compose([*shared, *permutation.overrides]))
        for choice in plain_choices:
            replaced = _with_value(mapping, choice.key.split("."), choice.value)
            if replaced is None:  # Hydra's own error explains the problem best
                return plain(self._compose([*shared, *permutation.overrides]))
            mapping = replaced
        return mapping

    def content(self, permutation: Permutation) -> dict[str, Any]:
        """Returns the whole config of a permutation; empty if it cannot be composed."""
        try:
            return complete(self.mapping(permutation))
        except (HydraException, ConfigError):
            return {}  # the checks report why

    def _composition_problem(self, permutation: Permutation, error: HydraException) -> Problem:
        """Returns the problem of a config that cannot be composed, at the choice that causes it."""
        shared = self._shared(permutation)
        deciding = [c.override for c in permutation.choices if c.key in self._deciding]
        for choice in permutation.choices:
            try:
                self._compose([*shared, *deciding, choice.override])
            except HydraException as alone:
                found = composition_problem(alone)
                message = found.message if found else str(alone).splitlines()[0]
                return Problem(choice.key, f"{choice.value!r}: {message}")
            except ConfigError:
                continue
        return Problem("", f"cannot be composed: {error}".replace("\n", " "))

    def _placed(self, permutation: Permutation, problem: Problem) -> Problem:
        """Returns the problem with the line of its cause: a choice, or the base config."""
        for choice in permutation.choices:
            if problem.path and f"{problem.path}.".startswith(f"{choice.key}."):
                return Problem(problem.path, problem.message, choice.where)
        message = problem.message
        if permutation.values:
            shown = " ".join(permutation.overrides) or "no overrides"
            message = f"{message} (first in permutation {permutation.number}: {shown})"
        return Problem(problem.path, message, problem.where or self._origin.where(problem.path))


def summary(findings: Findings, total: int, *, refused: bool) -> list[Problem]:
    """Returns the problems of a search space to show: the first ones and the number of all."""
    shown = findings.problems[:MOST_SHOWN]
    hidden = len(findings.problems) - len(shown)
    tail = f"{findings.invalid} of {total} permutations cannot work"
    if hidden:
        tail += f" ({hidden} more problems not shown)"
    if refused and findings.invalid < total:
        tail += "; leave them out with hydra.sweeper.on_invalid=skip"
    return [*shown, Problem("", tail)] if total > 1 else shown


def _is_plain(key: str, value: Any) -> bool:
    """Returns whether setting the key to the value changes only that key."""
    if "/" in key or "@" in key or key.startswith(("+", "~")):
        return False
    if isinstance(value, str):
        return "${" not in value and "." in key
    return isinstance(value, int | float | list | None) and "${" not in str(value)


def _with_value(
    mapping: Mapping[str, Any], keys: Sequence[str], value: Any
) -> Mapping[str, Any] | None:
    """Returns a copy of the nested mapping with one existing key set; shares everything else."""
    key, *rest = keys
    if key not in mapping:
        return None
    if not rest:
        return None if isinstance(mapping[key], Mapping) else {**mapping, key: value}
    below = mapping[key]
    replaced = _with_value(below, rest, value) if isinstance(below, Mapping) else None
    return None if replaced is None else {**mapping, key: replaced}
