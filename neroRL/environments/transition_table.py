"""MiniGrid as a table: (state, action) to (state, outcome), filled on demand by the real package.

A MiniGrid episode is deterministic, and its seeds are few: the same states come again and again,
in all environments of a job and in all jobs of a sweep. What cannot be a table is refused: an
environment that draws random numbers in ``step``, one whose rewards follow another rule, one with
too many states.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

FIRST_STATES = 1024
# A table that grows beyond this does not pay for its memory.
MOST_STATES = 2_000_000
MOST_WORLD_BYTES = 128 * 2**20
UNKNOWN = -1
TERMINATED, SUCCESS = 1, 2  # bits of an outcome

# What moves at almost every step, and what is no part of the world.
_POSE = ("agent_pos", "agent_dir", "step_count")
_NO_WORLD = (*_POSE, "_np_random", "_np_random_seed", "action_space", "observation_space", "spec")


class UntabledError(Exception):
    """The environment cannot be a table."""


def can_be_tabled(env: gymnasium.Env[Any, Any]) -> bool:
    """Whether an environment is one of the package's own, whose steps are known to be pure."""
    module = type(env.unwrapped).__module__
    return module.startswith("minigrid.envs.") and "babyai" not in module


class TransitionTable:
    """The transitions of one environment id.

    Args:
        env: the real environment; used to fill the table only.
        actions: number of actions.

    Attributes:
        next_states: shape (states, actions); -1 where the transition was not needed yet.
        outcomes: shape (states, actions); bits TERMINATED and SUCCESS.
        view_ids: the view that is observed in a state, shape (states,).
        views: distinct encoded views, shape (views, view size, view size, 3).
    """

    def __init__(self, env: gymnasium.Env[Any, Any], actions: int) -> None:
        unwrapped: Any = env.unwrapped
        self._env = unwrapped
        self._actions = actions
        self.next_states = np.full((FIRST_STATES, actions), UNKNOWN, np.int32)
        self.outcomes = np.zeros((FIRST_STATES, actions), np.uint8)
        self.view_ids = np.zeros(FIRST_STATES, np.int64)
        size = int(self._env.agent_view_size)
        self.views = np.empty((FIRST_STATES, size, size, 3), np.uint8)
        self._states: dict[tuple[int, int, int, int], int] = {}
        self._keys: list[tuple[int, int, int, int]] = []
        self._view_ids: dict[bytes, int] = {}
        self._worlds: list[bytes] = []
        self._world_ids: dict[bytes, int] = {}
        self._world_bytes = 0
        self._loaded = UNKNOWN
        self._initial: dict[int, tuple[int, int]] = {}

    def initial_state(self, seed: int) -> tuple[int, int]:
        """The state after a reset with a seed, and the step at which the environment gives up."""
        if seed not in self._initial:
            encoded, _ = self._env.reset(seed=seed)
            state = self._state(encoded["image"])
            self._initial[seed] = (state, int(self._env.max_steps))
        return self._initial[seed]

    def fill(self, states: np.ndarray, actions: np.ndarray) -> None:
        """Computes those of some transitions that are not there yet.

        Raises:
            UntabledError: the environment cannot be a table after all.
        """
        if len(self._keys) >= MOST_STATES or self._world_bytes > MOST_WORLD_BYTES:
            raise UntabledError("too many states")
        unknown = np.flatnonzero(self.next_states[states, actions] == UNKNOWN)
        for state, action in dict.fromkeys(
            zip(states[unknown].tolist(), actions[unknown].tolist(), strict=True)
        ):
            self._fill(state, action)

    def _fill(self, state: int, action: int) -> None:
        view, reward, terminated = self._step(state, action, 0)
        outcome = TERMINATED if terminated else 0
        if reward != 0.0:
            if reward != self._env._reward():
                raise UntabledError("a reward that is no reward of success")
            # Is it the same rule at another step of the episode?
            _, later, _ = self._step(state, action, 1)
            if later != self._env._reward() or later == reward:
                raise UntabledError("a reward that does not depend on the step as usual")
            outcome |= SUCCESS
        after = self._state(view)
        self.next_states[state, action] = after
        self.outcomes[state, action] = outcome

    def _step(self, state: int, action: int, step_count: int) -> tuple[np.ndarray, float, bool]:
        self._load(state, step_count)
        before = self._env.np_random.bit_generator.state
        encoded, reward, terminated, _, _ = self._env.step(action)
        if self._env.np_random.bit_generator.state != before:
            raise UntabledError("random numbers are drawn in steps")
        return encoded["image"], float(reward), bool(terminated)

    def _load(self, state: int, step_count: int) -> None:
        """Puts the real environment into a state."""
        world, x, y, direction = self._keys[state]
        if world != self._loaded:
            self._env.__dict__.update(pickle.loads(self._worlds[world]))
        self._env.agent_pos, self._env.agent_dir = (x, y), direction
        self._env.step_count = step_count
        self._loaded = UNKNOWN  # the step may change the world

    def _state(self, view: np.ndarray) -> int:
        """The number of the state in which the real environment is."""
        x, y = self._env.agent_pos
        key = (self._world(), int(x), int(y), int(self._env.agent_dir))
        state = self._states.get(key)
        if state is None:
            state = self._states[key] = len(self._keys)
            if state == len(self.next_states):
                self._grow()
            self._keys.append(key)
            self.view_ids[state] = self._view(view)
        return state

    def _world(self) -> int:
        """The number of everything in the real environment but the agent's pose."""
        raw = self._pickled_world()
        digest = hashlib.blake2b(raw, digest_size=16).digest()
        world = self._world_ids.get(digest)
        if world is None:
            # Pickling what was unpickled gives the same bytes ever after.
            canonical = pickle.dumps(pickle.loads(raw), pickle.HIGHEST_PROTOCOL)
            same = hashlib.blake2b(canonical, digest_size=16).digest()
            world = self._world_ids.get(same)
            if world is None:
                world = len(self._worlds)
                self._worlds.append(canonical)
                self._world_bytes += len(canonical)
            self._world_ids[digest] = self._world_ids[same] = world
        self._loaded = world
        return world

    def _pickled_world(self) -> bytes:
        world = {key: value for key, value in self._env.__dict__.items() if key not in _NO_WORLD}
        return pickle.dumps(world, pickle.HIGHEST_PROTOCOL)

    def _view(self, view: np.ndarray) -> int:
        key = view.tobytes()
        number = self._view_ids.get(key)
        if number is None:
            number = self._view_ids[key] = len(self._view_ids)
            if number == len(self.views):
                self.views = np.concatenate((self.views, np.empty_like(self.views)))
            self.views[number] = view
        return number

    def _grow(self) -> None:
        unknown = np.full_like(self.next_states, UNKNOWN)
        self.next_states = np.concatenate((self.next_states, unknown))
        self.outcomes = np.concatenate((self.outcomes, np.zeros_like(self.outcomes)))
        self.view_ids = np.concatenate((self.view_ids, np.zeros_like(self.view_ids)))


class ViewTable:
    """The observations of a transition table, made of views when they are asked for.

    Args:
        transitions: knows the views.
        observe: from views, shape (rows, …), to observations of as many rows.
    """

    def __init__(
        self,
        transitions: TransitionTable,
        observe: Callable[[np.ndarray], dict[str, np.ndarray]],
    ) -> None:
        self._transitions = transitions
        self._observe = observe

    def rows(self, ids: np.ndarray) -> dict[str, np.ndarray]:
        """The observations of some views, shape (len(ids), …) each."""
        return self._observe(self._transitions.views[ids])
