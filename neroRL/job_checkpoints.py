"""Finds what a job goes on from: its last checkpoint, and what was done up to it."""

from __future__ import annotations

import logging
from pathlib import Path

from neroRL.config import Config, as_mapping
from neroRL.config.budget import UPDATES, without_budget
from neroRL.config.weights import weights_digest
from neroRL.files import keep_beside
from neroRL.identity import Identity
from neroRL.records.checkpoint_files import DIRECTORY
from neroRL.records.results import fingerprint
from neroRL.reporting.loggers.interface import Course
from neroRL.seeds import drawn_seed
from neroRL.training import checkpoint as checkpoints
from neroRL.training.compatibility import differences, loads_others, revision_problem

logger = logging.getLogger("neroRL.job")


def own_checkpoint(identity: Identity, config: Config) -> Path | None:
    """Returns the last whole checkpoint of an interrupted job.

    Checkpoints of another config are set aside. A training may continue with more updates; that of
    a sweep only if its schedules are the same.
    """
    found = checkpoints.load_latest(identity.directory, checkpoints.META)
    if found is None:
        return None
    path, checkpoint = found
    there, here = checkpoint.config, as_mapping(config)
    if identity.in_sweep and there["trainer"]["updates"] < config.trainer.updates:
        there, here = without_budget(there), without_budget(here)
    differing = differences(there, here)
    problem = revision_problem(checkpoint)
    if problem is not None:
        differing["revision"] = f"it {problem}"
    if not identity.in_sweep:
        differing.pop(UPDATES, None)
    if loads_others(checkpoint, config):
        differing["weights"] = f"it did not begin with the weights of {config.model.model_path}"
    if differing:
        aside = keep_beside(identity.directory / DIRECTORY)
        listed = "\n  ".join(differing.values())
        logger.warning(
            "%s is of another config or version, moved to %s:\n  %s", path, aside, listed
        )
        return None
    return path


def done_before(config: Config, checkpoint: Path | None) -> tuple[int, int, float]:
    """Returns updates, environment steps and seconds up to the checkpoint a job goes on from."""
    if checkpoint is None:
        return config.trainer.resume_at, 0, 0.0
    done = checkpoints.load(checkpoint, checkpoints.META)
    return done.update, done.env_steps, done.wall_seconds


def course_of(config: Config, checkpoint: Path | None) -> Course:
    """Returns which training a job is, by the checkpoint that it goes on from.

    It goes on with the training that saved the checkpoint if the configs are the same but for
    their updates. Where these change a schedule, it is a branch of it nevertheless.
    """
    here, updates = as_mapping(config), config.trainer.updates
    weights = weights_digest(config.model.load_model, config.model.model_path)
    if checkpoint is None:
        return Course(fingerprint(here, weights), updates)
    done = checkpoints.load(checkpoint, checkpoints.META)
    weights = done.weights or weights
    before = fingerprint(done.config, weights)
    branches = differences(without_budget(done.config), without_budget(here))
    return Course(
        fingerprint(here, weights),
        updates,
        before if differences(done.config, here).keys() <= {UPDATES} or not branches else None,
        f"{before}-{done.update}" if branches else None,
    )


def seed_to_continue(directory: Path, checkpoint: Path | None) -> int:
    """Returns the seed of the checkpoint to continue from, else a new one.

    Args:
        directory: of the job.
        checkpoint: that the user has chosen; None for the job's own last one, if any.
    """
    if checkpoint is not None:
        return int(checkpoints.load(checkpoint, checkpoints.META).config["seed"])
    found = checkpoints.load_latest(directory, checkpoints.META)
    if found is not None:
        return int(found[1].config["seed"])
    seed = drawn_seed()
    logger.info("drew the seed %d", seed)
    return seed
