"""Trains jobs of a sweep: in processes of this machine, or by a launcher of Hydra."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from neroRL.cores import available_cores
from neroRL.records.editions import edition_of
from neroRL.records.results import FAILED, JobResult
from neroRL.records.sweeps import dropped_results
from neroRL.reporting.progress import make_display
from neroRL.sweep.continuing import Inventory
from neroRL.sweep.dispatch import Dispatch, Runner
from neroRL.sweep.jobs import JobPlan
from neroRL.sweep.launching import LauncherRunner
from neroRL.sweep.monitor import Monitor
from neroRL.sweep.plan import SweepPlan
from neroRL.sweep.pool import WorkerPool, default_size, threads_of, visible_gpus
from neroRL.sweep.race import Race
from neroRL.sweep.schedule import Schedule


@dataclass(frozen=True)
class Execution:
    """Trains the jobs of a command, where its plan says.

    Attributes:
        plan: of the command.
        config: Hydra's composed master config.
        context: composes jobs.
        launcher: runs jobs where the plan does not have them run here.
        task: runs one job.
    """

    plan: SweepPlan
    config: DictConfig
    context: HydraContext
    launcher: Launcher
    task: TaskFunction

    def at_a_time(self, jobs: int) -> int | None:
        """Returns how many of some jobs run at a time; None if a launcher decides."""
        return self._size(jobs) if self.plan.here else None

    def train(
        self,
        jobs: JobPlan,
        found: Inventory,
        directory: Path,
        asked: int,
        race: Race | None = None,
        total: int | None = None,
        *,
        here: bool | None = None,
    ) -> list[JobResult]:
        """Trains the jobs that are left, and returns the results of all.

        Args:
            jobs: of the sweep.
            found: their results, and which of them run.
            directory: of the sweep.
            asked: number of jobs that the sweep has for now, whether the command is for all or not.
            race: in which the jobs take part, if any.
            total: number of jobs that the command is for, if that is more than ``found`` has.
            here: whether they train in processes of this machine; None for as the plan says.
        """
        total = found.total if total is None else total
        if found.finished:
            failures = sum(result.status == FAILED for result in found.finished.values())
            failed = f", {failures} of them failed" if failures else ""
            done = f"{len(found.finished)} of {total} jobs are done already{failed}"
            print(done, file=sys.stderr)
        monitor = Monitor(
            directory,
            jobs.space.keys,
            total,
            len(jobs.valid),
            found.finished,
            make_display(sys.stderr),
            dropped_results(directory),
            race,
        )
        monitor.start()
        try:
            if found.pending:
                schedule = Schedule(
                    found.pending,
                    max_retries=self.plan.options.max_retries,
                    fail_fast=self.plan.options.fail_fast,
                    race=race,
                )
                here = self.plan.here if here is None else here
                runner = (
                    self._pool(len(found.pending), asked) if here else self._launched(directory)
                )
                runner.run(Dispatch(schedule, jobs, directory, monitor))
        finally:
            monitor.stop()
        return monitor.results()

    def _launched(self, directory: Path) -> Runner:
        """Returns a launcher, which decides itself how many jobs of a sweep run at a time."""
        edition = edition_of(directory)
        return LauncherRunner(self.launcher, edition, self.plan.options.max_batch_size)

    def _pool(self, jobs: int, asked: int) -> Runner:
        """Returns worker processes for some jobs.

        Their threads do not depend on how many jobs are left: last bits may differ with them.
        """
        threads = threads_of(self._size(asked), available_cores())
        size, gpus = self._size(jobs), self._gpus()
        return WorkerPool(self.context, self.task, self.config, size, threads, gpus)

    def _size(self, jobs: int) -> int:
        """Returns how many of some jobs run at a time on this machine."""
        return self.plan.options.n_jobs or default_size(jobs, available_cores(), self._gpus())

    def _gpus(self) -> list[str]:
        return visible_gpus() if self.plan.base["device"] != "cpu" else []
