"""Runs a sweep: from the tuning file and the command line to finished jobs."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from neroRL.composition.checking import Origin, check_device, check_sections, plain
from neroRL.composition.sweeps import split
from neroRL.cores import available_cores
from neroRL.errors import ConfigError, Problem
from neroRL.files import make_directory, remove_leftovers
from neroRL.locks import held
from neroRL.records.job_progress import PROGRESS_FILE
from neroRL.records.results import FAILED, FORMAT, RESULT_FILE, JobResult, read_result
from neroRL.reporting.progress import make_display
from neroRL.reporting.summary import print_summary
from neroRL.reporting.tensorboard import write_sweep_hparams
from neroRL.sweep import axes, extension, ledger, writing
from neroRL.sweep.grid import Grid, Permutation
from neroRL.sweep.jobs import SEED, Job, JobPlan
from neroRL.sweep.launching import launch_all
from neroRL.sweep.monitor import Monitor
from neroRL.sweep.options import SweepOptions, check_layout
from neroRL.sweep.places import Overrides, contradictions
from neroRL.sweep.pool import WorkerPool, default_size, prepare, threads_of, visible_gpus
from neroRL.sweep.validation import Findings, Inspect, Validator, summary

SEED_LIMIT = 2**31 - 1
OUTPUT_FILE = "output.log"
BASIC_LAUNCHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"
NO_RESULT = "the job ended without a result"


class Sweep:
    """One sweep, as the command line describes it.

    Args:
        config: Hydra's composed master config.
        context: gives access to composition.
        options: the sweeper's options.
        arguments: the overrides of the command line.
        inspect: finds problems of a checked config that only those who train can tell.
        primary: the base config's file, for messages.
    """

    def __init__(
        self,
        config: DictConfig,
        context: HydraContext,
        options: SweepOptions,
        arguments: Sequence[str],
        inspect: Inspect,
        primary: Path | None = None,
    ) -> None:
        self._config = config
        self._loader = context.config_loader
        self._callbacks = context.callbacks
        self._options = options
        check_layout(config.hydra)
        self._directory = Path(str(config.hydra.sweep.dir))
        self._fixed, swept = split(arguments, options.params, self._loader, options.max_jobs)
        found = axes.of_command_line(swept)
        self._origin = Origin(primary, self._fixed)
        groups = axes.config_groups(self._loader)
        self._overrides = Overrides(self._compose, self._fixed, found, groups)
        check_sections(plain(self._compose(self._overrides.deciding)), self._origin)
        if options.tune is not None:
            of_file = axes.of_file(
                options.tune, self._overrides.deciding, found, self._loader, self._compose
            )
            axes.warn_of_values(of_file, self._fixed)
            found = [*of_file, *found]
            self._overrides = Overrides(self._compose, self._fixed, found, groups)
        axes.check_distinct(found, groups)
        self._base = plain(self._compose(self._overrides.of_base()))
        undone = contradictions(found, self._fixed, lambda key: axes.telling(self._loader, key))
        if undone:
            raise ConfigError(undone)
        self._grid = Grid(axes.with_numbered_seeds(found), self._overrides.places)
        self._check_size()
        if options.duplicates == "drop":
            self._grid = self._grid.without_repeats()
        seed = self._base[SEED]
        self._base_seed = seed if type(seed) is int else -1  # the checks tell what it is instead
        self._findings = Findings()
        self._validator = Validator(self._compose, self._overrides.shared, self._origin, inspect)

    def run(self, launcher: Launcher, task: TaskFunction) -> None:
        """Checks everything, then does what the options ask for.

        Args:
            launcher: runs jobs; Hydra's basic one is replaced by processes of this machine.
            task: what a job does.

        Raises:
            ConfigError: some permutation cannot work; nothing was created.
            OutputError: the output directory holds something else; nothing was changed.
            SystemExit: with status 1 when some job failed; the others finished.
        """
        trains = self._options.dry_run == "no" and not self._options.generate_only
        if trains and self._trains_here:
            prepare()
        self._check()
        if trains and self._trains_here:
            self._check_device()
        if trains:
            self._train(launcher, task)
        elif self._options.dry_run != "no":
            resolve = self._options.dry_run == "resolved"
            writing.print_configs(self._asked(), self._compose, resolve=resolve)
        else:
            count = writing.generate(self._asked(), self._compose, self._directory)
            print(f"{count} configs in {self._directory / writing.CONFIGS}")

    @property
    def _trains_here(self) -> bool:
        """Whether jobs run in processes of this machine: Hydra's basic launcher is replaced."""
        return bool(self._config.hydra.launcher["_target_"] == BASIC_LAUNCHER)

    def _check_size(self) -> None:
        jobs = self._grid.size * self._options.num_repetitions
        if jobs > self._options.max_jobs:
            sizes = " · ".join(str(len(axis.choices)) for axis in self._grid.axes)
            is_product = len(self._grid.axes) > 1 and self._grid.size == self._grid.product
            message = (
                f"the grid has {f'{sizes} = ' if is_product else ''}{self._grid.size:,} "
                f"permutations, {jobs:,} jobs; "
                f"hydra.sweeper.max_jobs allows {self._options.max_jobs:,}"
            )
            where = str(self._options.tune) if self._options.tune else "command line"
            raise ConfigError([Problem("", message, where)])

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        config: DictConfig = self._loader.load_sweep_config(self._config, list(overrides))
        return config

    def _check(self) -> None:
        """Checks every permutation; warns, refuses or leaves out."""
        notices = [
            *self._overrides.notices(),
            *self._grid.place_notices(),
            *self._grid.repeat_notices(),
        ]
        self._findings = findings = self._validator.check_all(self._grid)
        total = len(self._grid)
        for problem in [*notices, *findings.cautions]:
            print(f"warning: {problem}", file=sys.stderr)
        if not findings.invalid:
            return
        refused = self._options.on_invalid == "error" or not len(findings.valid)
        problems = summary(findings, total, refused=refused)
        if refused:
            raise ConfigError(problems)
        for problem in problems:
            print(f"warning: left out: {problem}", file=sys.stderr)

    def _check_device(self) -> None:
        """Refuses ``device: cuda`` where jobs run here and there is none."""
        for axis in self._grid.axes:
            if axis.key == "device":
                for choice in axis.choices:
                    check_device(choice.value, choice.where or axis.where)
                return
        check_device(self._base["device"], self._origin.where("device"))

    def _asked(self) -> JobPlan:
        """The jobs the options ask for, their seeds not drawn yet."""
        return self._plan(self._base_seed, self._options.num_repetitions)

    def _plan(self, seed: int, repetitions: int, drawn: Sequence[int] = ()) -> JobPlan:
        valid, shared = self._findings.valid, self._overrides.shared
        return JobPlan(self._grid, valid, repetitions, seed, shared, drawn)

    def _train(self, launcher: Launcher, task: TaskFunction) -> None:
        ledger.check_directory(self._directory)
        if extension.is_unfinished(self._directory):
            with held(self._directory, "sweep"):
                extension.finish(self._directory)
        earlier = ledger.recorded(self._directory)
        record = self._record(earlier)
        numbers: dict[int, int] = {}
        if earlier is not None and self._options.extend:
            there = replace(earlier, axes=record.axes)
            ledger.refuse_other_sweep(self._directory, there, record)
            numbers = self._new_numbers(earlier)
        elif earlier is not None:
            ledger.refuse_other_sweep(self._directory, earlier, record)
        plan = self._plan(record.seed, record.repetitions, record.drawn_seeds)
        make_directory(self._directory)
        with held(self._directory, "sweep"):
            remove_leftovers(self._directory)
            if earlier is not None and numbers and earlier.axes != record.axes:
                values = {number: plan.values(self._grid[number]) for number in numbers.values()}
                extension.renumber(self._directory, numbers, values, record)
            record.write(self._directory)
            OmegaConf.save(self._config, self._directory / "multirun.yaml")
            if earlier is None or earlier.axes != record.axes:
                write_sweep_hparams(self._directory, record.trained_axes())
            self._run_jobs(plan, launcher, task)

    def _new_numbers(self, earlier: ledger.SweepRecord) -> dict[int, int]:
        """The number of each permutation of the sweep so far in the grid of now."""
        groups = axes.config_groups(self._loader)
        found = axes.of_record(earlier.axes, groups)
        overrides = Overrides(self._compose, self._fixed, found, groups)
        before = Validator(self._compose, overrides.shared, self._origin, lambda _: [])
        old = Grid(found, overrides.places)

        def content(grid: Grid, permutation: Permutation) -> Mapping[str, Any]:
            return (before if grid is old else self._validator).mapping(grid, permutation)

        return extension.new_numbers(old, self._grid, content)

    def _record(self, earlier: ledger.SweepRecord | None) -> ledger.SweepRecord:
        seed = self._base_seed
        if seed < 0:
            seed = earlier.seed if earlier is not None else secrets.randbelow(SEED_LIMIT)
        # Laps that were done stay part of the sweep, even if fewer are asked for now.
        laps = max(self._options.num_repetitions, earlier.repetitions if earlier else 0)
        return ledger.SweepRecord(
            base=self._base,
            axes=ledger.axes_of(self._grid.axes),
            seed=seed,
            tune=str(self._options.tune) if self._options.tune else None,
            repetitions=laps,
            permutations=len(self._grid),
            jobs=len(self._findings.valid) * laps,
            conditional=tuple(self._overrides.conditional()),
            drawn_seeds=self._drawn_seeds(earlier),
        )

    def _drawn_seeds(self, earlier: ledger.SweepRecord | None) -> list[int]:
        """A seed for each choice that asks for one; those that were drawn before stay."""
        swept = ledger.axes_of(self._grid.axes).get(SEED, [])
        count = sum(type(value) is int and value < 0 for value in swept)
        drawn = list(earlier.drawn_seeds) if earlier is not None else []
        return drawn + [secrets.randbelow(SEED_LIMIT) for _ in range(count - len(drawn))]

    def _run_jobs(self, plan: JobPlan, launcher: Launcher, task: TaskFunction) -> None:
        finished, pending = self._divide(plan)
        total = len(finished) + len(pending)
        if finished:
            print(f"{len(finished)} of {total} jobs are done already", file=sys.stderr)
        display = make_display(sys.stderr)
        monitor = Monitor(self._directory, plan.grid.keys, total, finished, display)
        monitor.start()
        try:
            if self._trains_here:
                self._run_here(plan, pending, task, monitor)
            else:
                self._run_elsewhere(plan, pending, launcher, monitor)
        finally:
            monitor.stop()
        results = monitor.results()
        print_summary(results, str(self._directory), sys.stdout)
        if any(result.status == FAILED for result in results):
            raise SystemExit(1)

    def _run_here(
        self, plan: JobPlan, pending: Sequence[int], task: TaskFunction, monitor: Monitor
    ) -> None:
        """Runs jobs in processes of this machine."""
        if not pending:
            return
        cores = available_cores()
        gpus = visible_gpus() if self._base["device"] != "cpu" else []
        size = self._options.n_jobs or default_size(len(pending), cores, gpus)
        context = HydraContext(config_loader=self._loader, callbacks=self._callbacks)
        pool = WorkerPool(context, task, self._config, size, threads_of(size, cores), gpus)

        def output(job: Job) -> str:
            self._begin(job, monitor)
            return str(self._directory / job.directory / OUTPUT_FILE)

        for ended in pool.run(
            (plan[number] for number in pending),
            output,
            max_retries=self._options.max_retries,
            fail_fast=self._options.fail_fast,
        ):
            self._account(ended.job, ended.error or NO_RESULT, monitor)

    def _run_elsewhere(
        self, plan: JobPlan, pending: Sequence[int], launcher: Launcher, monitor: Monitor
    ) -> None:
        """Hands jobs to a launcher, which returns when they have ended."""
        for ended in launch_all(
            launcher,
            plan,
            pending,
            self._directory,
            lambda job: self._begin(job, monitor),
            batch_size=self._options.max_batch_size,
            max_retries=self._options.max_retries,
            fail_fast=self._options.fail_fast,
        ):
            self._account(ended.job, ended.error or NO_RESULT, monitor)

    def _divide(self, plan: JobPlan) -> tuple[dict[int, JobResult], list[int]]:
        """Separates the jobs that are done from those to run."""
        finished: dict[int, JobResult] = {}
        pending: list[int] = []
        others = 0
        asked = len(self._asked())
        for number in range(len(plan)):
            result = read_result(self._directory / plan.directory(number))
            if number >= asked:  # of a lap that an earlier command asked for
                if result is not None:
                    finished[number] = result
            elif result is None or (result.status == FAILED and self._options.retry_failed):
                pending.append(number)
            elif result.status == FAILED or self._is_of(plan, number, result):
                finished[number] = result
            else:
                others += 1
                pending.append(number)
        if others:
            message = f"results of {others} jobs are of another config or version; these run again"
            print(f"warning: {message}", file=sys.stderr)
        return finished, pending

    def _is_of(self, plan: JobPlan, number: int, result: JobResult) -> bool:
        """Whether a result is that of the job as it is composed now."""
        permutation, seed = plan.point(number)
        config = {**self._validator.mapping(self._grid, permutation), SEED: seed}
        return result.format == FORMAT and result.fingerprint == ledger.fingerprint(config)

    def _begin(self, job: Job, monitor: Monitor) -> None:
        """Before a try of a job: what an earlier one left does not speak for this one."""
        for name in (RESULT_FILE, PROGRESS_FILE):
            (self._directory / job.directory / name).unlink(missing_ok=True)
        monitor.watch([job])

    def _account(self, job: Job, error: str, monitor: Monitor) -> None:
        """Records a job that ended; the error, where it left no result itself."""
        directory = self._directory / job.directory
        if read_result(directory) is None:
            failed = JobResult(
                permutation=job.permutation.number,
                repetition=job.repetition,
                seed=job.seed,
                status=FAILED,
                overrides=job.values,
                directory=job.directory,
                error=error,
            )
            try:
                directory.mkdir(parents=True, exist_ok=True)
                failed.write(directory)
            except OSError as reason:
                print(f"warning: {job.directory}: {reason}", file=sys.stderr)
                monitor.note(job, failed)
        monitor.poll()
