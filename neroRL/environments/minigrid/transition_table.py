"""MiniGrid as a table: (state, action) to (state, outcome), filled on demand by the real package.

MiniGrid episodes are deterministic and have few seeds, so the same states recur in all environments
of a job and in all jobs of a sweep. Some environments cannot be a table: those that draw random
numbers in ``step``, those whose rewards follow another rule, and those with too many states.
"""

from __future__ import annotations

import hashlib
import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

FIRST_STATES = 1024
MOST_LIVE_WORLDS = 128
# A larger table is not worth its memory.
MOST_STATES = 2_000_000
MOST_WORLD_BYTES = 128 * 2**20
UNKNOWN = -1
TERMINATED, SUCCESS = 1, 2  # bits of an outcome

# Attributes that change at almost every step, or are no part of the world.
_POSE = ("agent_pos", "agent_dir", "step_count")
_NO_WORLD = (*_POSE, "_np_random", "_np_random_seed", "action_space", "observation_space", "spec")


class UntabledError(Exception):
    """The environment cannot be a table."""


def can_be_tabled(env: gymnasium.Env[Any, Any]) -> bool:
    """Returns whether an environment is the package's own, whose steps are known to be pure."""
    module = type(env.unwrapped).__module__
    return module.startswith("minigrid.envs.") and "babyai" not in module


class Views:
    """Distinct encoded views, by number.

    Args:
        view_size: cells on a side.
    """

    def __init__(self, view_size: int) -> None:
        self._array = np.empty((FIRST_STATES, view_size, view_size, 3), np.uint8)
        self._ids: dict[bytes, int] = {}

    def add(self, view: np.ndarray) -> int:
        """Returns the number of a view, shape (view size, view size, 3), and adds a new one."""
        key = view.tobytes()
        number = self._ids.get(key)
        if number is None:
            number = self._ids[key] = len(self._ids)
            if number == len(self._array):
                self._array = np.concatenate((self._array, np.empty_like(self._array)))
            self._array[number] = view
        return number

    def __getitem__(self, ids: np.ndarray) -> np.ndarray:
        views: np.ndarray = self._array[ids]
        return views

    def copy(self) -> Views:
        """Returns the same views under the same numbers."""
        copied = Views(self._array.shape[1])
        copied._array, copied._ids = self._array.copy(), dict(self._ids)
        return copied

    def clear(self) -> None:
        """Forgets all views."""
        self._ids.clear()


class TransitionTable:
    """The transitions of one environment id.

    Args:
        env: the real environment; used to fill the table only.
        actions: number of actions.

    Attributes:
        next_states: shape (states, actions); -1 for transitions not needed so far.
        outcomes: shape (states, actions); bits TERMINATED and SUCCESS.
        view_ids: number of each state's view, shape (states,).
        views: the views.
    """

    def __init__(self, env: gymnasium.Env[Any, Any], actions: int) -> None:
        unwrapped: Any = env.unwrapped
        self._env = unwrapped
        self.next_states = np.full((FIRST_STATES, actions), UNKNOWN, np.int32)
        self.outcomes = np.zeros((FIRST_STATES, actions), np.uint8)
        self.view_ids = np.zeros(FIRST_STATES, np.int64)
        self.views = Views(int(self._env.agent_view_size))
        self._states: dict[tuple[int, int, int, int], int] = {}
        self._keys: list[tuple[int, int, int, int]] = []
        self._worlds: list[bytes] = []
        self._world_ids: dict[bytes, int] = {}
        self._world_bytes = 0
        # Worlds that need no unpickling, the latest last.
        self._live: OrderedDict[int, dict[str, Any]] = OrderedDict()
        self._initial: dict[int, tuple[int, int]] = {}

    def initial_state(self, seed: int) -> tuple[int, int]:
        """Returns the state after a reset with a seed, and the environment's own time limit."""
        if seed not in self._initial:
            self._env.reset(seed=seed)
            state = self._state()
            self._initial[seed] = (state, int(self._env.max_steps))
        return self._initial[seed]

    def fill(self, states: np.ndarray, actions: np.ndarray) -> None:
        """Computes the missing ones of some transitions.

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
        reward, terminated = self._step(state, action, 0)
        outcome = TERMINATED if terminated else 0
        if reward != 0.0:
            if reward != self._env._reward():
                raise UntabledError("a reward that is no reward of success")
            # Check the rule of the reward at another step of the episode.
            later, _ = self._step(state, action, 1)
            if later != self._env._reward() or later == reward:
                raise UntabledError("a reward that does not depend on the step as usual")
            outcome |= SUCCESS
        after = self._state()
        self.next_states[state, action] = after
        self.outcomes[state, action] = outcome

    def _step(self, state: int, action: int, step_count: int) -> tuple[float, bool]:
        self._load(state, step_count)
        before = self._env.np_random.bit_generator.state
        # Views take most of a step's time, and most steps lead to a state whose view is known.
        self._env.gen_obs = _no_observation
        try:
            _, reward, terminated, _, _ = self._env.step(action)
        finally:
            del self._env.gen_obs
        if self._env.np_random.bit_generator.state != before:
            raise UntabledError("random numbers are drawn in steps")
        return float(reward), bool(terminated)

    def _load(self, state: int, step_count: int) -> None:
        """Puts the real environment into a state."""
        world, x, y, direction = self._keys[state]
        live = self._live.pop(world, None)  # the step may change it
        self._env.__dict__.update(live or pickle.loads(self._worlds[world]))
        self._env.agent_pos, self._env.agent_dir = (x, y), direction
        self._env.step_count = step_count

    def _state(self) -> int:
        """Returns the number of the state in which the real environment is."""
        x, y = self._env.agent_pos
        key = (self._world(), int(x), int(y), int(self._env.agent_dir))
        state = self._states.get(key)
        if state is None:
            state = self._states[key] = len(self._keys)
            if state == len(self.next_states):
                self._grow()
            self._keys.append(key)
            self.view_ids[state] = self.views.add(self._env.gen_obs()["image"])
        return state

    def _world(self) -> int:
        """Returns the number of everything in the real environment but the agent's pose."""
        live = {key: value for key, value in self._env.__dict__.items() if key not in _NO_WORLD}
        raw = pickle.dumps(live, pickle.HIGHEST_PROTOCOL)
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
        self._live[world] = live
        if len(self._live) > MOST_LIVE_WORLDS:
            self._live.popitem(last=False)
        return world

    def _grow(self) -> None:
        unknown = np.full_like(self.next_states, UNKNOWN)
        self.next_states = np.concatenate((self.next_states, unknown))
        self.outcomes = np.concatenate((self.outcomes, np.zeros_like(self.outcomes)))
        self.view_ids = np.concatenate((self.view_ids, np.zeros_like(self.view_ids)))


def _no_observation() -> dict[str, Any]:
    return {}


class ViewTable:
    """Observations made of views when they are asked for.

    Args:
        views: by number.
        observations_of: from views, shape (count, …), to as many observations.
    """

    def __init__(
        self, views: Views, observations_of: Callable[[np.ndarray], dict[str, np.ndarray]]
    ) -> None:
        self.views = views
        self._observations_of = observations_of

    def at(self, ids: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the observations of some views, shape (len(ids), …) each."""
        return self._observations_of(self.views[ids])
