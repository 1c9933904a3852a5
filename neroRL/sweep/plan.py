"""Works out what a sweep is: its grid, seeds and valid permutations, without running it."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig

from neroRL.composition.checking import (
    COMMAND_LINE,
    Origin,
    check_device,
    check_sections,
    plain,
)
from neroRL.composition.groups import ConfigGroups, option_problem
from neroRL.composition.overrides import value_text
from neroRL.composition.paths import find_tuning_file
from neroRL.composition.sweeps import split
from neroRL.config.documents import Document, read_document
from neroRL.errors import ConfigError, Problem
from neroRL.records.sweep_record import SweepRecord
from neroRL.reporting.cells import keys_shown_as_text
from neroRL.sweep import axes, objectives
from neroRL.sweep.building import Design, Ground, SearchSpace
from neroRL.sweep.jobs import SEED, JobPlan
from neroRL.sweep.options import SweepOptions, check_layout
from neroRL.sweep.places import Overrides, contradictions, deciding_overrides
from neroRL.sweep.points import Axis, Permutation, Product
from neroRL.sweep.space import Space
from neroRL.sweep.validation import Findings, Inspect, summary

BASIC_LAUNCHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"


@dataclass(frozen=True)
class SweepPlan:
    """The sweep of a command line.

    Attributes:
        directory: of the sweep.
        options: of the sweeper.
        here: whether jobs run in processes of this machine, which replace Hydra's basic launcher.
        base: the resolved base config.
        searched: the permutations.
        ground: what permutations are composed on.
    """

    directory: Path
    options: SweepOptions
    here: bool
    base: Mapping[str, Any]
    searched: SearchSpace
    ground: Ground

    @property
    def space(self) -> Space:
        """The permutations of the sweep."""
        return self.searched.space

    @property
    def overrides(self) -> Overrides:
        """The shared overrides, as far as they apply."""
        return self.searched.overrides

    @functools.cached_property
    def findings(self) -> Findings:
        """The findings of all permutations' checks, which run at the first access."""
        return self.searched.validator.check_all(self.space)

    @property
    def warnings(self) -> list[str]:
        """The warnings about what works but may not be meant, one line each."""
        evaluates = bool(self.base["evaluation"]["evaluate"])
        notices = [
            *axes.value_notices(self.searched.always, self.ground.fixed),
            *self.overrides.notices(),
            *self._size_notices(),
            *objectives.incomparable(self.space.axes, evaluates=evaluates),
        ]
        told = [str(problem) for problem in [*notices, *self.findings.cautions]]
        if self.findings.invalid and not self._refused:
            told += [f"left out: {problem}" for problem in self._summary]
        return told

    @property
    def problems(self) -> list[Problem]:
        """The reasons to refuse the sweep; empty if it can run."""
        return self._summary if self.findings.invalid and self._refused else []

    @property
    def _refused(self) -> bool:
        return self.options.on_invalid == "error" or not len(self.findings.valid)

    @property
    def _summary(self) -> list[Problem]:
        return summary(self.findings, len(self.space), refused=self._refused)

    def _size_notices(self) -> list[Problem]:
        """Warns of permutations that are fewer or more than they seem."""
        size, valid = self.space.size, len(self.findings.valid)
        wanted = {
            "sample": (self.options.sample, size, "the search space has {}; all of them train"),
            "confirm": (self.options.confirm, valid, "{} can train; all of them are confirmed"),
        }
        return self.searched.notices + [
            Problem(f"hydra.sweeper.{key}", f"{asked:,} are asked for, and {what.format(there)}")
            for key, (asked, there, what) in wanted.items()
            if asked is not None and asked > there
        ]

    @property
    def trains(self) -> bool:
        """Returns whether the sweep trains, rather than printing or writing configs."""
        return self.options.dry_run == "no" and not self.options.generate_only

    @property
    def seed(self) -> int:
        """The base seed of the command; negative if it has yet to be drawn."""
        seed = self.base[SEED]
        return seed if type(seed) is int else -1  # the checks report other types

    def jobs(self) -> JobPlan:
        """Returns all jobs of the sweep, before their seeds are drawn."""
        repetitions, shared = self.options.num_repetitions, self.overrides.shared
        return JobPlan(self.space, self.findings.valid, repetitions, self.seed, shared)

    def numbers(self) -> list[int]:
        """Returns the numbers of the jobs that the command asks for, in the order of the sweep."""
        valid = self.findings.valid
        asked = [position for position, one in enumerate(valid) if self.is_asked_for(one)]
        laps = range(self.options.num_repetitions)
        return [lap * len(valid) + position for lap in laps for position in asked]

    def is_asked_for(self, permutation: int) -> bool:
        """Returns whether a permutation is among those to train now."""
        return self.options.only is None or permutation in self.options.only

    def jobs_of(
        self, record: SweepRecord, chosen: Sequence[int] | None = None, last: Sequence[str] = ()
    ) -> JobPlan:
        """Returns the jobs of the sweep as it is recorded, each told which sweep it is of.

        Args:
            record: of the sweep.
            chosen: numbers of the permutations to train, ascending; None for all that can work.
            last: overrides of every job that win over all others.
        """
        told = {"sweep": record.id, "shown_as_text": keys_shown_as_text(record.axes)}
        marks = [f"hydra.sweeper.job.{key}={value_text(value)}" for key, value in told.items()]

        def shared(permutation: Permutation) -> list[str]:
            return [*self.overrides.shared(permutation), *marks]

        valid = self.findings.valid if chosen is None else chosen
        drawn = record.drawn_seeds
        return JobPlan(self.space, valid, record.repetitions, record.seed, shared, drawn, last)

    def config_of(self, permutation: Permutation) -> Mapping[str, Any]:
        """Returns the resolved config of a permutation, as plain Python."""
        return self.searched.validator.mapping(permutation)

    def content(self, permutation: Permutation) -> Mapping[str, Any]:
        """Returns the resolved config of a permutation with the defaults of what it leaves out."""
        return self.searched.validator.content(permutation)

    def check_device(self) -> None:
        """Refuses ``device: cuda`` on a machine without a GPU.

        Raises:
            ConfigError: there is none.
        """
        for axis in self.space.axes:
            if axis.key == "device":
                for choice in axis.choices:
                    check_device(choice.value, choice.where or axis.where)
                return
        check_device(str(self.base["device"]), self.ground.origin.where("device"))


def plan(
    config: DictConfig,
    loader: ConfigLoader,
    options: SweepOptions,
    arguments: Sequence[str],
    inspect: Inspect,
    primary: Path | None = None,
) -> SweepPlan:
    """Reads a command line and its tuning file; creates and prints nothing.

    Args:
        config: Hydra's composed master config.
        loader: composes jobs.
        options: the sweeper's options.
        arguments: the overrides of the command line.
        inspect: finds problems of a checked config that only the training knows.
        primary: the base config's file, for messages.

    Raises:
        ConfigError: the base config or the search space cannot be read, or is too large.
        UsageError: a sweep on the command line is no list of choices.
    """

    def compose(overrides: Sequence[str]) -> DictConfig:
        return loader.load_sweep_config(config, list(overrides))

    check_layout(config.hydra)
    name, given = config.hydra.job.config_name, list(config.hydra.overrides.hydra)
    problem_of = functools.partial(option_problem, loader, name, given)
    fixed, swept = split(arguments, options.params, loader, problem_of, options.max_jobs)
    ground = Ground(compose, fixed, ConfigGroups(loader), Origin(primary, fixed), inspect)
    written = _products(options, axes.of_command_line(swept), ground, loader)
    products = axes.with_numbered_seeds(written)
    overrides = ground.overrides(products)
    base = plain(compose(overrides.of_base()))
    for product in products:
        undone = contradictions(product.axes, fixed, lambda key: axes.telling(loader, key))
        if undone:
            raise ConfigError(undone)
    seed = base[SEED] if type(base[SEED]) is int else -1  # the checks report other types
    design = Design(options.design == "one_at_a_time", options.sample, seed)
    distinct = options.duplicates == "drop"
    searched = ground.search(products, overrides, design, distinct=distinct)
    _check_size(searched, options)
    _check_only(searched, options)
    return SweepPlan(
        directory=Path(str(config.hydra.sweep.dir)),
        options=options,
        here=bool(config.hydra.launcher["_target_"] == BASIC_LAUNCHER),
        base=base,
        searched=searched,
        ground=ground,
    )


def _products(
    options: SweepOptions, swept: Sequence[Axis], ground: Ground, loader: ConfigLoader
) -> list[Product]:
    """Returns the grids that the tuning file, the options and the command line write."""
    products = [Product(tuple((axis,) for axis in swept))]
    deciding = deciding_overrides(ground.fixed, ground.groups)
    check_sections(plain(ground.compose(deciding)), ground.origin)
    documents = [read_document(find_tuning_file(options.tune))] if options.tune else []
    if options.sections:
        documents.append(Document(Path(COMMAND_LINE), options.sections))
    if documents:
        products = axes.written(documents, deciding, swept, loader, ground.compose)
    for product in products:
        axes.check_distinct(product.axes, ground.groups)
        axes.check_swept(product.axes)
    return products


def _check_size(searched: SearchSpace, options: SweepOptions) -> None:
    jobs = searched.space.size * options.num_repetitions
    if jobs > options.max_jobs:
        union = searched.union
        sizes = [str(len(one[0].choices)) for one in union.grids[0].dimensions]
        is_whole = len(union.grids) == 1 and union.size == union.product == searched.space.size
        product = f"{' · '.join(sizes)} = " if is_whole and len(sizes) > 1 else ""
        message = (
            f"the grid has {product}{searched.space.size:,} "
            f"permutations, {jobs:,} jobs; hydra.sweeper.max_jobs allows {options.max_jobs:,}, "
            "and hydra.sweeper.sample draws some of them"
        )
        where = str(options.tune) if options.tune else COMMAND_LINE
        raise ConfigError([Problem("", message, where)])


def _check_only(searched: SearchSpace, options: SweepOptions) -> None:
    size = searched.space.size
    problems = [
        Problem("hydra.sweeper.only", f"{number} is no permutation; there are 0 to {size - 1}")
        for number in options.only or ()
        if not 0 <= number < size
    ]
    if problems:
        raise ConfigError(problems)
