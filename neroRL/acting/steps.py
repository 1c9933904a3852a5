"""The loop of steps that rollouts and evaluations share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from neroRL.acting.features import Features
from neroRL.environments.vector.interface import Transition, VectorEnvironment
from neroRL.models.actor_critic import ActorCritic


class Acting(Protocol):
    """Chooses the actions of N environments.

    Attributes:
        model: the network.
        device: of the network.
        alone: whether the features of each observation are computed for it alone.
        starts: whether the next step starts an episode, shape (N,).
    """

    model: ActorCritic
    device: torch.device
    alone: bool
    starts: np.ndarray

    def begin(self, steps: int) -> None:
        """Prepares for at most some steps, with weights that may have changed."""

    def act(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Takes one step; features (N, F) to actions (N, …) and outputs (N, O)."""

    def begin_episodes(self, ended: np.ndarray) -> None:
        """Starts new episodes in the environments where ``ended``, shape (N,), is True."""


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


def begin(environment: VectorEnvironment, actor: Acting, count: int) -> Features:
    """Prepares environments and memory for some steps with constant weights.

    Args:
        environment: started.
        actor: of the environments.
        count: largest number of steps.

    Returns:
        An empty table of features.
    """
    environment.begin_rollout()
    actor.begin(count)
    return Features(actor.model, environment.table, actor.device, alone=actor.alone)


def steps(
    environment: VectorEnvironment, actor: Acting, features: Features, count: int
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
    for _ in range(count):
        rows, starts = features.rows(environment.ids), actor.starts
        actions, outputs = actor.act(features.at(rows))
        transition = environment.advance(actor.model.distribution.for_environment(actions))
        ended = transition.terminations | transition.truncations
        yield Step(rows, starts, actions, outputs, transition, ended)
        actor.begin_episodes(ended)
