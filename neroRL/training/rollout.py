"""Rollouts: acts in the environments and records the data of an update.

Shapes: T steps, N environments, R rows of the rollout's own table of observations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from neroRL.acting.actor import Actor
from neroRL.acting.features import Features
from neroRL.acting.steps import Step, begin, steps
from neroRL.config.schema import TrainerConfig
from neroRL.environments.vector.interface import MOST_DISTINCT, EpisodeEnd, VectorEnvironment
from neroRL.models.heads import split
from neroRL.models.memory.interface import History
from neroRL.models.receptive_fields import FieldTable
from neroRL.models.transfer import on_device
from neroRL.training.advantages import generalised_advantages

CPU = torch.device("cpu")


class Rollout(NamedTuple):
    """The data of one update.

    Attributes:
        observations: the rollout's own table, tensors of shape (R, …) or tables of fields.
        rows: of the observation of each step in that table, shape (T, N).
        distinct: whether enough steps share rows to compute each row only once.
        starts: whether a step starts an episode, shape (T, N).
        actions: shape (T · N, …).
        log_probs: of the actions, shape (T · N, branches).
        values: shape (T · N,).
        advantages: shape (T · N,).
        history: of the memory.
        episodes: the episodes that ended.
    """

    observations: Mapping[str, Tensor | FieldTable]
    rows: np.ndarray
    distinct: bool
    starts: np.ndarray
    actions: Tensor
    log_probs: Tensor
    values: Tensor
    advantages: Tensor
    history: History
    episodes: Sequence[EpisodeEnd]


class _Record:
    """The record of a rollout's steps, shape (T, N, …) each."""

    def __init__(self, steps: int, num_envs: int) -> None:
        self.rows = np.empty((steps, num_envs), np.int64)
        self.starts = np.empty((steps, num_envs), np.bool_)
        self.rewards = np.empty((steps, num_envs), np.float32)
        self.ended = np.empty((steps, num_envs), np.bool_)
        self.actions: list[Tensor] = []
        self.outputs: list[Tensor] = []
        # Step, environments at their time limit, values of their last observations: read at the end
        # of the rollout, so that no step waits for a GPU.
        self.cut: list[tuple[int, np.ndarray, Tensor]] = []
        self.episodes: list[EpisodeEnd] = []

    def add(self, t: int, step: Step) -> None:
        """Records step t."""
        self.rows[t], self.starts[t] = step.rows, step.starts
        self.rewards[t], self.ended[t] = step.transition.rewards, step.ended
        self.actions.append(step.actions)
        self.outputs.append(step.outputs)
        self.episodes.extend(step.transition.episodes)


@torch.no_grad()
def collect(
    environment: VectorEnvironment,
    actor: Actor,
    count: int,
    config: TrainerConfig,
    *,
    low_memory: bool = False,
) -> Rollout:
    """Acts for some steps in every environment.

    >>> from neroRL.config import Config, EnvironmentConfig
    >>> from neroRL.environments.factory import make_vector
    >>> from neroRL.models.actor_critic import ActorCritic
    >>> config = Config(environment=EnvironmentConfig(type="CartPole", name="CartPole-v1"))
    >>> environment = make_vector(config.environment, 2, seed=0)
    >>> environment.restart()
    >>> model = ActorCritic(config.model, environment.specification)
    >>> actor = Actor(model, 2, torch.Generator().manual_seed(0))
    >>> rollout = collect(environment, actor, 8, config.trainer)
    >>> rollout.rows.shape, rollout.actions.shape, rollout.advantages.shape
    ((8, 2), torch.Size([16, 1]), torch.Size([16]))
    >>> bool(rollout.starts[0].all())
    True

    Args:
        environment: started.
        actor: of the environments.
        count: T.
        config: discount and lambda, and whether a time limit bootstraps.
        low_memory: whether a GPU gets the observations mini batch by mini batch only.

    Returns:
        The rollout, on the model's device but for what ``low_memory`` keeps away from it.
    """
    features = begin(environment, actor, count)
    record = _Record(count, environment.num_envs)
    for t, step in enumerate(steps(environment, actor, features, count)):
        record.add(t, step)
        final_ids = step.transition.final_ids
        if final_ids is not None and config.bootstrap_truncated:
            cut = np.flatnonzero(step.transition.truncations & ~step.transition.terminations)
            if len(cut):
                final = features.at(features.rows(final_ids[cut]))
                record.cut.append((t, cut, actor.values(final, cut)))
    last = features.at(features.rows(environment.ids))
    last_values = actor.values(last, np.arange(environment.num_envs))
    table = _table(features, actor, low_memory)
    return _rollout(record, features, last_values, actor, config, table)


def _table(features: Features, actor: Actor, low_memory: bool) -> Mapping[str, Tensor | FieldTable]:
    observations = features.observations()
    if low_memory and actor.device.type != CPU.type:
        return {key: on_device(array, CPU) for key, array in observations.items()}
    return actor.model.encoder.table(observations, actor.device)


def _rollout(
    record: _Record,
    features: Features,
    last_values: Tensor,
    actor: Actor,
    config: TrainerConfig,
    observations: Mapping[str, Tensor | FieldTable],
) -> Rollout:
    model = actor.model
    outputs = torch.stack(record.outputs)
    parameters, values_of_steps = split(outputs)
    values = values_of_steps.cpu().numpy()
    next_values = np.concatenate((values[1:], last_values.cpu().numpy()[None]))
    next_values[record.ended] = 0.0
    for t, workers, final_values in record.cut:
        next_values[t, workers] = final_values.cpu().numpy()
    rewards = record.rewards.astype(values.dtype)
    advantages = generalised_advantages(
        rewards, values, next_values, record.ended, config.gamma, config.lamda
    )
    actions = torch.stack(record.actions).flatten(0, 1)
    return Rollout(
        observations=observations,
        rows=record.rows,
        distinct=features.length < MOST_DISTINCT * record.rows.size,
        starts=record.starts,
        actions=actions,
        log_probs=model.distribution.at(parameters.flatten(0, 1), actions).log_probs,
        values=values_of_steps.flatten(),
        advantages=on_device(advantages, outputs.device).flatten(),
        history=actor.state.end_rollout(),
        episodes=record.episodes,
    )
