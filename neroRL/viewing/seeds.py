"""Shows the first repetition of several seeds."""

from __future__ import annotations

from collections.abc import Sequence

from neroRL.acting.player import Episode
from neroRL.evaluation.playing import policy_and_environment
from neroRL.evaluation.subjects import Subject
from neroRL.viewing.episodes import action_names, moments
from neroRL.viewing.showing import Ways


def show_seeds(subject: Subject, seeds: Sequence[int], ways: Ways, *, deterministic: bool) -> None:
    """Plays repetition 0 of every seed and shows it.

    Args:
        subject: the policy, and its environment.
        seeds: of the episodes; the files of each have its number.
        ways: of showing them.
        deterministic: takes the most probable actions instead of sampling them.
    """
    with policy_and_environment(subject, deterministic=deterministic) as (policy, environment):
        names = action_names(policy, environment)
        for seed in seeds:
            played = moments(policy, environment, Episode(seed, 0))
            ways.numbered(seed).show(played, names, f"{subject.name}, seed {seed}")
