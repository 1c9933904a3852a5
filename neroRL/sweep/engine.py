"""Runs a sweep: from the tuning file and the command line to finished jobs."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence
from dataclasses import replace

from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from neroRL.cores import available_cores
from neroRL.errors import ConfigError
from neroRL.files import remove_leftovers
from neroRL.records.job_progress import PROGRESS_FILE
from neroRL.records.results import FAILED, FORMAT, RESULT_FILE, JobResult, read_result
from neroRL.reporting.progress import make_display
from neroRL.reporting.summary import print_summary
from neroRL.reporting.tensorboard import write_sweep_hparams
from neroRL.sweep import extension, ledger, writing
from neroRL.sweep.jobs import SEED, Job, JobPlan
from neroRL.sweep.launching import launch_all
from neroRL.sweep.monitor import Monitor
from neroRL.sweep.plan import SweepPlan
from neroRL.sweep.pool import WorkerPool, default_size, prepare, threads_of, visible_gpus

SEED_LIMIT = 2**31 - 1
OUTPUT_FILE = "output.log"
NO_RESULT = "the job ended without a result"


class Sweep:
    """Does what a plan asks for.

    Args:
        plan: of the sweep.
        config: Hydra's composed master config.
        context: gives access to composition.
    """

    def __init__(self, plan: SweepPlan, config: DictConfig, context: HydraContext) -> None:
        self._asked = plan
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
        plan = self._asked
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
            with ledger.locked(self._directory):
                extension.finish(self._directory)
        earlier = ledger.recorded(self._directory)
        record = self._record(earlier)
        numbers: dict[int, int] = {}
        if earlier is not None and self._options.extend:
            there = replace(earlier, axes=record.axes)
            ledger.refuse_other_sweep(self._directory, there, record)
            numbers = self._asked.new_numbers(earlier)
        elif earlier is not None:
            ledger.refuse_other_sweep(self._directory, earlier, record)
        plan = self._asked.jobs(record.seed, record.repetitions)
        self._directory.mkdir(parents=True, exist_ok=True)
        with ledger.locked(self._directory):
            remove_leftovers(self._directory)
            if earlier is not None and numbers and earlier.axes != record.axes:
                grid = self._asked.grid
                values = {number: grid[number].values for number in numbers.values()}
                extension.renumber(self._directory, numbers, values, record)
            record.write(self._directory)
            OmegaConf.save(self._config, self._directory / "multirun.yaml")
            if earlier is None or earlier.axes != record.axes:
                write_sweep_hparams(self._directory, record.axes)
            self._run_jobs(plan, launcher, task)

    def _record(self, earlier: ledger.SweepRecord | None) -> ledger.SweepRecord:
        seed = self._asked.seed
        if seed < 0:
            seed = earlier.seed if earlier is not None else secrets.randbelow(SEED_LIMIT)
        # Laps that were done stay part of the sweep, even if fewer are asked for now.
        laps = max(self._options.num_repetitions, earlier.repetitions if earlier else 0)
        return ledger.SweepRecord(
            base=self._asked.base,
            axes=ledger.axes_of(self._asked.grid.axes),
            seed=seed,
            tune=str(self._options.tune) if self._options.tune else None,
            repetitions=laps,
            permutations=len(self._asked.grid),
            jobs=len(self._asked.findings.valid) * laps,
            conditional=tuple(self._asked.overrides.conditional()),
        )

    def _run_jobs(self, plan: JobPlan, launcher: Launcher, task: TaskFunction) -> None:
        finished, pending = self._divide(plan)
        total = len(finished) + len(pending)
        if finished:
            print(f"{len(finished)} of {total} jobs are done already", file=sys.stderr)
        display = make_display(sys.stderr)
        monitor = Monitor(self._directory, plan.grid.keys, total, finished, display)
        monitor.start()
        try:
            if self._asked.here:
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
        gpus = visible_gpus() if self._asked.base["device"] != "cpu" else []
        size = self._options.n_jobs or default_size(len(pending), cores, gpus)
        pool = WorkerPool(self._context, task, self._config, size, threads_of(size, cores), gpus)

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
        asked = len(self._asked.jobs())
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
        config = {**self._asked.config_of(permutation), SEED: seed}
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
                overrides=job.permutation.values,
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
