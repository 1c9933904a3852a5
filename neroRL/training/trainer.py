"""Trains one policy with PPO: rollouts, updates, evaluations, checkpoints."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import numpy as np
import torch

from neroRL.acting.actor import Actor
from neroRL.acting.evaluator import Cancelled
from neroRL.config import Config, as_mapping
from neroRL.environments.factory import make_vector
from neroRL.environments.vector.interface import VectorEnvironment
from neroRL.environments.vector.moments import Normalization
from neroRL.environments.vector.normalized import normalized
from neroRL.errors import Diverged
from neroRL.records.job_progress import JobProgress
from neroRL.records.results import COMPLETED, DIVERGED, STOPPED, JobResult, Status
from neroRL.training import checkpoint as checkpoints
from neroRL.training.allocation import keep_freed_memory
from neroRL.training.compatibility import check_continuation
from neroRL.training.evaluations import Evaluations
from neroRL.training.generators import Generators
from neroRL.training.interrupt import interruption
from neroRL.training.manner import PLAIN, Manner
from neroRL.training.optimizer import FusedAdamW
from neroRL.training.outcome import Work, as_result
from neroRL.training.placement import cores_of, device_of, placed_model, processes_of
from neroRL.training.precision import use_precision
from neroRL.training.rollout import collect
from neroRL.training.schedules import hyperparameters
from neroRL.training.starting import begin, with_seed
from neroRL.training.statistics import (
    RecentEpisodes,
    Summary,
    as_scalars,
    not_finite,
    update_scalars,
)
from neroRL.training.summary_sink import SummarySink
from neroRL.training.update import update

logger = logging.getLogger("neroRL.training")


def train(
    config: Config,
    directory: Path,
    *,
    checkpoint: Path | None = None,
    summaries: SummarySink | None = None,
    on_update: Callable[[JobProgress], None] | None = None,
    device: torch.device | None = None,
    began: float | None = None,
    manner: Manner = PLAIN,
    until: int | None = None,
) -> JobResult:
    """Trains one policy.

    Args:
        config: checked; its seed is 0 or more.
        directory: of the job; checkpoints go to ``checkpoints/`` in it.
        checkpoint: to continue from.
        summaries: takes statistics after each update.
        on_update: called after each update.
        device: trains there; None leaves it to the config.
        began: when the job began, by ``time.perf_counter``; None for now.
        manner: how it computes.
        until: stops after this update, with a checkpoint from which it may go on; None for the
            last.

    Returns:
        The result, as of a single training: completed, stopped before its last update, or diverged
        if the loss was not finite.

    Raises:
        CheckpointError: the checkpoint cannot be loaded, or does not fit.
        KeyboardInterrupt: after a checkpoint of the last update was saved.
        Requeued: the same, and the launcher starts the job again.
    """
    torch.backends.cudnn.deterministic = True
    keep_freed_memory()
    with closing(Trainer(config, directory, device, began, manner, checkpoint)) as trainer:
        return trainer.run(summaries, on_update, until)


class Trainer:
    """One training and everything it owns.

    Args:
        config: checked; its seed is 0 or more.
        directory: of the job.
        device: trains there; None leaves it to the config.
        began: when the job began, by ``time.perf_counter``; None for now.
        manner: how it computes.
        checkpoint: to continue from, equal bit for bit to an undisturbed training.

    Raises:
        CheckpointError: the checkpoint cannot be loaded, or does not fit.
    """

    def __init__(
        self,
        config: Config,
        directory: Path,
        device: torch.device | None = None,
        began: float | None = None,
        manner: Manner = PLAIN,
        checkpoint: Path | None = None,
    ) -> None:
        self._manner = manner
        self._began = time.perf_counter() if began is None else began
        self._config = config
        self._directory = directory
        self.device = device or device_of(config)
        saved = None if checkpoint is None else checkpoints.load(checkpoint, self.device)
        with ExitStack() as opened:
            self._normalization = Normalization(config.environment, config.trainer.gamma)
            processes = processes_of(config, cores_of(config), saved.processes if saved else None)
            wanted = config.environment, config.sampler.n_workers, config.seed
            made = make_vector(*wanted, worker_id=config.worker_id, processes=processes)
            self._processes = made.processes
            seen = normalized(made, self._normalization, learns=True)
            self.environment: VectorEnvironment = opened.enter_context(closing(seen))
            evaluations = Evaluations(config, self._normalization)
            self._evaluations = opened.enter_context(closing(evaluations))
            self._build(config, saved)
            if saved is not None and checkpoint is not None:
                self._resume(saved, checkpoint)
            self._opened = opened.pop_all()

    def _build(self, config: Config, saved: checkpoints.Checkpoint | None) -> None:
        shapes = self.environment.specification
        self.model = placed_model(config, shapes, self.device, saved.threads if saved else None)
        self._precision = use_precision(config, self.model, saved.precision if saved else None)
        self.optimizer = FusedAdamW(self.model.parameters(), config.trainer.adam_epsilon)
        self._generators = Generators(config.seed, self.device)
        self._episodes = RecentEpisodes()
        self._update = config.trainer.resume_at
        # Statistics of an update whose evaluation a signal cancelled.
        self._untold: dict[str, float] | None = None
        self._env_steps = 0
        self._training_seconds, self._wall_seconds = 0.0, 0.0  # the latter of earlier runs alone
        self._weights = begin(config.model, saved, self.model, self._normalization, self.device)
        # Its first states are those of the weights that the training starts with.
        self.actor = Actor(self.model, self.environment.num_envs, self._generators.policy)
        if self._manner.compiled:
            self.model.compile_layers()

    def _resume(self, saved: checkpoints.Checkpoint, path: Path) -> None:
        for line in check_continuation(saved, self._config, self.model, path):
            logger.warning("changed since the checkpoint: %s", line)
        self.model.load_state_dict(saved.model)
        self.optimizer.load_state_dict(saved.optimizer)
        saved = with_seed(saved, self._config.seed)
        self._generators.load_state_dict(saved.generators, saved.update)
        self._normalization.load_state_dict(saved.normalization)
        restarted = self.environment.load_state_dict(saved.environment)
        self.actor.state.load_state_dict(saved.memory)
        self.actor.begin_episodes(restarted)
        self.actor.starts = restarted | np.array(saved.memory["starts"], np.bool_)
        self._episodes.load_state_dict(saved.episodes)
        self._evaluations.load_state_dict(saved.evaluated)
        self._untold = saved.untold
        self._update, self._env_steps = saved.update, saved.env_steps
        self._training_seconds = saved.training_seconds
        self._wall_seconds = saved.wall_seconds
        logger.info("continuing from %s after %d updates", path.name, self._update)
        updates = self._config.trainer.updates
        if self._update >= updates and self._untold is None:
            logger.warning("complete already: %d of %d updates are done", self._update, updates)

    def run(
        self,
        summaries: SummarySink | None,
        on_update: Callable[[JobProgress], None] | None,
        until: int | None = None,
    ) -> JobResult:
        """Runs all remaining updates, or those until a stop."""
        config = self._config
        stop = min(config.trainer.updates if until is None else until, config.trainer.updates)
        if self._env_steps == 0:
            self.environment.restart()
        if summaries is not None:
            summaries.begin(self._update - (self._untold is not None))
        try:
            with interruption() as interrupted:
                while self._untold is not None or self._update < stop:
                    with suppress(Cancelled):
                        self._go_on(summaries, on_update, lambda: interrupted.requested)
                    last = self._update >= stop and self._untold is None
                    due = last or self._update % config.model.checkpoint_interval == 0
                    if due or interrupted.requested:
                        if summaries is not None:
                            summaries.flush()  # a continued run does not record it again
                        self.save()
                    if interrupted.requested and not last:
                        interrupted.end()
            if self._update < config.trainer.updates:
                return self._stopped(stop, summaries)
            evaluated = self._evaluations.after(self.model, self._update)
        except Diverged as diverged:
            logger.error("%s", diverged)
            return self._result(DIVERGED, str(diverged), self._evaluations.summaries)
        return self._result(COMPLETED, None, evaluated)

    def _go_on(
        self,
        summaries: SummarySink | None,
        on_update: Callable[[JobProgress], None] | None,
        cancelled: Callable[[], bool],
    ) -> None:
        """Runs the next update, evaluates the policy if that is due, and tells the statistics.

        Raises:
            Cancelled: a signal came before the end of the evaluation. Going on evaluates again.
        """
        if self._untold is None:
            self._untold = self._one_update()
        evaluated = self._evaluations.run_if_due(self.model, self._update, cancelled)
        scalars = {**self._untold, **as_scalars("evaluation", evaluated)}
        self._untold = None
        if summaries is not None:
            summaries.scalars(self._update, self._env_steps, scalars)
        if on_update is not None:
            on_update(self._progress(scalars))

    def save(self) -> None:
        """Writes a checkpoint of the complete state of the training."""
        path = checkpoints.checkpoint_path(self._directory, self._config.run_id, self._update)
        saved = checkpoints.Checkpoint(
            update=self._update,
            config=as_mapping(self._config),
            model=self.model.state_dict(),
            optimizer=self.optimizer.state_dict(),
            generators=self._generators.state_dict(),
            environment=self.environment.state_dict(),
            normalization=self._normalization.state_dict(),
            memory={**self.actor.state.state_dict(), "starts": self.actor.starts.tolist()},
            episodes=self._episodes.state_dict(),
            evaluated=self._evaluations.state_dict(),
            untold=self._untold,
            env_steps=self._env_steps,
            training_seconds=self._training_seconds,
            wall_seconds=self._wall(),
            threads=torch.get_num_threads(),
            processes=self._processes,
            precision=self._precision,
            weights=self._weights,
        )
        checkpoints.save(path, saved)
        logger.info("saved %s", path.name)

    def close(self) -> None:
        """Closes all environments."""
        self._opened.close()

    def _one_update(self) -> dict[str, float]:
        """Runs one update and returns its statistics.

        Raises:
            Diverged: the loss or a gradient is not finite.
        """
        config = self._config
        scheduled = hyperparameters(config.trainer, self._update)
        began = time.perf_counter()
        steps, low_memory = config.sampler.worker_steps, self._manner.low_memory
        rollout = collect(
            self.environment, self.actor, steps, config.trainer, low_memory=low_memory
        )
        shuffle = self._generators.shuffle
        done = update(self.model, self.optimizer, rollout, config.trainer, scheduled, shuffle)
        seconds = time.perf_counter() - began
        self._training_seconds += seconds
        self._env_steps += rollout.rows.size
        self._update += 1
        self._episodes.add(rollout.episodes)
        if wrong := not_finite(done):
            raise Diverged(f"{', '.join(wrong)} not finite in update {self._update}")
        return {
            **as_scalars("episode", self._episodes.summaries()),
            **update_scalars(done, scheduled),
            "time/steps_per_second": rollout.rows.size / seconds,
        }

    def _progress(self, scalars: Mapping[str, float]) -> JobProgress:
        done, planned = self._update, self._config.trainer.updates
        speed, reward = self._env_steps / self._training_seconds, scalars.get("episode/reward_mean")
        return JobProgress(done, planned, self._env_steps, speed, reward)

    def _wall(self) -> float:
        return self._wall_seconds + time.perf_counter() - self._began

    def _stopped(self, stop: int, summaries: SummarySink | None) -> JobResult:
        """Evaluates, tells and returns the result of a training that stops before its last update.

        It has no objective if it went past the stop in an earlier run.
        """
        evaluated = self._evaluations.after(self.model, self._update)
        if summaries is not None and evaluated and evaluated is not self._evaluations.summaries:
            summaries.scalars(self._update, self._env_steps, as_scalars("evaluation", evaluated))
        result = self._result(STOPPED, None, evaluated)
        objective = result.reward_mean if self._update == stop else None
        return dataclasses.replace(result, objective=objective)

    def _result(
        self, status: Status, error: str | None, evaluated: Mapping[str, Summary]
    ) -> JobResult:
        summaries = evaluated or self._episodes.summaries()
        seconds = self._training_seconds, self._wall(), self._evaluations.seconds
        manner = self._processes, self._precision, self._weights
        work = Work(self._update, self._env_steps, *seconds, *manner)
        return as_result(status, self._config.seed, summaries, work, error)
