"""Evaluation: plays given seeds with the current policy."""

from __future__ import annotations

import numpy as np
import torch

from neroRL.environments.vector.interface import EpisodeEnd, VectorEnvironment
from neroRL.models.actor import Actor, ObservedRows
from neroRL.models.actor_critic import ActorCritic

NOISE_STEPS = 128


@torch.no_grad()
def evaluate(
    environment: VectorEnvironment, model: ActorCritic, episodes: int, seed: int
) -> list[EpisodeEnd]:
    """Plays episodes in every environment, sampling from the policy.

    Each episode starts with an empty memory, with ``reset_hidden_state: false`` too: what a policy
    is worth on a seed does not depend on the seed played before.

    Args:
        environment: made with the seeds to play; started here.
        model: the network.
        episodes: how many each environment plays.
        seed: of everything random in the policy and its memory.

    Returns:
        The episodes of all environments, in the order in which they ended.
    """
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    environment.restart()
    actor = Actor(model, environment.num_envs, generator)
    played = np.zeros(environment.num_envs, np.int64)
    ended: list[EpisodeEnd] = []
    while played.min() < episodes:
        environment.begin_rollout()
        actor.state.begin_rollout(NOISE_STEPS)
        observed = ObservedRows(model, environment.table, device)
        for noise in actor.noise(NOISE_STEPS):
            rows = observed.rows(environment.ids)
            actions, _ = actor.act(observed.observed(rows), noise)
            moved = environment.advance(model.distribution.for_environment(actions))
            for episode in moved.episodes:
                played[episode.worker] += 1
                # A worker that is ahead of the others plays on; that does not count.
                if played[episode.worker] <= episodes:
                    ended.append(episode)
            over = np.flatnonzero(moved.terminations | moved.truncations)
            if len(over):
                actor.state.forget(over)
            if played.min() >= episodes:
                break
    return ended
