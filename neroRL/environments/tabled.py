"""Steps many MiniGrid environments at once by looking their transitions up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from neroRL.environments.specification import SingleEnvironment
from neroRL.environments.transition_table import (
    SUCCESS,
    TERMINATED,
    UNKNOWN,
    TransitionTable,
    UntabledError,
    ViewTable,
)
from neroRL.environments.vector import (
    EpisodeEnd,
    EpisodeSeeds,
    SequentialEnvironment,
    Transition,
    VectorEnvironment,
)


class TabledEnvironment(VectorEnvironment):
    """N environments of one transition table; equal to :class:`SequentialEnvironment`.

    When the environment turns out to be no table, real ones are put into the same states and
    take over.

    Args:
        environment: for the spaces.
        transitions: shared by all environments of its id in this process.
        observe: from views to observations.
        seeds: the episodes' seeds, for each environment.
        most_steps: time limit of an episode.
        reward_scale: rewards are divided by it.
        ordinary: makes the real environments, should they be needed.
    """

    def __init__(
        self,
        environment: SingleEnvironment,
        transitions: TransitionTable,
        observe: Callable[[np.ndarray], dict[str, np.ndarray]],
        seeds: Sequence[EpisodeSeeds],
        most_steps: int,
        reward_scale: float,
        ordinary: Callable[[], SequentialEnvironment],
    ) -> None:
        super().__init__(environment, len(seeds))
        self.table = ViewTable(transitions, observe)
        self._transitions = transitions
        self._seeds = list(seeds)
        self._most_steps = most_steps
        self._reward_scale = reward_scale
        self._make_ordinary = ordinary
        self._ordinary: SequentialEnvironment | None = None
        self._states = np.zeros(self.num_envs, np.int64)
        self._steps = np.zeros(self.num_envs, np.int64)
        self._max_steps = np.ones(self.num_envs, np.int64)
        self._rewards = np.zeros(self.num_envs)
        self._episode_seeds = [0] * self.num_envs
        # Actions of all environments, one array a step, as far back as an episode began.
        self._history: list[np.ndarray] = []

    def restart(self) -> None:
        """Starts a new episode in every environment."""
        for worker in range(self.num_envs):
            self._begin_episode(worker, self._seeds[worker].next())
        self.ids = self._transitions.view_ids[self._states]

    def advance(self, actions: np.ndarray) -> Transition:
        """Does one action in every environment; see the base class."""
        if self._ordinary is not None:
            return self._advance_ordinary(actions)
        transitions, states, action = self._transitions, self._states, actions[:, 0]
        after = transitions.next_states[states, action]
        if after.min() == UNKNOWN:
            try:
                transitions.fill(states, action)
            except UntabledError:
                self._take_over()
                return self._advance_ordinary(actions)
            after = transitions.next_states[states, action]
        self._history.append(action.copy())
        self._steps += 1
        outcomes = transitions.outcomes[states, action]
        terminations = (outcomes & TERMINATED) > 0
        truncations = self._steps >= np.minimum(self._max_steps, self._most_steps)
        # MiniGrid's reward of success, 1 - 0.9 · step_count / max_steps.
        rewards = np.where(outcomes & SUCCESS, 1 - 0.9 * (self._steps / self._max_steps), 0.0)
        self._rewards += rewards
        self._states = after.astype(np.int64)
        self.ids = transitions.view_ids[self._states]
        scaled = (rewards / self._reward_scale).astype(np.float32)
        ended = terminations | truncations
        if not ended.any():
            return Transition(scaled, terminations, truncations, None, ())
        final_ids = np.where(ended, self.ids, -1)
        episodes = [self._end_episode(worker, rewards) for worker in np.flatnonzero(ended).tolist()]
        self.ids = transitions.view_ids[self._states]
        return Transition(scaled, terminations, truncations, final_ids, episodes)

    def begin_rollout(self) -> None:
        """Forgets actions of episodes that have ended."""
        if self._ordinary is not None:
            self._ordinary.begin_rollout()
            self.ids = self._ordinary.ids
            return
        kept = int(self._steps.max())
        self._history = self._history[len(self._history) - kept :]

    def state_dict(self) -> dict[str, Any]:
        """As that of :class:`SequentialEnvironment`."""
        if self._ordinary is not None:
            return self._ordinary.state_dict()
        played = [
            [[int(actions[worker])] for actions in self._history[len(self._history) - steps :]]
            for worker, steps in enumerate(self._steps.tolist())
        ]
        return {
            "seeds": [seeds.state_dict() for seeds in self._seeds],
            "episode_seeds": list(self._episode_seeds),
            "episode_actions": played,
            "distinct": True,
            "added": 0,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Plays the running episodes again, up to where they were."""
        for worker, seeds in enumerate(self._seeds):
            seeds.load_state_dict(state["seeds"][worker])
        played = state["episode_actions"]
        longest = max(len(actions) for actions in played)
        self._history = [np.zeros(self.num_envs, np.int64) for _ in range(longest)]
        for worker, actions in enumerate(played):
            self._begin_episode(worker, state["episode_seeds"][worker])
            for step, (action,) in enumerate(actions):
                try:
                    self._replay(worker, action)
                except UntabledError:
                    self._ordinary = self._make_ordinary()
                    self._ordinary.load_state_dict(state)
                    self.table, self.ids = self._ordinary.table, self._ordinary.ids
                    return
                self._history[longest - len(actions) + step][worker] = action
        self.ids = self._transitions.view_ids[self._states]

    def close_extras(self, **kwargs: Any) -> None:
        """Closes the real environments, if there are any."""
        if self._ordinary is not None:
            self._ordinary.close_extras(**kwargs)

    def _replay(self, worker: int, action: int) -> None:
        state = self._states[worker : worker + 1]
        taken = np.array([action])
        self._transitions.fill(state, taken)
        if self._transitions.outcomes[state, taken][0] & SUCCESS:
            step = self._steps[worker] + 1
            self._rewards[worker] += 1 - 0.9 * (step / self._max_steps[worker])
        self._states[worker] = self._transitions.next_states[state, taken][0]
        self._steps[worker] += 1

    def _begin_episode(self, worker: int, seed: int) -> None:
        self._episode_seeds[worker] = seed
        self._states[worker], self._max_steps[worker] = self._transitions.initial_state(seed)
        self._steps[worker] = 0
        self._rewards[worker] = 0.0

    def _end_episode(self, worker: int, rewards: np.ndarray) -> EpisodeEnd:
        ended = EpisodeEnd(
            worker,
            float(self._rewards[worker]),
            int(self._steps[worker]),
            float(rewards[worker] > 0.0),
        )
        self._begin_episode(worker, self._seeds[worker].next())
        return ended

    def _take_over(self) -> None:
        """Puts real environments into the states of the tabled ones."""
        state = self.state_dict()
        self._ordinary = self._make_ordinary()
        self._ordinary.load_state_dict(state)
        self.table = self._ordinary.table

    def _advance_ordinary(self, actions: np.ndarray) -> Transition:
        assert self._ordinary is not None
        moved = self._ordinary.advance(actions)
        self.ids = self._ordinary.ids
        return moved
