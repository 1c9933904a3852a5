"""The loop of steps that rollouts and evaluations share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch import Tensor

from neroRL.acting.actor import Actor
from neroRL.acting.features import Features
from neroRL.environments.vector.interface import Transition, VectorEnvironment


class Step(NamedTuple):
    """One step of N environments.

    Attributes:
        rows: of the observations in the rollout's own table, shape (N,).
        starts: whether the step starts an episode, shape (N,).
        actions: shape (N, …).
        outputs: of the network, shape (N, O).
        transition: of the environments.
        ended: whether the episode ended with the step, shape (N,).
    """

    rows: np.ndarray
    starts: np.ndarray
    actions: Tensor
    outputs: Tensor
    transition: Transition
    ended: np.ndarray


def begin(environment: VectorEnvironment, actor: Actor, count: int) -> Features:
    """Prepares environments and memory for some steps with constant weights.

    Args:
        environment: started.
        actor: of the environments.
        count: largest number of steps.

    Returns:
        An empty table of features.
    """
    environment.begin_rollout()
    actor.state.begin_rollout(count)
    return Features(actor.model, environment.table, actor.device)


def steps(
    environment: VectorEnvironment, actor: Actor, features: Features, count: int
) -> Iterator[Step]:
    """Acts in every environment, ``count`` times.

    A step that ends episodes is yielded before the actor starts the new ones, so its memory still
    belongs to the old episodes.

    Args:
        environment: started.
        actor: of the environments.
        features: of :func:`begin`.
        count: number of steps.
    """
    for noise in actor.noise(count):
        rows, starts = features.rows(environment.ids), actor.starts
        actions, outputs = actor.act(features.at(rows), noise)
        transition = environment.advance(actor.model.distribution.for_environment(actions))
        ended = transition.terminations | transition.truncations
        yield Step(rows, starts, actions, outputs, transition, ended)
        actor.begin_episodes(ended)
