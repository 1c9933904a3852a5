"""Works out what a sweep is: its grid, seeds and valid permutations, without running it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig

from neroRL.composition.checking import Origin, check_device, check_sections, plain
from neroRL.composition.overrides import value_text
from neroRL.composition.sweeps import split
from neroRL.errors import ConfigError, Problem
from neroRL.records.sweep_record import SweepRecord
from neroRL.reporting.cells import keys_shown_as_text
from neroRL.sweep import axes, extension, objectives
from neroRL.sweep.grid import Grid, Permutation
from neroRL.sweep.jobs import SEED, JobPlan
from neroRL.sweep.options import SweepOptions, check_layout
from neroRL.sweep.places import Overrides, contradictions
from neroRL.sweep.validation import Findings, Inspect, Validator, summary

BASIC_LAUNCHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"


@dataclass(frozen=True)
class SweepPlan:
    """The sweep of a command line.

    Attributes:
        directory: of the sweep.
        options: of the sweeper.
        here: whether jobs run in processes of this machine, which replace Hydra's basic launcher.
        base: the resolved base config.
        grid: the permutations.
        overrides: the shared overrides, as far as they apply.
        fixed: overrides of the command line that all jobs share.
        origin: where the values of the base config come from.
        inspect: finds problems of a checked config that only the training knows.
        loader: composes jobs.
        compose: composes a job from its overrides.
    """

    directory: Path
    options: SweepOptions
    here: bool
    base: Mapping[str, Any]
    grid: Grid
    overrides: Overrides
    fixed: Sequence[str]
    origin: Origin
    inspect: Inspect
    loader: ConfigLoader
    compose: Callable[[Sequence[str]], DictConfig]

    @functools.cached_property
    def _validator(self) -> Validator:
        return Validator(self.compose, self.overrides.shared, self.origin, self.inspect)

    @functools.cached_property
    def findings(self) -> Findings:
        """The findings of all permutations' checks, which run at the first access."""
        return self._validator.check_all(self.grid)

    @property
    def warnings(self) -> list[str]:
        """The warnings about what works but may not be meant, one line each."""
        evaluates = bool(self.base["evaluation"]["evaluate"])
        notices = [
            *axes.value_notices(self.grid.axes, self.fixed),
            *self.overrides.notices(),
            *self.grid.place_notices(),
            *self.grid.repeat_notices(),
            *objectives.incomparable(self.grid.axes, evaluates=evaluates),
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
        return summary(self.findings, len(self.grid), refused=self._refused)

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
        """Returns the jobs of the command, before their seeds are drawn."""
        repetitions, shared = self.options.num_repetitions, self.overrides.shared
        return JobPlan(self.grid, self.findings.valid, repetitions, self.seed, shared)

    def jobs_of(
        self, record: SweepRecord, chosen: Sequence[int] | None = None, more: Sequence[str] = ()
    ) -> JobPlan:
        """Returns the jobs of the sweep as it is recorded, each told which sweep it is of.

        Args:
            record: of the sweep.
            chosen: numbers of the permutations to train, ascending; None for all that can work.
            more: overrides of every job.
        """
        told = {"sweep": record.id, "shown_as_text": keys_shown_as_text(record.axes)}
        marks = [f"hydra.sweeper.job.{key}={value_text(value)}" for key, value in told.items()]

        def shared(permutation: Permutation) -> list[str]:
            return [*self.overrides.shared(permutation), *marks, *more]

        valid = self.findings.valid if chosen is None else chosen
        drawn = record.drawn_seeds
        return JobPlan(self.grid, valid, record.repetitions, record.seed, shared, drawn)

    def config_of(self, permutation: Permutation) -> Mapping[str, Any]:
        """Returns the resolved config of a permutation, as plain Python."""
        return self._validator.mapping(self.grid, permutation)

    def new_numbers(self, earlier: SweepRecord) -> dict[int, int]:
        """Returns the number in this grid of each permutation of the sweep so far.

        Raises:
            OutputError: this grid lacks a permutation of the sweep so far.
        """
        groups = axes.config_groups(self.loader)
        found = axes.of_record(earlier.axes, groups)
        overrides = Overrides(self.compose, self.fixed, found, groups)
        before = Validator(self.compose, overrides.shared, self.origin, lambda _: [])
        old = Grid(found, overrides.places)

        def content(grid: Grid, permutation: Permutation) -> Mapping[str, Any]:
            return (before if grid is old else self._validator).mapping(grid, permutation)

        return extension.new_numbers(old, self.grid, content)

    def check_device(self) -> None:
        """Refuses ``device: cuda`` on a machine without a GPU.

        Raises:
            ConfigError: there is none.
        """
        for axis in self.grid.axes:
            if axis.key == "device":
                for choice in axis.choices:
                    check_device(choice.value, choice.where or axis.where)
                return
        check_device(str(self.base["device"]), self.origin.where("device"))


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
    fixed, swept = split(arguments, options.params, loader, options.max_jobs)
    found = axes.of_command_line(swept)
    origin = Origin(primary, fixed)
    groups = axes.config_groups(loader)
    overrides = Overrides(compose, fixed, found, groups)
    check_sections(plain(compose(overrides.deciding)), origin)
    if options.tune is not None:
        of_file = axes.of_file(options.tune, overrides.deciding, found, loader, compose)
        found = [*of_file, *found]
        overrides = Overrides(compose, fixed, found, groups)
    axes.check_distinct(found, groups)
    axes.check_swept(found)
    base = plain(compose(overrides.of_base()))
    undone = contradictions(found, fixed, lambda key: axes.telling(loader, key))
    if undone:
        raise ConfigError(undone)
    grid = Grid(axes.with_numbered_seeds(found), overrides.places)
    _check_size(grid, options)
    return SweepPlan(
        directory=Path(str(config.hydra.sweep.dir)),
        options=options,
        here=bool(config.hydra.launcher["_target_"] == BASIC_LAUNCHER),
        base=base,
        grid=grid.without_repeats() if options.duplicates == "drop" else grid,
        overrides=overrides,
        fixed=fixed,
        origin=origin,
        inspect=inspect,
        loader=loader,
        compose=compose,
    )


def _check_size(grid: Grid, options: SweepOptions) -> None:
    jobs = grid.size * options.num_repetitions
    if jobs > options.max_jobs:
        sizes = " · ".join(str(len(axis.choices)) for axis in grid.axes)
        is_product = len(grid.axes) > 1 and grid.size == grid.product
        message = (
            f"the grid has {f'{sizes} = ' if is_product else ''}{grid.size:,} permutations, "
            f"{jobs:,} jobs; hydra.sweeper.max_jobs allows {options.max_jobs:,}"
        )
        where = str(options.tune) if options.tune else "command line"
        raise ConfigError([Problem("", message, where)])
