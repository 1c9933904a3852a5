"""Finds the place of what a sweep has trained in a changed sweep."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from neroRL.config.budget import UPDATES
from neroRL.config.nested import flat, paths_and_values
from neroRL.errors import OutputError
from neroRL.records.sweep_record import SweepRecord
from neroRL.records.sweeps import permutations_with_jobs
from neroRL.sweep import axes
from neroRL.sweep.building import Design
from neroRL.sweep.extension import Move
from neroRL.sweep.jobs import SEED, JobPlan
from neroRL.sweep.plan import SweepPlan
from neroRL.sweep.points import Permutation
from neroRL.sweep.space import Space

Content = Callable[[Permutation], Mapping[str, Any]]


def moves(plan: SweepPlan, earlier: SweepRecord, now: SweepRecord, *, longer: bool) -> list[Move]:
    """Returns the new place of each permutation that has been trained so far.

    Args:
        plan: of the sweep as it is now.
        earlier: the record of the sweep so far.
        now: its record from now on.
        longer: whether the trainings get more updates.

    Raises:
        OutputError: what was trained has no meaning in the sweep as it is now.
    """
    ground = plan.ground
    products = axes.of_record(earlier, ground.groups)
    before = ground.search(products, ground.overrides(products), Design.recorded(earlier))
    old = before.space
    if old.size != earlier.permutations:
        raise _refused("this version makes other permutations of its search space", "keep it")
    numbers = (n for n in permutations_with_jobs(plan.directory) if n < old.size)
    trained = {number: old.permutation(number) for number in numbers}
    for number, values in earlier.dropped.items():
        trained[number] = axes.permutation_of(number, values, ground.groups)
    was_content, content = before.validator.content, plan.content
    change = Change(
        old,
        plan.space,
        lambda one: _with_drawn_seed(was_content(one), earlier.seed),
        lambda one: _with_drawn_seed(content(one), now.seed),
        longer,
    )
    was = JobPlan(old, [], 1, earlier.seed, drawn=earlier.drawn_seeds)
    jobs = plan.jobs_of(now)
    return [
        Move(
            number,
            new,
            jobs.values(plan.space[new]) if new >= 0 else was.values(trained[number]),
        )
        for number, new in change.numbers(trained).items()
    ]


@dataclass(frozen=True)
class Change:
    """A change of a sweep.

    Attributes:
        old: the search space so far.
        new: the search space from now on.
        before: returns the whole config of a permutation of the old one.
        now: returns that of a permutation of the new one.
        longer: whether the trainings get more updates.
    """

    old: Space
    new: Space
    before: Content
    now: Content
    longer: bool

    def numbers(self, trained: Mapping[int, Permutation]) -> dict[int, int]:
        """Returns the new number of each permutation that was trained.

        Args:
            trained: permutations of the old space, and dropped ones, by number.

        Raises:
            OutputError: a key is missing, a new key does not list the value that permutations have
                had so far, or a longer training would have had other schedules.
        """
        gone = [key for key in self.old.keys if key not in self.new.keys]
        if gone:
            hint = "list its choices"
            raise _refused(f"{', '.join(gone)} is not swept any more", hint)
        numbers: dict[int, int] = {}
        free = itertools.count(min([0, *trained]) - 1, -1)
        taken: set[int] = set()
        for number, permutation in trained.items():
            there = self.before(permutation)
            if not there:
                told = f"permutation {number} cannot be composed any more"
                raise _refused(told, "bring back what its choices name")
            if self.longer:
                _check_schedules(there, permutation.values, number)
            found = self._same(permutation, there, taken)
            if found is None:
                self._refuse_lost(permutation, there, number)
                found = number if number < 0 else next(free)
            taken.add(found)
            numbers[number] = found
        return numbers

    def _same(
        self, permutation: Permutation, there: Mapping[str, Any], taken: set[int]
    ) -> int | None:
        """Returns the new permutation that is the same training; None if there is none."""
        values = permutation.values
        paths = dict(paths_and_values(there))
        known = {key: paths[key] for key in self.new.keys if key in paths} | values
        other = []
        for number in self.new.matching(known):
            if number in taken:
                continue
            if self.new.permutation(number).values.keys() == values.keys():
                return number
            other.append(number)
        return next((n for n in other if self.now(self.new.permutation(n)) == there), None)

    def _refuse_lost(self, permutation: Permutation, there: Mapping[str, Any], number: int) -> None:
        """Refuses new keys without which a permutation was trained, and that lack its value."""
        values, paths = permutation.values, dict(paths_and_values(there))
        new = [axis for axis in self.new.axes if axis.key not in self.old.keys]
        lacking = [
            f"{axis.key} is new and does not list {paths[axis.key]!r}"
            for axis in new
            if axis.key in paths and not any(c.is_of(paths[axis.key]) for c in axis.choices)
        ]
        dropped = any(
            axis.key in values and not any(c.is_of(values[axis.key]) for c in axis.choices)
            for axis in self.new.axes
        )
        if new and not lacking and not dropped and any(axis.key not in paths for axis in new):
            lacking = ["no permutation of the new keys is the same"]
        if lacking:
            raise _refused(f"{'; '.join(lacking)}, which permutation {number} has", "keep it")


def _with_drawn_seed(config: Mapping[str, Any], drawn: int) -> Mapping[str, Any]:
    """Returns a config with the seed that its trainings have where it asks for a drawn one."""
    return {**config, SEED: drawn} if config.get(SEED) == -1 else config


def _check_schedules(config: Mapping[str, Any], values: Mapping[str, Any], number: int) -> None:
    """Refuses more updates where a schedule would have had other values.

    Raises:
        OutputError: a schedule decays over all updates.
    """
    swept = flat(values)
    for key, schedule in config["trainer"].items():
        if not key.endswith("_schedule"):
            continue
        path = f"trainer.{key}.max_decay_steps"
        follows = "updates" in str(swept.get(path))  # an interpolation
        if schedule.get("max_decay_steps") is not None and not follows:
            continue
        if schedule.get("final") not in (None, schedule.get("initial")):
            message = f"with other {UPDATES}, the {key} of permutation {number} would have differed"
            raise _refused(message, f"set {path} to the updates so far")


def _refused(reason: str, hint: str) -> OutputError:
    return OutputError(f"cannot extend: {reason}; {hint}, or use another --run-id or --out")
