"""Builds the permutations of a sweep from the grids that are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neroRL.composition.checking import Origin
from neroRL.composition.overrides import Compose
from neroRL.config.nested import paths_and_values
from neroRL.errors import ConfigError, Problem
from neroRL.records.sweep_record import SweepRecord
from neroRL.sweep.grid import Grid
from neroRL.sweep.jobs import SEED
from neroRL.sweep.places import Overrides
from neroRL.sweep.points import Axis, Choice, Exclusion, Permutation, Places, Product
from neroRL.sweep.space import Listed, Space, Union, sampled
from neroRL.sweep.validation import Inspect, Validator
from neroRL.texts import did_you_mean

PlacesOf = Callable[[Sequence[Axis]], Places]
Content = Callable[[Permutation], Mapping[str, Any]]
Absent = Callable[[Permutation, Sequence[str]], frozenset[str]]


@dataclass(frozen=True)
class Design:
    """Which permutations of the grids a sweep trains.

    Attributes:
        one_at_a_time: whether only one axis differs from the base config at a time.
        sample: how many are drawn; None for all.
        seed: of the draws.
    """

    one_at_a_time: bool = False
    sample: int | None = None
    seed: int = -1

    def checked_seed(self) -> int:
        """Returns the seed of the draws.

        Raises:
            ConfigError: it has yet to be drawn itself.
        """
        if self.seed < 0:
            message = f"draws from seed, which is {self.seed}; give it a number from 0"
            raise ConfigError([Problem("hydra.sweeper.sample", message)])
        return self.seed

    @classmethod
    def recorded(cls, record: SweepRecord) -> Design:
        """Returns the design of a recorded sweep."""
        is_alone = record.space.get("design") == "one_at_a_time"
        return cls(is_alone, record.space.get("sample"), record.seed)


@dataclass(frozen=True)
class SearchSpace:
    """The permutations of a sweep, and their configs.

    Attributes:
        union: the permutations of all grids.
        space: the permutations of the sweep: those of the grids, or some of them.
        overrides: the shared overrides, as far as they apply.
        validator: composes and checks permutations.
        notices: warnings about what is written.
        always: the swept keys of which every permutation has a choice, where they apply.
    """

    union: Union
    space: Space
    overrides: Overrides
    validator: Validator
    notices: list[Problem]
    always: list[Axis]


@dataclass(frozen=True)
class Ground:
    """The base that the permutations of a sweep are composed on.

    Attributes:
        compose: composes a job from its overrides.
        fixed: overrides of the command line that all jobs share.
        groups: config groups, and the configs in each.
        origin: where the values of the base config come from.
        inspect: finds problems of a checked config that only the training knows.
    """

    compose: Compose
    fixed: Sequence[str]
    groups: Mapping[str, Sequence[str]]
    origin: Origin
    inspect: Inspect

    def overrides(self, products: Sequence[Product]) -> Overrides:
        """Returns the shared overrides, as far as they apply beside the choices of grids."""
        grids = [product.axes for product in products]
        return Overrides(self.compose, self.fixed, grids, self.groups)

    def search(
        self,
        products: Sequence[Product],
        overrides: Overrides,
        design: Design,
        *,
        distinct: bool = False,
    ) -> SearchSpace:
        """Builds the permutations of a sweep.

        Args:
            products: the grids as they are written.
            overrides: that their permutations share.
            design: which of their permutations the sweep has.
            distinct: whether permutations that repeat another are dropped.

        Raises:
            ConfigError: the grids make no search space.
        """
        union = union_of(products, overrides.places_of)
        notices = union.notices(distinct=distinct)
        always = [a for a in union.axes if all(a.key in grid.keys for grid in union.grids)]
        union = union.without_repeats() if distinct else union
        validator = Validator(
            self.compose, overrides.shared, union.deciding, self.origin, self.inspect
        )
        space: Space = union
        if design.one_at_a_time:
            space = one_at_a_time(union, validator.content, overrides.absent)
            notices, always = _untried(union.axes, space), []
        if design.sample is not None:
            space = sampled(space, design.sample, design.checked_seed())
        return SearchSpace(union, space, overrides, validator, notices, always)


def union_of(products: Sequence[Product], places_of: PlacesOf) -> Union:
    """Returns the permutations of all grids.

    Args:
        products: the grids as they are written.
        places_of: returns the axes of a grid that do not apply beside some choices of others.

    Raises:
        ConfigError: an exclusion names what is not swept, leaves nothing out, or leaves nothing.
    """
    problems = [problem for one in _exclusions(products) for problem in _unknown(one, products)]
    if problems:
        raise ConfigError(problems)
    union = _union(products, places_of)
    written = _exclusions(products)
    if written and not union.size:
        message = "leaves no permutation of the search space"
        raise ConfigError([Problem("exclude", message, written[0].where)])
    effective = [id(one) for product in products for one in _effective(product, places_of)]
    problems = [
        Problem("exclude", "no permutation has these values together", one.where)
        for one in written
        if id(one) not in effective
    ]
    if problems:
        raise ConfigError(problems)
    return union


def one_at_a_time(union: Union, content: Content, absent: Absent) -> Listed:
    """Returns the base config, and each choice of each axis alone.

    A choice that is the base config's own gives no further permutation.

    Args:
        union: the axes, and what is left out.
        content: returns the whole config of a permutation.
        absent: returns which keys do not apply beside the choices of a permutation.

    Raises:
        ConfigError: a swept key applies nowhere.
    """
    base = content(Permutation(0, ()))
    own = dict(paths_and_values(base))
    of_base = tuple(_own_choices(union.axes, own, base, content))

    def point(changed: Sequence[Choice]) -> Permutation | None:
        keys = {choice.key for choice in changed}
        choices = {choice.key: choice for choice in of_base if choice.key not in keys}
        choices |= {choice.key: choice for choice in changed}
        in_order = tuple(choices[key] for key in union.keys if key in choices)
        one = Permutation(0, in_order)
        if absent(one, sorted(keys)):
            return None
        there = dict(paths_and_values(content(one)))
        kept = {
            key: there[key]
            for key in union.keys
            if key in there and key not in choices and key != SEED
        }
        return Permutation(0, in_order, kept)

    alone = (
        (grid, [c for c in step if c not in of_base and not (c.key in own and c.is_of(own[c.key]))])
        for grid in union.grids
        for dimension in grid.dimensions
        for step in zip(*(axis.choices for axis in dimension), strict=True)
    )
    at_base = point([])
    found = [(grid, at_base) for grid in union.grids]
    found += [(grid, point(changed)) for grid, changed in alone if changed]
    points = [(grid, one) for grid, one in found if one is not None]
    distinct = {tuple(one.overrides): one for _, one in points}
    _refuse_without_place(union.axes, distinct.values())
    kept = {
        tuple(one.overrides)
        for grid, one in points
        if not any(exclusion.has(one.values) for exclusion in grid.exclude)
    }
    return Listed(union.axes, union.deciding, (distinct[one] for one in distinct if one in kept))


def _own_choices(
    axes: Sequence[Axis], own: Mapping[str, Any], base: Mapping[str, Any], content: Content
) -> Iterator[Choice]:
    """Yields the choice of each config group that the base config already has."""
    for axis in axes:
        if axis.key not in own:
            same = (c for c in axis.choices if content(Permutation(0, (c,))) == base)
            yield from list(same)[:1]


def _refuse_without_place(axes: Iterable[Axis], found: Iterable[Permutation]) -> None:
    applying = {key for one in found for key in one.values}
    problems = [
        Problem(axis.key, "has no place in the base config, and no choice is tried beside another",
                axis.where)
        for axis in axes
        if axis.key not in applying
    ]  # fmt: skip
    if problems:
        raise ConfigError(problems)


def _untried(axes: Sequence[Axis], space: Space) -> list[Problem]:
    """Warns of keys that have no place in the base config, so no choice of them is tried."""
    tried = {choice.key for one in space for choice in one.choices}
    return [
        Problem("", f"{axis.name} has no place in the base config, so none of its choices is tried",
                axis.where)
        for axis in axes
        if axis.key not in tried and axis.key not in space.permutation(0).values
    ]  # fmt: skip


def _union(products: Sequence[Product], places_of: PlacesOf) -> Union:
    grids: list[Grid] = []
    for product in products:
        places = places_of(product.axes)
        grids.append(Grid(product.dimensions, places, product.exclude, tuple(grids)))
    return Union(grids)


def _exclusions(products: Iterable[Product]) -> list[Exclusion]:
    """Returns each exclusion once, although several grids may share it."""
    return list({id(one): one for product in products for one in product.exclude}.values())


def _unknown(exclusion: Exclusion, products: Sequence[Product]) -> Iterator[Problem]:
    """Yields the keys and values of an exclusion that are not swept."""
    axes = [axis for product in products for axis in product.axes]
    for key, values in exclusion.values.items():
        choices = [choice for axis in axes if axis.key == key for choice in axis.choices]
        if not choices:
            swept = list(dict.fromkeys(axis.key for axis in axes))
            message = f"is not swept, so nothing can be left out{did_you_mean(key, swept)}"
            yield Problem(f"exclude.{key}", message, exclusion.where)
        for value in values if choices else ():
            if not any(choice.is_of(value) for choice in choices):
                listed = list(dict.fromkeys(str(choice.value) for choice in choices))
                shown = ", ".join(listed[:20]) + (", …" if len(listed) > 20 else "")
                message = f"{value!r} is no choice of it; they are {shown}"
                yield Problem(
                    f"exclude.{key}", message + did_you_mean(str(value), listed), exclusion.where
                )


def _effective(product: Product, places_of: PlacesOf) -> list[Exclusion]:
    """Returns the exclusions that leave out a permutation of a grid."""
    if not product.exclude:
        return []
    places = places_of(product.axes)
    whole = Grid(product.dimensions, places).size
    return [one for one in product.exclude if Grid(product.dimensions, places, [one]).size < whole]
