"""Runs a sweep: from its plan to finished jobs."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace

from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from neroRL.composition.overrides import value_text
from neroRL.cores import available_cores
from neroRL.errors import ConfigError
from neroRL.files import make_directory, remove_leftovers
from neroRL.locks import held
from neroRL.records.exits import Exit
from neroRL.records.results import FAILED, JobResult
from neroRL.records.sweep_record import SweepRecord, command_line, read_record, versions
from neroRL.reporting.cells import keys_shown_as_text
from neroRL.reporting.progress import make_display
from neroRL.reporting.ranking import rank
from neroRL.reporting.ranking_files import write_files
from neroRL.reporting.summary import print_summary, print_written
from neroRL.reporting.tensorboard import metric_tags, write_sweep_hparams
from neroRL.sweep import extension, ledger, writing
from neroRL.sweep.continuing import standing
from neroRL.sweep.dispatch import Dispatch, Runner
from neroRL.sweep.jobs import SEED, JobPlan
from neroRL.sweep.launching import LauncherRunner
from neroRL.sweep.monitor import Monitor
from neroRL.sweep.plan import SweepPlan
from neroRL.sweep.pool import WorkerPool, default_size, prepare, threads_of, visible_gpus
from neroRL.sweep.schedule import Schedule

SEED_LIMIT = 2**31 - 1


class Sweep:
    """Does what a plan asks for.

    Args:
        plan: of the sweep.
        config: Hydra's composed master config.
        context: gives access to composition.
    """

    def __init__(self, plan: SweepPlan, config: DictConfig, context: HydraContext) -> None:
        self._plan = plan
        self._options = plan.options
        self._directory = plan.directory
        self._config = config
        self._context = context

    def run(self, launcher: Launcher, task: TaskFunction) -> None:
        """Trains, prints or writes the jobs of the plan.

        Args:
            launcher: runs jobs; Hydra's basic one is replaced by processes of this machine.
            task: what a job does.

        Raises:
            ConfigError: some permutation cannot work; nothing was created.
            OutputError: the output directory holds something else; nothing was changed.
            SystemExit: with status 1 when some job failed; the others finished.
        """
        plan = self._plan
        if plan.trains and plan.here:
            prepare()
        for warning in plan.warnings:
            print(f"warning: {warning}", file=sys.stderr)
        if plan.problems:
            raise ConfigError(plan.problems)
        if plan.trains and plan.here:
            plan.check_device()
        if plan.trains:
            self._train(launcher, task)
        elif self._options.dry_run != "no":
            resolve = self._options.dry_run == "resolved"
            writing.print_configs(plan.jobs(), plan.compose, resolve=resolve)
        else:
            count = writing.generate(plan.jobs(), plan.compose, self._directory)
            print(f"{count} configs in {self._directory / writing.CONFIGS}")

    def _train(self, launcher: Launcher, task: TaskFunction) -> None:
        ledger.check_directory(self._directory)
        if extension.is_unfinished(self._directory):
            with held(self._directory, "sweep"):
                extension.finish(self._directory)
        earlier = read_record(self._directory)
        record = self._record(earlier)
        numbers: dict[int, int] = {}
        if earlier is not None and self._options.extend:
            there = replace(earlier, axes=record.axes)
            ledger.refuse_other_sweep(self._directory, there, record)
            numbers = self._plan.new_numbers(earlier)
        elif earlier is not None:
            ledger.refuse_other_sweep(self._directory, earlier, record)
        jobs = self._plan.jobs(
            record.seed, record.repetitions, drawn=record.drawn_seeds, marks=_marks(record)
        )
        make_directory(self._directory)
        with held(self._directory, "sweep"):
            remove_leftovers(self._directory)
            if earlier is not None and numbers and earlier.axes != record.axes:
                grid = self._plan.grid
                values = {number: jobs.values(grid[number]) for number in numbers.values()}
                extension.renumber(self._directory, numbers, values, record)
            record.write(self._directory)
            OmegaConf.save(self._config, self._directory / "multirun.yaml")
            self._run_jobs(jobs, record, launcher, task)

    def _describe(self, results: Iterable[JobResult], record: SweepRecord) -> None:
        """Tells TensorBoard the columns of the sweep's table, as far as results have shown them."""
        grid, base = self._plan.grid, self._plan.base
        swept = {axis.key: axis.choices for axis in grid.axes}.get("evaluation.evaluate", ())
        evaluates = any(choice.value for choice in swept) or base["evaluation"]["evaluate"]
        success = any(result.success_mean is not None for result in results)
        metrics = metric_tags(evaluates=bool(evaluates), tells_success=success)
        write_sweep_hparams(self._directory, ledger.trained_axes(record), metrics)

    def _record(self, earlier: SweepRecord | None) -> SweepRecord:
        seed = self._plan.seed
        if seed < 0:
            seed = earlier.seed if earlier is not None else secrets.randbelow(SEED_LIMIT)
        # Laps that were done stay part of the sweep, even if fewer are asked for now.
        laps = max(self._options.num_repetitions, earlier.repetitions if earlier else 0)
        return SweepRecord(
            base=self._plan.base,
            axes=ledger.axes_of(self._plan.grid.axes),
            seed=seed,
            tune=str(self._options.tune) if self._options.tune else None,
            repetitions=laps,
            permutations=len(self._plan.grid),
            jobs=len(self._plan.findings.valid) * laps,
            conditional=tuple(self._plan.overrides.conditional()),
            drawn_seeds=tuple(self._drawn_seeds(earlier)),
            id=earlier.id if earlier else f"{self._plan.base['run_id']}-{secrets.token_hex(4)}",
            command=command_line(),
            versions=versions(),
        )

    def _drawn_seeds(self, earlier: SweepRecord | None) -> list[int]:
        """A seed for each choice that asks for one; those that were drawn before stay."""
        swept = ledger.axes_of(self._plan.grid.axes).get(SEED, [])
        count = sum(type(value) is int and value < 0 for value in swept)
        drawn = list(earlier.drawn_seeds) if earlier is not None else []
        return drawn + [secrets.randbelow(SEED_LIMIT) for _ in range(count - len(drawn))]

    def _run_jobs(
        self, jobs: JobPlan, record: SweepRecord, launcher: Launcher, task: TaskFunction
    ) -> None:
        found = standing(self._plan, jobs)
        self._describe(found.finished.values(), record)
        if found.others:
            print(
                f"warning: results of {found.others} jobs are of another config or version; "
                "these run again",
                file=sys.stderr,
            )
        if found.finished:
            print(f"{len(found.finished)} of {found.total} jobs are done already", file=sys.stderr)
        display = make_display(sys.stderr)
        monitor = Monitor(
            self._directory, jobs.grid.keys, found.total, len(jobs.valid), found.finished, display
        )
        monitor.start()
        try:
            if found.pending:
                schedule = Schedule(
                    found.pending,
                    max_retries=self._options.max_retries,
                    fail_fast=self._options.fail_fast,
                )
                runner = self._runner(len(found.pending), launcher, task)
                runner.run(Dispatch(schedule, jobs, self._directory, monitor))
        finally:
            monitor.stop()
        results = monitor.results()
        self._describe(results, record)
        self._rank(results, jobs)
        if any(result.status == FAILED for result in results):
            raise SystemExit(Exit.FAILED)

    def _rank(self, results: Sequence[JobResult], jobs: JobPlan) -> None:
        """Prints what the sweep came to, and writes its ranking and its best config."""
        ranking = rank(results, len(jobs.valid))
        retries = self._options.retry_failed
        print_summary(results, ranking, str(self._directory), sys.stdout, retries=retries)
        written = write_files(self._directory, ranking, jobs.grid.keys, results)
        print_written(written, sys.stdout)
        if written.warning:
            print(f"warning: {written.warning}", file=sys.stderr)

    def _runner(self, jobs: int, launcher: Launcher, task: TaskFunction) -> Runner:
        """What runs the jobs: processes of this machine, or a launcher."""
        if not self._plan.here:
            return LauncherRunner(launcher, self._options.max_batch_size)
        cores = available_cores()
        gpus = visible_gpus() if self._plan.base["device"] != "cpu" else []
        size = self._options.n_jobs or default_size(jobs, cores, gpus)
        return WorkerPool(self._context, task, self._config, size, threads_of(size, cores), gpus)


def _marks(record: SweepRecord) -> list[str]:
    """Overrides that tell a job which sweep it is of, for TensorBoard."""
    told = {"sweep": record.id, "shown_as_text": keys_shown_as_text(record.axes)}
    return [f"hydra.sweeper.job.{key}={value_text(value)}" for key, value in told.items()]
