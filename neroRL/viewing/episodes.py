"""Plays an episode and keeps what there is to see of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from neroRL.acting.player import Episode
from neroRL.acting.policy import Decision, Policy
from neroRL.environments import registry
from neroRL.environments.specification import RAW_REWARD, Choices, MixedSpace, SingleEnvironment


@dataclass(frozen=True)
class Outcome:
    """The end of an episode, as the table of an evaluation tells it.

    Attributes:
        reward: sum of the rewards, as the environment gave them.
        length: number of steps.
        success: from 0 to 1 where the environment tells, else None.
    """

    reward: float
    length: int
    success: float | None

    def __str__(self) -> str:
        told = f"reward {self.reward:.4g}, length {self.length}"
        return told if self.success is None else f"{told}, success {self.success:.4g}"

    @property
    def success_in_words(self) -> str | None:
        """The success as a sentence ends with it; None where the environment does not tell."""
        if self.success is None:
            return None
        whole = {1.0: "a success", 0.0: "no success"}
        return whole.get(self.success, f"success {self.success:.4g}")


@dataclass(frozen=True)
class Moment:
    """A moment of an episode.

    Attributes:
        step: number of actions done before.
        pictures: of the environment and of what the agent sees, by name; uint8, (height, width, 3).
        decision: on the next action; None after the last one.
        reward: of the action before, neither clipped nor normalised; 0 in the first moment.
        total: sum of these rewards so far.
        outcome: after the last action; else None.
    """

    step: int
    pictures: dict[str, np.ndarray]
    decision: Decision | None
    reward: float
    total: float
    outcome: Outcome | None = None


def moments(policy: Policy, environment: SingleEnvironment, episode: Episode) -> Iterator[Moment]:
    """Plays an episode, the one that an evaluation plays with this seed and repetition.

    Yields:
        Each moment before an action, and the last one after it.
    """
    kind = registry.environment_type(policy.environment.type)
    observation, _ = environment.reset(seed=episode.seed)
    policy.reset(*episode)
    reward = total = 0.0
    step, outcome = 0, None
    while outcome is None:
        pictures = _copied(kind.pictures(environment, observation))
        decision = policy.decide(observation)
        yield Moment(step, pictures, decision, reward, total)
        observation, _, terminated, truncated, info = environment.step(decision.action)
        reward = info[RAW_REWARD]
        total += reward
        step += 1
        if terminated or truncated:
            outcome = _outcome(info)
    yield Moment(
        step, _copied(kind.pictures(environment, observation)), None, reward, total, outcome
    )


def _copied(pictures: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns copies: an environment may draw its next picture over this one."""
    return {name: picture.copy() for name, picture in pictures.items()}


def _outcome(info: Mapping[str, Any]) -> Outcome:
    success = info.get("success")
    return Outcome(
        float(info["episode_reward"]),
        int(info["episode_length"]),
        None if success is None else float(success),
    )


def action_names(policy: Policy, environment: SingleEnvironment) -> list[list[str]]:
    """Returns the names of the choices of each action branch; none for actions that are numbers."""
    space = environment.action_space
    parts = space.parts if isinstance(space, MixedSpace) else [space]
    return [names for part in parts for names in _names(part, policy)]


def _names(space: spaces.Space[Any], policy: Policy) -> list[list[str]]:
    if isinstance(space, spaces.MultiBinary):
        return [["0", "1"] for _ in range(space.shape[0])]
    if not isinstance(space, spaces.MultiDiscrete):
        return []
    kind = registry.environment_type(policy.environment.type)
    counts = [int(count) for count in space.nvec]
    first = space.first if isinstance(space, Choices) else [0] * len(counts)
    return kind.action_names(counts, first)
