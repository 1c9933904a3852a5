"""One job: from its composed config to its result on disk."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from neroRL.composition.checking import check, plain
from neroRL.config import Config, as_mapping, ports_needed
from neroRL.config.budget import updates_at
from neroRL.config.weights import weights_digest
from neroRL.devices import own_device
from neroRL.environments import registry
from neroRL.environments.unity.ports import leased_worker_ids
from neroRL.errors import (
    FailedError,
    Interrupted,
    JobFailedError,
    NeroRLError,
    OutputError,
    TransientError,
    described,
)
from neroRL.files import expanded, remove_leftovers
from neroRL.identity import Identity, identity_of
from neroRL.job_checkpoints import done_before, own_checkpoint, seed_to_continue
from neroRL.locks import waited_for
from neroRL.records.checkpoint_files import DIRECTORY
from neroRL.records.editions import check_edition
from neroRL.records.job_progress import ProgressFile
from neroRL.records.results import (
    COMPLETED,
    DIVERGED,
    FAILED,
    STOPPED,
    JobResult,
    fingerprint,
    read_result,
)
from neroRL.records.rungs import note_rung, reached
from neroRL.reporting.cells import cells, run_name
from neroRL.reporting.loggers.external import ExternalLogger, Sinks
from neroRL.reporting.loggers.interface import Description
from neroRL.reporting.tensorboard import RUNG, SUMMARIES, Summaries
from neroRL.reporting.training_display import ShownProgress
from neroRL.streams import keep_tracebacks_off_the_console
from neroRL.training import checkpoint as checkpoints
from neroRL.training.interrupt import Requeued, interruptible
from neroRL.training.manner import PLAIN, Manner
from neroRL.training.placement import device_of
from neroRL.training.trainer import train

logger = logging.getLogger("neroRL.job")


def run_job(composed: DictConfig, checkpoint: Path | None = None, manner: Manner = PLAIN) -> float:
    """Trains a composed config and writes ``result.json``.

    Args:
        composed: by Hydra, which also knows the job's directory.
        checkpoint: to continue from; None for the job's own last one, if any.
        manner: how it computes.

    Returns:
        The objective; NaN if there is none.

    Raises:
        FailedError: the job has none, and its sweeper cannot go on without.
        JobFailedError: the job called ``sys.exit``, or raised ``KeyboardInterrupt``.
        OutputError: its sweep was changed since a launcher was given the job.
        Interrupted: a signal asked the job to end; a checkpoint is saved if it has begun.
        Requeued: the launcher takes the job off its node and starts it again.
        Exception: any other error of the training, recorded as the job's result.
    """
    identity = identity_of(composed)
    mapping = plain(composed)
    if HydraConfig.get().mode != RunMode.MULTIRUN:  # a single training, which a person watches
        keep_tracebacks_off_the_console()
    # An environment may change the working directory, in which the next job of this process starts.
    with contextlib.chdir("."), waited_for(identity.directory) as waited, interruptible():
        _refuse_outdated(identity)
        for directory in (identity.directory, identity.directory / DIRECTORY):
            remove_leftovers(directory)
        try:
            config = check(_from_where_it_started(mapping))
            weights = weights_digest(config.model.load_model, config.model.model_path)
        except NeroRLError as error:  # other sweepers than neroRL's do not check before they start
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                seed = mapping["seed"] if type(mapping.get("seed")) is int else -1
                refused = _failed(seed, identity, fingerprint(mapping), error)
                refused.write(identity.directory)
            raise
        if config.seed < 0:
            config.seed = seed_to_continue(identity.directory, checkpoint)
        mark = fingerprint({**mapping, "seed": config.seed}, weights)
        # A sweep hands a job out without its result, so one that is there now is another process's.
        in_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
        done = read_result(identity.directory) if waited or in_sweep else None
        if done is not None and done.fingerprint == mark and _is_over(done, identity):
            logger.info("another process has done this job")
            return _objective_for_sweeper(done)
        return _run(config, weights, mark, identity, checkpoint, manner)


def _refuse_outdated(identity: Identity) -> None:
    """Refuses a job of a launcher's queue whose sweep has been changed meanwhile.

    Raises:
        OutputError: it has. The log says so, too: launchers keep what a job raises to themselves.
    """
    if identity.edition is None:
        return
    try:
        check_edition(identity.directory.parents[1], identity.sweep, identity.edition)
    except OutputError as error:
        logger.error("%s", error)
        raise


def _run(
    config: Config,
    weights: str | None,
    mark: str,
    identity: Identity,
    checkpoint: Path | None,
    manner: Manner,
) -> float:
    began = time.perf_counter()
    is_single = HydraConfig.get().mode != RunMode.MULTIRUN  # a person watches it
    progress = (ShownProgress if is_single else ProgressFile)(identity.directory)
    progress.begin(config.trainer.updates)
    try:
        with _own_ports(config) as placed:
            trained = _train(placed, mark, identity, checkpoint, progress, began, manner)
        result = dataclasses.replace(
            trained,
            permutation=identity.permutation,
            repetition=identity.repetition,
            overrides=identity.swept,
            directory=identity.shown_directory,
            weights=weights,
            fingerprint=mark,
            rung=identity.rung if trained.status == STOPPED else None,
            planned_updates=None if trained.status == COMPLETED else config.trainer.updates,
            resume_at=config.trainer.resume_at,
        )
        result.write(identity.directory)
        if result.status == STOPPED:
            note_rung(identity.directory, reached(result))
    except (Requeued, Interrupted):
        progress.leave()
        raise
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        logger.exception("the job failed")
        with contextlib.suppress(OSError):  # on a full disk the error itself explains it
            failed = _failed(config.seed, identity, mark, error)
            dataclasses.replace(
                failed,
                updates=progress.last.update,
                env_steps=progress.last.env_steps,
                wall_seconds=progress.seconds_before + time.perf_counter() - began,
                planned_updates=config.trainer.updates,
            ).write(identity.directory)
        progress.remove()
        if not isinstance(error, Exception):
            raise JobFailedError(f"the job raised {described(error)}") from error
        raise
    progress.remove()
    return _objective_for_sweeper(result)


def _objective_for_sweeper(result: JobResult) -> float:
    """Returns the objective, as Hydra's sweepers take it.

    Raises:
        FailedError: there is none, and a NaN would end the whole sweep of Optuna's.
    """
    if result.objective is not None:
        return result.objective
    hydra = HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN and "optuna" in hydra.sweeper._target_:
        reason = "no episode ended" if result.status == COMPLETED else f"the job {result.status}"
        raise FailedError(f"{result.directory}: no objective: {reason}")
    return float("nan")


def _is_over(result: JobResult, identity: Identity) -> bool:
    """Returns whether a result of the same config leaves the job nothing to do for now."""
    if result.status == STOPPED:
        return identity.rung is not None and (result.rung or 0.0) >= identity.rung
    return result.status != FAILED


@contextlib.contextmanager
def _own_ports(config: Config) -> Iterator[Config]:
    """Yields the config with worker ids whose ports this job has leased, if it needs any."""
    if not registry.environment_type(config.environment.type).uses_ports:
        yield config
        return
    with leased_worker_ids(config.worker_id, ports_needed(config)) as first:
        yield dataclasses.replace(config, worker_id=first)


def _train(
    config: Config,
    mark: str,
    identity: Identity,
    checkpoint: Path | None,
    progress: ProgressFile,
    began: float,
    manner: Manner,
) -> JobResult:
    summaries = Summaries(identity.directory / SUMMARIES, run_name(identity.swept))
    loggers = [ExternalLogger(name, _described(identity, config), mark) for name in config.loggers]
    sinks = Sinks(summaries, loggers)
    success: bool | None = False
    try:
        if identity.swept:
            summaries.hparams(cells(identity.swept, identity.shown_as_text), identity.trial)
        is_own = checkpoint is None
        checkpoint = checkpoint or own_checkpoint(identity, config)
        update, env_steps, seconds = done_before(config, checkpoint)
        if not is_own:
            checkpoints.put_later_beside(identity.directory, update)
        progress.begin(config.trainer.updates, update, env_steps, seconds)
        with own_device(device_of(config)) as device:
            trained = train(
                config,
                identity.directory,
                checkpoint=checkpoint,
                summaries=sinks,
                on_update=progress.write,
                device=device,
                began=began,
                manner=manner,
                until=_stop(identity, config),
            )
        if identity.rung is not None and trained.status != DIVERGED:
            sinks.scalars(trained.updates, trained.env_steps, {RUNG: identity.rung})
        success = None if trained.status == STOPPED else trained.status == COMPLETED
        return trained
    except (Interrupted, Requeued):
        success = None
        raise
    finally:
        sinks.close(success=success)


def _stop(identity: Identity, config: Config) -> int | None:
    """Returns the number of updates after which a race stops the job for now, if it does."""
    if identity.rung is None:
        return None
    return updates_at(identity.rung, config.trainer.updates)


def _described(identity: Identity, config: Config) -> Description:
    """Returns what loggers are told about a job."""
    group = identity.trial.rpartition("/")[0] or config.run_id
    if not identity.swept:
        return Description(group, config.run_id, as_mapping(config), {}, identity.directory)
    place = {"permutation": identity.permutation, "repetition": identity.repetition}
    name = f"{run_name(identity.swept)}/{identity.repetition}"
    return Description(group, name, as_mapping(config), place, identity.directory)


def _from_where_it_started(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """Makes paths absolute if Hydra has changed the working directory, also those of modules."""
    moved = {
        key: dict(value) if isinstance(value, dict) else value for key, value in mapping.items()
    }
    if HydraConfig.get().job.chdir:
        start = HydraConfig.get().runtime.cwd
        if start not in sys.path:
            sys.path.append(start)  # the environment's module may lie there
        model, environment = moved["model"], moved["environment"]
        if model["model_path"]:
            model["model_path"] = str(Path(start, expanded(model["model_path"])))
        if registry.environment_type(environment["type"]).uses_ports:  # its name is an executable
            environment["name"] = str(Path(start, expanded(environment["name"])))
    return moved


def _failed(seed: int, identity: Identity, mark: str, error: BaseException) -> JobResult:
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
