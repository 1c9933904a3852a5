"""Evaluation: plays given seeds with the current policy."""

from __future__ import annotations

import numpy as np
import torch

from neroRL.acting.actor import Actor
from neroRL.acting.steps import begin, steps
from neroRL.environments.vector.interface import EpisodeEnd, VectorEnvironment
from neroRL.models.actor_critic import ActorCritic

# Number of steps for which noise is drawn and features are kept at a time.
STEPS = 128


@torch.no_grad()
def evaluate(
    environment: VectorEnvironment, model: ActorCritic, episodes: int, seed: int
) -> list[EpisodeEnd]:
    """Plays episodes in every environment, sampling from the policy.

    Each episode starts with an empty memory, also with ``reset_hidden_state: false``, so the result
    on a seed does not depend on the seed played before.

    Args:
        environment: made with the seeds to play; started here.
        model: the network.
        episodes: number of episodes that each environment plays.
        seed: of the policy's and the memory's random numbers.

    Returns:
        The episodes of all environments, in the order in which they ended.
    """
    device = next(model.parameters()).device
    generator = torch.Generator(device).manual_seed(seed)
    environment.restart()
    actor = Actor(model, environment.num_envs, generator, forgets=True)
    played = np.zeros(environment.num_envs, np.int64)
    ended: list[EpisodeEnd] = []
    while played.min() < episodes:
        features = begin(environment, actor, STEPS)
        for step in steps(environment, actor, features, STEPS):
            for episode in step.transition.episodes:
                played[episode.worker] += 1
                # A worker that is done early plays on; its further episodes do not count.
                if played[episode.worker] <= episodes:
                    ended.append(episode)
            if played.min() >= episodes:
                break
    return ended
