"""Runs a sweep: from its plan to finished jobs."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from neroRL.errors import ConfigError, NeroRLError, Problem
from neroRL.ranking.ranking import Ranking, rank
from neroRL.records.exits import Exit
from neroRL.records.results import FAILED, JobResult
from neroRL.records.sweep_record import SweepRecord
from neroRL.records.sweeps import RecordedSweep, confirmation_of, read_sweep
from neroRL.reporting.summary import print_confirmation
from neroRL.signals import raise_lost
from neroRL.sweep import confirmation, ledger, preview, racing, writing
from neroRL.sweep.conclusion import conclude, describe, show_confirmation
from neroRL.sweep.continuing import Inventory, inventory, put_beside
from neroRL.sweep.execution import Execution
from neroRL.sweep.jobs import Asked, JobPlan
from neroRL.sweep.launching import check_place
from neroRL.sweep.opening import opened
from neroRL.sweep.plan import SweepPlan
from neroRL.sweep.server import prepare
from neroRL.texts import counted


class Sweep:
    """Runs a plan.

    Args:
        plan: of the sweep.
        config: Hydra's composed master config.
        context: composes jobs.
        launcher: runs jobs; worker processes replace Hydra's basic one.
        task: runs one job.
    """

    def __init__(
        self,
        plan: SweepPlan,
        config: DictConfig,
        context: HydraContext,
        launcher: Launcher,
        task: TaskFunction,
    ) -> None:
        self._plan = plan
        self._options = plan.options
        self._directory = plan.directory
        self._config = config
        self._execution = Execution(plan, config, context, launcher, task)

    def run(self) -> None:
        """Trains, prints or writes the jobs of the plan.

        Raises:
            ConfigError: some permutation cannot work; nothing was created.
            OutputError: the output directory holds something else; nothing was changed.
            SystemExit: with status 1 when some job failed; the others finished.
        """
        plan, options = self._plan, self._options
        if plan.trains and plan.here:
            prepare()
        self._check()
        raise_lost()  # what it interrupted may look like a permutation that cannot work
        if not plan.trains:
            self._show_configs()
            return
        speed = self._measured_speed() if options.preview != "no" else None
        if speed is not None or options.preview == "only":
            self._print_cost(plan.numbers(), speed)
        if options.preview != "only":
            with opened(plan, self._config) as (record, jobs):
                self._train(record, jobs)

    def _check(self) -> None:
        """Warns of what may not be meant, and refuses what cannot work."""
        plan = self._plan
        about_race = racing.warnings_of(plan) if plan.trains and self._options.races else []
        for warning in [*plan.warnings, *about_race]:
            print(f"warning: {warning}", file=sys.stderr)
        if plan.problems:
            raise ConfigError(plan.problems)
        if self._options.only is not None and not plan.numbers():
            message = "none of these permutations can train"
            raise ConfigError([Problem("hydra.sweeper.only", message)])
        if plan.trains and plan.here:
            plan.check_device()
        elif plan.trains:
            check_place(self._execution.launcher, self._directory)

    def _show_configs(self) -> None:
        """Prints or writes the configs of the jobs."""
        plan = self._plan
        asked = Asked(plan.jobs(), plan.numbers())
        if self._options.dry_run == "no":
            count = writing.generate(asked, plan.ground.compose, self._directory)
            print(f"{count} configs in {self._directory / writing.CONFIGS}")
            return
        done: list[JobResult] = []
        with contextlib.suppress(NeroRLError):  # nothing was trained there, or it is damaged
            done = read_sweep(self._directory).results
        speed = preview.measured(done, self._directory, plan.base)
        self._print_cost(plan.numbers(), speed, mark="# ")
        resolve = self._options.dry_run == "resolved"
        writing.print_configs(asked, plan.ground.compose, resolve=resolve)

    def _train(self, record: SweepRecord, jobs: JobPlan) -> None:
        """Trains the jobs that the command asks for, and concludes."""
        plan, options = self._plan, self._options
        asked = len(jobs.valid) * options.num_repetitions
        found = inventory(plan, jobs, self._directory, asked)
        total = found.total
        race = None
        if options.races:
            race = racing.take_up(plan, jobs, self._directory, found, asked)
        describe(plan, record, found.finished.values())
        tells_cost, done = bool(found.pending) and options.preview == "no", None
        left = found.pending if race is None else racing.may_train(race, found)
        if tells_cost:  # results of other trainings, put beside below, tell which jobs begin anew
            done = preview.updates_done(plan, jobs, left, self._directory)
        put_beside(jobs, found, self._directory)
        if found.longer:
            updates = counted(plan.base["trainer"]["updates"], "update")
            longer = counted(found.longer, "job")
            print(f"{longer} to go on, up to {updates}", file=sys.stderr)
        if tells_cost:
            speed = preview.measured(found.finished.values(), self._directory, plan.base)
            self._print_cost(left, speed, stream=sys.stderr, done=done)
        results = self._execution.train(jobs, found, self._directory, asked, race, total)
        is_over = race is None or race.is_over
        if race is not None and is_over:
            replace(record, race_is_over=True).write(self._directory)
        describe(plan, record, results)
        ranking = conclude(plan, jobs, results, is_over=is_over)
        is_done = options.only is None and len(results) == total and is_over
        if options.confirm and is_done and ranking.best is not None:
            results += self._confirm(ranking, record)
        elif options.confirm and is_done:
            print("warning: no permutation has an objective to confirm", file=sys.stderr)
        elif confirmation_of(self._directory).is_dir() and is_over:
            show_confirmation(self._directory, ranking)
        if any(result.status == FAILED for result in results):
            raise SystemExit(Exit.FAILED)

    def _confirm(self, ranking: Ranking, record: SweepRecord) -> list[JobResult]:
        """Trains the best permutations again, and returns the results."""
        confirmed = confirmation.prepare(self._plan, record, ranking)
        jobs, directory, seeds = confirmed.jobs, confirmed.directory, confirmed.record.seeds
        chosen = ", ".join(map(str, jobs.valid))
        several = "s" if len(jobs.valid) > 1 else ""
        message = f"confirmation of permutation{several} {chosen} on seeds {seeds}"
        print(message, file=sys.stderr)
        found = inventory(self._plan, jobs, directory, len(jobs))
        put_beside(jobs, found, directory)
        results = self._execution.train(jobs, found, directory, len(jobs))
        again = rank(results, len(jobs.valid))
        confirmed_sweep = RecordedSweep(directory, confirmed.record, results, [])
        print_confirmation(again, ranking, confirmed_sweep, sys.stdout)
        return results

    def _measured_speed(self) -> preview.Speed | None:
        """Trains some updates of some permutations here, in a directory that does not stay."""
        plan = self._plan
        prepare()
        with tempfile.TemporaryDirectory() as place:
            directory = Path(place)
            chosen = preview.to_measure([n for n in plan.findings.valid if plan.is_asked_for(n)])
            source = f"{preview.UPDATES} updates of {counted(len(chosen), 'permutation')}"
            print(f"measuring {source}", file=sys.stderr)
            record = replace(ledger.record_of(plan, None), repetitions=1, jobs=len(chosen))
            jobs = plan.jobs_of(record, chosen, preview.overrides(directory))
            # They have as many threads as the jobs of the sweep will have.
            asked = len(plan.numbers())
            found = Inventory(pending=list(range(len(jobs))))
            results = self._execution.train(jobs, found, directory, asked, here=True)
            return preview.measured(results, directory, plan.base, source)

    def _print_cost(
        self,
        numbers: Sequence[int],
        speed: preview.Speed | None,
        *,
        mark: str = "",
        stream: TextIO | None = None,
        done: Mapping[int, int] | None = None,
    ) -> None:
        at_a_time = self._execution.at_a_time(len(numbers))
        for line in preview.lines(self._plan, numbers, at_a_time, speed, done):
            print(f"{mark}{line}", file=stream or sys.stdout)
