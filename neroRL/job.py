"""One job: from its composed config to its result on disk."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from neroRL.composition.checking import check, plain
from neroRL.config.weights import weights_digest
from neroRL.environments import registry
from neroRL.errors import FailedError, NeroRLError, OutputError
from neroRL.files import expanded, remove_leftovers
from neroRL.identity import Identity, identity_of
from neroRL.job_checkpoints import seed_to_continue
from neroRL.job_training import JobTraining, failed_result
from neroRL.locks import waited_for
from neroRL.records.checkpoint_files import DIRECTORY
from neroRL.records.editions import check_edition
from neroRL.records.results import COMPLETED, FAILED, STOPPED, JobResult, fingerprint, read_result
from neroRL.streams import keep_tracebacks_off_the_console
from neroRL.training.interrupt import interruptible
from neroRL.training.manner import PLAIN, Manner

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
    if not identity.in_sweep:  # a person watches it
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
            if identity.in_sweep:
                seed = mapping["seed"] if type(mapping.get("seed")) is int else -1
                refused = failed_result(seed, identity, fingerprint(mapping), error)
                refused.write(identity.directory)
            raise
        if config.seed < 0:
            config.seed = seed_to_continue(identity.directory, checkpoint)
        mark = fingerprint({**mapping, "seed": config.seed}, weights)
        # A sweep hands a job out without its result, so one that is there now is another process's.
        done = read_result(identity.directory) if waited or identity.in_sweep else None
        if done is not None and done.fingerprint == mark and _is_over(done, identity):
            logger.info("another process has done this job")
            return _objective_for_sweeper(done, in_sweep=identity.in_sweep)
        training = JobTraining(config, mark, identity, checkpoint, manner)
        return _objective_for_sweeper(training.run(), in_sweep=identity.in_sweep)


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


def _objective_for_sweeper(result: JobResult, *, in_sweep: bool) -> float:
    """Returns the objective, as Hydra's sweepers take it.

    Raises:
        FailedError: there is none, and a NaN would end the whole sweep of Optuna's.
    """
    if result.objective is not None:
        return result.objective
    if in_sweep and "optuna" in HydraConfig.get().sweeper._target_:
        reason = "no episode ended" if result.status == COMPLETED else f"the job {result.status}"
        raise FailedError(f"{result.directory}: no objective: {reason}")
    return float("nan")


def _is_over(result: JobResult, identity: Identity) -> bool:
    """Returns whether a result of the same config leaves the job nothing to do for now."""
    if result.status == STOPPED:
        return identity.rung is not None and (result.rung or 0.0) >= identity.rung
    return result.status != FAILED


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
