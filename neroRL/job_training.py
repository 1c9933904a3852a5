"""The training of one job: recorded in its directory from its beginning to its result."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from pathlib import Path

from neroRL.config import Config, as_mapping, ports_needed
from neroRL.config.budget import updates_at
from neroRL.devices import own_device
from neroRL.environments.unity.ports import own_worker_ids
from neroRL.errors import Interrupted, JobFailedError, TransientError, described
from neroRL.identity import Identity
from neroRL.job_checkpoints import course_of, done_before, own_checkpoint
from neroRL.records.job_progress import ProgressFile
from neroRL.records.results import COMPLETED, DIVERGED, FAILED, STOPPED, JobResult
from neroRL.records.rungs import note_rung, reached, read_rungs
from neroRL.reporting.cells import cells, run_name
from neroRL.reporting.loggers.external import ExternalLogger, Sinks
from neroRL.reporting.loggers.interface import Description
from neroRL.reporting.tensorboard import RUNG, SUMMARIES, Summaries
from neroRL.reporting.training_display import ShownProgress
from neroRL.training import checkpoint as checkpoints
from neroRL.training.interrupt import Requeued
from neroRL.training.manner import Manner
from neroRL.training.placement import device_of
from neroRL.training.trainer import train

logger = logging.getLogger("neroRL.job")


@dataclasses.dataclass(frozen=True)
class JobTraining:
    """The training of one job.

    Args:
        config: checked; its seed is 0 or more.
        mark: fingerprint of the config, and of the weights that the training begins with.
        identity: the place of the job in its sweep.
        checkpoint: to continue from; None for the job's own last one, if any.
        manner: how it computes.
    """

    config: Config
    mark: str
    identity: Identity
    checkpoint: Path | None
    manner: Manner

    def run(self) -> JobResult:
        """Trains, and writes ``result.json``.

        Raises:
            JobFailedError: the job called ``sys.exit``, or raised ``KeyboardInterrupt``.
            Interrupted, Requeued: a signal asked the job to end; it has no result yet.
            Exception: any other error of the training, which is recorded as the result.
        """
        began = time.perf_counter()
        directory, trainer = self.identity.directory, self.config.trainer
        kind = ProgressFile if self.identity.in_sweep else ShownProgress
        progress = kind(directory, trainer.updates, trainer.resume_at)
        progress.begin()
        try:
            with own_worker_ids(self.config, ports_needed(self.config)) as placed:
                trained = dataclasses.replace(self, config=placed)._train(progress, began)
            result = self._identified(trained)
            result.write(directory)
            if result.status == STOPPED:
                note_rung(directory, reached(result))
        except (Requeued, Interrupted):
            progress.leave()
            raise
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            logger.exception("the job failed")
            with contextlib.suppress(OSError):  # on a full disk the error itself explains it
                dataclasses.replace(
                    failed_result(self.config.seed, self.identity, self.mark, error),
                    updates=progress.last.update,
                    env_steps=progress.last.env_steps,
                    wall_seconds=progress.seconds_before + time.perf_counter() - began,
                    planned_updates=trainer.updates,
                    resume_at=trainer.resume_at,
                ).write(directory)
            progress.remove()
            if not isinstance(error, Exception):
                raise JobFailedError(f"the job raised {described(error)}") from error
            raise
        progress.remove()
        return result

    def _train(self, progress: ProgressFile, began: float) -> JobResult:
        identity, config = self.identity, self.config
        summaries = Summaries(identity.directory / SUMMARIES, run_name(identity.swept))
        sinks = Sinks(summaries, [])
        success: bool | None = False
        try:
            if identity.in_sweep:
                summaries.hparams(cells(identity.swept, identity.shown_as_text), identity.trial)
            checkpoint = self.checkpoint or own_checkpoint(identity, config)
            sinks = Sinks(summaries, self._loggers(checkpoint))
            update, env_steps, seconds = done_before(config, checkpoint)
            if self.checkpoint is not None:
                checkpoints.put_later_beside(identity.directory, update)
            progress.go_on(update, env_steps, seconds)
            with own_device(device_of(config)) as device:
                trained = train(
                    config,
                    identity.directory,
                    checkpoint=checkpoint,
                    summaries=sinks,
                    on_update=progress.write,
                    device=device,
                    began=began,
                    manner=self.manner,
                    until=self._stop(),
                )
            rung = identity.rung
            if rung is None and trained.status == COMPLETED and read_rungs(identity.directory):
                rung = 1.0  # it went on without its race
            if rung is not None and trained.status != DIVERGED:
                sinks.scalars(trained.updates, trained.env_steps, {RUNG: rung})
            success = None if trained.status == STOPPED else trained.status == COMPLETED
            return trained
        except (Interrupted, Requeued):
            success = None
            raise
        finally:
            sinks.close(success=success)

    def _stop(self) -> int | None:
        """Returns the number of updates after which a race stops the job for now, if it does."""
        rung = self.identity.rung
        return None if rung is None else updates_at(rung, self.config.trainer.updates)

    def _loggers(self, checkpoint: Path | None) -> list[ExternalLogger]:
        if not self.config.loggers:
            return []
        told, course = self._description(), course_of(self.config, checkpoint)
        return [ExternalLogger(name, told, course) for name in self.config.loggers]

    def _description(self) -> Description:
        """Returns what loggers are told about the job."""
        identity, config = self.identity, as_mapping(self.config)
        group = identity.trial.rpartition("/")[0] or self.config.run_id
        if not identity.in_sweep:
            return Description(group, self.config.run_id, config, {}, identity.directory)
        place = {"permutation": identity.permutation, "repetition": identity.repetition}
        name = f"{run_name(identity.swept) or self.config.run_id}/{identity.repetition}"
        return Description(group, name, config, place, identity.directory)

    def _identified(self, trained: JobResult) -> JobResult:
        """Returns the result of the training as that of the job."""
        identity, trainer = self.identity, self.config.trainer
        return dataclasses.replace(
            trained,
            permutation=identity.permutation,
            repetition=identity.repetition,
            overrides=identity.swept,
            directory=identity.shown_directory,
            fingerprint=self.mark,
            rung=identity.rung if trained.status == STOPPED else None,
            planned_updates=None if trained.status == COMPLETED else trainer.updates,
            resume_at=trainer.resume_at,
        )


def failed_result(seed: int, identity: Identity, mark: str, error: BaseException) -> JobResult:
    """Returns the result of a job that an error ended.

    Args:
        seed: of the job.
        identity: its place in its sweep.
        mark: fingerprint of its config.
        error: that ended it.
    """
    return JobResult(
        permutation=identity.permutation,
        repetition=identity.repetition,
        seed=seed,
        status=FAILED,
        overrides=identity.swept,
        directory=identity.shown_directory,
        error=described(error),
        transient=isinstance(error, TransientError),
        fingerprint=mark,
    )
