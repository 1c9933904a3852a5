"""Rollouts: acts in the environments and keeps what an update needs.

Shapes: T steps, N environments, R rows of observations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from neroRL.config.schema import TrainerConfig
from neroRL.environments.vector.interface import MOST_DISTINCT, EpisodeEnd, VectorEnvironment
from neroRL.models.actor import Actor, ObservedRows
from neroRL.models.actor_critic import ActorCritic
from neroRL.models.heads import split
from neroRL.models.memory.interface import History
from neroRL.models.receptive_fields import FieldTable
from neroRL.models.transfer import on_device
from neroRL.training.advantages import generalised_advantages


class Rollout(NamedTuple):
    """The data of one update.

    Attributes:
        observations: the rows of observations, tensors of shape (R, …) or tables of fields.
        rows: which row was observed, shape (T, N).
        distinct: whether rows are shared by enough steps to compute each only once.
        starts: whether a step starts an episode, shape (T, N).
        actions: shape (T · N, …).
        log_probs: of the actions, shape (T · N, branches).
        values: shape (T · N,).
        advantages: shape (T · N,).
        history: what the memory kept of the steps.
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
    """What a rollout's steps leave, shape (T, N, …) each."""

    def __init__(self, steps: int, num_envs: int) -> None:
        self.rows = np.empty((steps, num_envs), np.int64)
        self.starts = np.empty((steps, num_envs), np.bool_)
        self.rewards = np.empty((steps, num_envs), np.float32)
        self.ended = np.empty((steps, num_envs), np.bool_)
        self.actions: list[Tensor] = []
        self.outputs: list[Tensor] = []
        # Step, environments whose time was up, values of their last observations: read at the end,
        # when a GPU need not be waited for.
        self.cut: list[tuple[int, np.ndarray, Tensor]] = []
        self.episodes: list[EpisodeEnd] = []


@torch.no_grad()
def collect(
    environment: VectorEnvironment,
    actor: Actor,
    model: ActorCritic,
    steps: int,
    config: TrainerConfig,
) -> Rollout:
    """Acts for some steps in every environment.

    Args:
        environment: started.
        actor: knows what the environments remember.
        model: the network.
        steps: T.
        config: discount and lambda, and whether a time limit bootstraps.

    Returns:
        The rollout, on the model's device.
    """
    device = next(model.parameters()).device
    environment.begin_rollout()
    actor.state.begin_rollout(steps)
    observed = ObservedRows(model, environment.table, device)
    record = _Record(steps, environment.num_envs)
    noise = actor.noise(steps)
    for t in range(steps):
        rows = record.rows[t] = observed.rows(environment.ids)
        record.starts[t] = actor.starts
        actions, outputs = actor.act(observed.observed(rows), noise[t])
        record.actions.append(actions)
        record.outputs.append(outputs)
        moved = environment.advance(model.distribution.for_environment(actions))
        record.rewards[t] = moved.rewards
        record.ended[t] = ended = moved.terminations | moved.truncations
        if moved.final_ids is not None:
            cut = np.flatnonzero(moved.truncations & ~moved.terminations)
            if config.bootstrap_truncated and len(cut):
                final = observed.observed(observed.rows(moved.final_ids[cut]))
                record.cut.append((t, cut, actor.values(final, cut)))
            record.episodes.extend(moved.episodes)
        actor.begin_episodes(ended)
    last = observed.observed(observed.rows(environment.ids))
    last_values = actor.values(last, np.arange(environment.num_envs))
    return _rollout(record, observed, last_values, actor.state.end_rollout(), model, config)


def _rollout(
    record: _Record,
    observed: ObservedRows,
    last_values: Tensor,
    history: History,
    model: ActorCritic,
    config: TrainerConfig,
) -> Rollout:
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
        observations=model.encoder.table(observed.observations(), outputs.device),
        rows=record.rows,
        distinct=observed.length < MOST_DISTINCT * record.rows.size,
        starts=record.starts,
        actions=actions,
        log_probs=model.distribution.at(parameters.flatten(0, 1), actions).log_probs,
        values=values_of_steps.flatten(),
        advantages=on_device(advantages, outputs.device).flatten(),
        history=history,
        episodes=record.episodes,
    )
