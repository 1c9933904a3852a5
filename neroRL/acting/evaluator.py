"""Evaluation: plays given episodes with a policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from neroRL.acting.player import STEPS, Episode, Players
from neroRL.acting.steps import begin, steps
from neroRL.environments.vector.interface import EpisodeEnd, VectorEnvironment
from neroRL.models.actor_critic import ActorCritic


class Cancelled(Exception):
    """An evaluation ended before its episodes did, as it was asked to."""


class Played(NamedTuple):
    """An episode that was played.

    Attributes:
        episode: seed and repetition.
        end: reward, length and other numbers.
    """

    episode: Episode
    end: EpisodeEnd


def lanes_of(seeds: Sequence[int], repetitions: int, workers: int) -> list[list[Episode]]:
    """Deals the episodes of all seeds and repetitions to workers, one list each.

    Args:
        seeds: played in each repetition.
        repetitions: how often.
        workers: at most; as many as there are episodes are used.

    >>> lanes_of([7, 8], 1, workers=3)
    [[Episode(seed=7, repetition=0)], [Episode(seed=8, repetition=0)]]
    """
    episodes = [Episode(seed, number) for number in range(repetitions) for seed in seeds]
    used = min(workers, len(episodes))
    return [episodes[worker::used] for worker in range(used)]


@torch.no_grad()
def evaluate(
    environment: VectorEnvironment,
    model: ActorCritic,
    lanes: Sequence[Sequence[Episode]],
    *,
    deterministic: bool = False,
    cancelled: Callable[[], bool] = lambda: False,
) -> list[Played]:
    """Plays episodes, each of which depends on nothing but the policy, its seed and its repetition.

    Args:
        environment: made with the seeds of the lanes; started here.
        model: the network.
        lanes: the episodes that each worker of the environment plays, in their order.
        deterministic: takes the most probable actions instead of sampling them.
        cancelled: asked at the start and after each step whether to end.

    Returns:
        The episodes by repetition, then by seed.

    Raises:
        Cancelled: it was asked to end.
    """
    if cancelled():
        raise Cancelled
    environment.restart()
    players = Players(model, lanes, deterministic=deterministic)
    played: list[Played] = []
    total = sum(map(len, lanes))
    while len(played) < total:
        features = begin(environment, players, STEPS)
        for step in steps(environment, players, features, STEPS):
            # A worker that is done early plays on; its further episodes do not count.
            played += [
                Played(lanes[end.worker][-left], end)
                for end in step.transition.episodes
                if (left := int(players.left[end.worker]))
            ]
            if len(played) == total:
                break
            if cancelled():
                raise Cancelled
    return sorted(played, key=lambda one: (one.episode.repetition, one.episode.seed))
