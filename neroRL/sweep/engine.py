"""Runs a sweep: from its plan to finished jobs."""

from __future__ import annotations

import contextlib
import functools
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from neroRL.cores import available_cores
from neroRL.errors import ConfigError, NeroRLError, OutputError, Problem
from neroRL.files import make_directory, remove_leftovers
from neroRL.locks import held
from neroRL.records.exits import Exit
from neroRL.records.results import FAILED, JobResult
from neroRL.records.sweep_record import SweepRecord, read_record
from neroRL.records.sweeps import DROPPED, confirmation_of, dropped_results, read_sweep
from neroRL.reporting.progress import make_display
from neroRL.reporting.ranking import Ranking, rank
from neroRL.reporting.summary import counted, print_confirmation
from neroRL.sweep import changing, confirmation, extension, ledger, preview, racing, writing
from neroRL.sweep.conclusion import conclude, describe, show_confirmation
from neroRL.sweep.continuing import Standing, put_beside, set_jobs_aside, standing
from neroRL.sweep.dispatch import Dispatch, Runner
from neroRL.sweep.jobs import Asked, JobPlan
from neroRL.sweep.launching import LauncherRunner
from neroRL.sweep.monitor import Monitor
from neroRL.sweep.plan import SweepPlan
from neroRL.sweep.pool import WorkerPool, default_size, threads_of, visible_gpus
from neroRL.sweep.race import Race
from neroRL.sweep.schedule import Schedule
from neroRL.sweep.server import prepare

RunnerOf = Callable[[int, int], Runner]
"""Returns a runner for some number of jobs, of so many that the sweep has in all."""


class Sweep:
    """Runs a plan.

    Args:
        plan: of the sweep.
        config: Hydra's composed master config.
        context: composes jobs.
    """

    def __init__(self, plan: SweepPlan, config: DictConfig, context: HydraContext) -> None:
        self._plan = plan
        self._options = plan.options
        self._directory = plan.directory
        self._confirmation = confirmation_of(plan.directory)
        self._config = config
        self._context = context

    def run(self, launcher: Launcher, task: TaskFunction) -> None:
        """Trains, prints or writes the jobs of the plan.

        Args:
            launcher: runs jobs; worker processes replace Hydra's basic one.
            task: runs one job.

        Raises:
            ConfigError: some permutation cannot work; nothing was created.
            OutputError: the output directory holds something else; nothing was changed.
            SystemExit: with status 1 when some job failed; the others finished.
        """
        plan = self._plan
        if plan.trains and plan.here:
            prepare()
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
        asked = Asked(plan.jobs(), plan.numbers())
        runner_of: RunnerOf = functools.partial(self._pool, task)
        if not plan.here:
            runner_of = functools.partial(self._launched, launcher)
        if plan.trains:
            measures = self._options.preview != "no"
            speed = self._measured_speed(task) if measures else None
            if speed is not None or self._options.preview == "only":
                self._print_cost(plan.numbers(), speed, "")
            if self._options.preview != "only":
                self._train(runner_of)
        elif self._options.dry_run != "no":
            resolve = self._options.dry_run == "resolved"
            done: list[JobResult] = []
            with contextlib.suppress(NeroRLError):  # nothing was trained there, or it is damaged
                done = read_sweep(self._directory).results
            speed = preview.measured(done, self._directory, plan.base)
            self._print_cost(plan.numbers(), speed, "# ")
            writing.print_configs(asked, plan.ground.compose, resolve=resolve)
        else:
            count = writing.generate(asked, plan.ground.compose, self._directory)
            print(f"{count} configs in {self._directory / writing.CONFIGS}")

    def _train(self, runner_of: RunnerOf) -> None:
        ledger.check_directory(self._directory)
        confirmation.check(self._plan)
        places = [self._confirmation, self._directory]
        if any(map(extension.is_unfinished, places)):
            with held(self._directory, "sweep"):
                for place in places:
                    extension.finish(place)
        earlier = read_record(self._directory)
        record = ledger.record_of(self._plan, earlier)
        moves = self._moves(earlier, record)
        if moves:
            dropped = {move.new: move.values for move in moves if move.new < 0}
            record = replace(record, dropped=dropped)
        jobs = self._plan.jobs_of(record)
        make_directory(self._directory)
        with held(self._directory, "sweep"):
            if read_record(self._directory) != earlier:
                message = "another command has changed the sweep meanwhile; run this one again"
                raise OutputError(f"{self._directory}: {message}")
            remove_leftovers(self._directory)
            if earlier is not None and moves and not ledger.is_same_space(earlier, record):
                # The sweep itself comes last: until then, the next run begins this anew.
                confirmed = read_record(self._confirmation)
                if confirmed is not None and not ledger.is_same_space(confirmed, record):
                    after = confirmation.extended(confirmed, record)
                    extension.renumber(self._confirmation, moves, after)
                extension.renumber(self._directory, moves, record)
                gone = sum(move.new < 0 <= move.old for move in moves)
                if gone:
                    told = counted(gone, "permutation")
                    message = f"no part of the sweep any more: {told}, kept in {DROPPED}/"
                    print(message, file=sys.stderr)
            record.write(self._directory)
            OmegaConf.save(self._config, self._directory / "multirun.yaml")
            if self._options.rerun:
                laps = self._options.num_repetitions
                set_jobs_aside(self._directory, self._options.only or (), laps)
            self._run_jobs(jobs, record, runner_of)

    def _moves(self, earlier: SweepRecord | None, record: SweepRecord) -> list[extension.Move]:
        """Returns the new places of what was trained, if the sweep changes.

        Raises:
            OutputError: it is another sweep, or cannot be changed this way.
        """
        if earlier is None:
            return []
        extend, longer = self._options.extend, ledger.is_longer(earlier, record)
        ledger.refuse_other_sweep(self._directory, earlier, record, extend=extend)
        if not extend or (ledger.is_same_space(earlier, record) and not longer):
            return []
        if longer and self._options.only is not None:
            message = "would leave the other permutations with fewer updates; leave it out"
            raise ConfigError([Problem("hydra.sweeper.only", message)])
        return changing.moves(self._plan, earlier, record, longer=longer)

    def _run_jobs(self, jobs: JobPlan, record: SweepRecord, runner_of: RunnerOf) -> None:
        laps = self._options.num_repetitions
        asked = len(jobs.valid) * laps
        found = standing(self._plan, jobs, self._directory, asked)
        total = found.total
        race = None
        if self._options.races:
            race = racing.take_up(self._plan, jobs, self._directory, found, asked)
        describe(self._plan, record, found.finished.values())
        put_beside(jobs, found, self._directory)
        if found.longer:
            updates = self._plan.base["trainer"]["updates"]
            longer = counted(found.longer, "job")
            print(f"{longer} to go on, up to {updates} updates", file=sys.stderr)
        if found.pending and self._options.preview == "no":
            speed = preview.measured(found.finished.values(), self._directory, self._plan.base)
            done = preview.updates_done(self._plan, jobs, found.pending, self._directory)
            self._print_cost(found.pending, speed, "", sys.stderr, done)
        results = self._results(jobs, found, self._directory, runner_of, asked, total, race)
        is_over = race is None or race.is_over
        if race is not None and is_over:
            replace(record, race_is_over=True).write(self._directory)
        describe(self._plan, record, results)
        ranking = conclude(self._plan, jobs, results, is_over=is_over)
        is_done = self._options.only is None and len(results) == total and is_over
        if self._options.confirm and is_done and ranking.best is not None:
            results += self._confirm(ranking, record, runner_of)
        elif self._options.confirm and is_done:
            print("warning: no permutation has an objective to confirm", file=sys.stderr)
        elif self._confirmation.is_dir() and is_over:
            show_confirmation(self._directory, ranking)
        if any(result.status == FAILED for result in results):
            raise SystemExit(Exit.FAILED)

    def _confirm(
        self, ranking: Ranking, record: SweepRecord, runner_of: RunnerOf
    ) -> list[JobResult]:
        """Trains the best permutations again, and returns the results."""
        confirmed = confirmation.prepare(self._plan, record, ranking)
        chosen = ", ".join(map(str, confirmed.jobs.valid))
        seeds = confirmed.record.seeds
        several = "s" if len(confirmed.jobs.valid) > 1 else ""
        message = f"confirmation of permutation{several} {chosen} on seeds {seeds}"
        print(message, file=sys.stderr)
        asked = len(confirmed.jobs)
        found = standing(self._plan, confirmed.jobs, confirmed.directory, asked)
        put_beside(confirmed.jobs, found, confirmed.directory)
        results = self._results(confirmed.jobs, found, confirmed.directory, runner_of, asked)
        again = rank(results, len(confirmed.jobs.valid))
        print_confirmation(again, ranking, confirmed.record.seeds, sys.stdout)
        return results

    def _results(
        self,
        jobs: JobPlan,
        found: Standing,
        directory: Path,
        runner_of: RunnerOf,
        asked: int,
        total: int | None = None,
        race: Race | None = None,
    ) -> list[JobResult]:
        """Runs the jobs that are left, and returns the results of all.

        Args:
            jobs: of the sweep.
            found: their results, and which of them run.
            directory: of the sweep.
            runner_of: makes what runs them.
            asked: number of jobs that the sweep has for now, whether the command is for all or not.
            total: number of jobs that the command is for, with those that are out of a race.
            race: in which the jobs take part, if any.
        """
        total = found.total if total is None else total
        if found.finished:
            print(f"{len(found.finished)} of {total} jobs are done already", file=sys.stderr)
        display = make_display(sys.stderr)
        monitor = Monitor(
            directory,
            jobs.space.keys,
            total,
            len(jobs.valid),
            found.finished,
            display,
            dropped_results(directory),
            race,
        )
        monitor.start()
        try:
            if found.pending:
                schedule = Schedule(
                    found.pending,
                    max_retries=self._options.max_retries,
                    fail_fast=self._options.fail_fast,
                    race=race,
                )
                runner = runner_of(len(found.pending), asked)
                runner.run(Dispatch(schedule, jobs, directory, monitor))
        finally:
            monitor.stop()
        return monitor.results()

    def _measured_speed(self, task: TaskFunction) -> preview.Speed | None:
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
            found = Standing(pending=list(range(len(jobs))))
            # They have as many threads as the jobs of the sweep will have.
            asked, runner_of = len(plan.numbers()), functools.partial(self._pool, task)
            results = self._results(jobs, found, directory, runner_of, asked)
            return preview.measured(results, directory, plan.base, source)

    def _print_cost(
        self,
        numbers: Sequence[int],
        speed: preview.Speed | None,
        mark: str,
        stream: TextIO | None = None,
        done: Mapping[int, int] | None = None,
    ) -> None:
        parallel = self._parallel(len(numbers)) if self._plan.here else None
        for line in preview.lines(self._plan, numbers, parallel, speed, done):
            print(f"{mark}{line}", file=stream or sys.stdout)

    def _parallel(self, jobs: int) -> int:
        """Returns how many of some jobs run at a time on this machine."""
        gpus = visible_gpus() if self._plan.base["device"] != "cpu" else []
        return self._options.n_jobs or default_size(jobs, available_cores(), gpus)

    def _pool(self, task: TaskFunction, jobs: int, asked: int) -> Runner:
        """Returns worker processes for some jobs.

        Their threads do not depend on how many jobs are left: last bits may differ with them.
        """
        gpus = visible_gpus() if self._plan.base["device"] != "cpu" else []
        threads = threads_of(self._parallel(asked), available_cores())
        size = self._parallel(jobs)
        return WorkerPool(self._context, task, self._config, size, threads, gpus)

    def _launched(self, launcher: Launcher, _jobs: int, _asked: int) -> Runner:
        """Returns a launcher, which decides itself how many jobs run at a time."""
        return LauncherRunner(launcher, self._options.max_batch_size)
