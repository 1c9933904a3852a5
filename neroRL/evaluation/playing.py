"""Plays episodes of a policy, and makes a policy for Python code."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch

from neroRL.acting.evaluator import Played, evaluate, lanes_of
from neroRL.acting.policy import Policy
from neroRL.environments import registry
from neroRL.environments.factory import make_single, make_vector, specification
from neroRL.environments.specification import SingleEnvironment, specification_of
from neroRL.environments.unity.ports import own_worker_ids
from neroRL.environments.vector.normalized import normalized
from neroRL.errors import ConfigError, Problem
from neroRL.evaluation.choosing import of_path
from neroRL.evaluation.subjects import Subject, read_subject


def play(
    subject: Subject,
    seeds: Sequence[int],
    repetitions: int = 1,
    *,
    workers: int = 1,
    deterministic: bool = False,
) -> list[Played]:
    """Plays every seed so often.

    Args:
        subject: the policy, and its environment.
        seeds: of the episodes.
        repetitions: of each seed.
        workers: environments that run at the same time; the episodes do not depend on it.
        deterministic: takes the most probable actions instead of sampling them.

    Returns:
        The episodes by repetition, then by seed.
    """
    lanes = lanes_of(seeds, repetitions, workers)
    config = subject.config
    _prepare_torch(subject)
    with (
        own_worker_ids(config, len(lanes)) as placed,
        closing(
            make_vector(
                config.environment,
                len(lanes),
                seed=0,
                worker_id=placed.worker_id,
                episode_seeds=[[episode.seed for episode in lane] for lane in lanes],
            )
        ) as environment,
    ):
        model = subject.model(environment.specification)
        seen = normalized(environment, subject.normalization(), learns=False)
        return evaluate(seen, model, lanes, deterministic=deterministic)


@contextlib.contextmanager
def policy_and_environment(
    subject: Subject, *, deterministic: bool = False
) -> Iterator[tuple[Policy, SingleEnvironment]]:
    """Yields a policy and one environment, which is closed in the end.

    Args:
        subject: the policy, and its environment.
        deterministic: takes the most probable actions instead of sampling them.
    """
    _prepare_torch(subject)
    environment_config = subject.config.environment
    with (
        own_worker_ids(subject.config, 1) as placed,
        closing(make_single(environment_config, placed.worker_id)) as environment,
    ):
        shapes = specification_of(environment)
        model = subject.model(shapes)
        moments = subject.normalization().vectors
        policy = Policy(model, shapes, environment_config, moments, deterministic=deterministic)
        yield policy, environment


def load_policy(checkpoint: str | Path, *, deterministic: bool = False) -> Policy:
    """Loads the policy of a checkpoint.

    >>> import neroRL
    >>> policy = neroRL.load_policy(checkpoint)  # doctest: +SKIP
    >>> environment = policy.make_environment()  # doctest: +SKIP
    >>> observation, _ = environment.reset(seed=7)  # doctest: +SKIP
    >>> policy.reset()  # doctest: +SKIP
    >>> action = policy.act(observation)  # doctest: +SKIP

    Args:
        checkpoint: a file, or a job's directory, of which the last checkpoint that can be read is
            taken, with a warning if a later one cannot.
        deterministic: takes the most probable actions instead of sampling them.

    Raises:
        NeroRLError: the checkpoint cannot be read, is another version's, or its environment cannot
            be made here.
        TransientError: an environment's process does not start or answer.
    """
    chosen = of_path(Path(checkpoint))
    for note in chosen.notes:
        warnings.warn(note.removeprefix("warning: "), stacklevel=2)
    subject = read_subject(chosen.path)
    environment = subject.config.environment
    shapes = specification(environment)
    if shapes is None:  # only a running environment tells
        with (
            own_worker_ids(subject.config, 1) as placed,
            closing(make_single(environment, placed.worker_id)) as single,
        ):
            shapes = specification_of(single)
    moments = subject.normalization().vectors
    model = subject.model(shapes)
    return Policy(model, shapes, environment, moments, deterministic=deterministic)


def check_seeds(subject: Subject, seeds: Sequence[int], flag: str) -> None:
    """Refuses seeds that an episode of the environment cannot have.

    Raises:
        ConfigError: some are too large.
    """
    kind = registry.environment_type(subject.config.environment.type)
    problems = kind.check_seeds(flag, seeds)
    if problems:
        raise ConfigError([Problem(one.path, one.message, "command line") for one in problems])


def _prepare_torch(subject: Subject) -> None:
    torch.set_num_threads(subject.threads)
    torch.backends.cudnn.deterministic = True


def with_worker_id(subject: Subject, worker_id: int | None) -> Subject:
    """Returns the subject with the worker id of a flag, if there is one."""
    if worker_id is None:
        return subject
    return replace(subject, config=replace(subject.config, worker_id=worker_id))
