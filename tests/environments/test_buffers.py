"""Environments may overwrite their observations, so everything that is kept must be a copy."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from neroRL.config.schema import EnvironmentConfig
from neroRL.environments.factory import make_single, make_vector
from neroRL.environments.vector.sequential import SequentialEnvironment

SHARED = {
    "image": np.zeros((6, 5, 3), np.uint8),
    "vector": np.zeros(4, np.float32),
}


class Reusing(gymnasium.Env):
    """Draws its observations into arrays that all environments share, or into new ones."""

    action_space = spaces.MultiDiscrete([3, 2])

    def __init__(self, parts, fresh):
        boxes = {
            "image": spaces.Box(0, 255, (6, 5, 3), np.uint8),
            "vector": spaces.Box(0, 1, (4,), np.float32),
        }
        self.observation_space = spaces.Dict({part: boxes[part] for part in parts})
        self._parts, self._fresh = parts, fresh

    def _observe(self):
        for part in self._parts:
            buffer = SHARED[part]
            high = 255 if part == "image" else 1
            buffer[...] = self.np_random.random(buffer.shape) * high
        return {part: SHARED[part].copy() if self._fresh else SHARED[part] for part in self._parts}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._observe(), {}

    def step(self, action):
        ended = bool(self.np_random.random() < 0.2)
        reward = float(self.np_random.random())
        return self._observe(), reward, ended, not ended and reward > 0.9, {}


gymnasium.register("Reusing-v0", Reusing)

WRAPPERS = {
    "plain": {},
    "stacked": {"obs_stacks": 3},
    "skipped": {"frame_skip": 2, "obs_stacks": 2},
    "appended": {"last_action_to_obs": True, "last_reward_to_obs": True, "obs_stacks": 2},
    "imaged": {"grayscale": True, "resize_vis_obs": [4, 4], "obs_stacks": 2},
    "encoded": {"positional_encoding": True, "obs_stacks": 2},
    "scaled": {"reward_normalization": 2.0},
}
PARTS = [("image",), ("vector",), ("image", "vector")]


def _config(parts, fresh, wrappers) -> EnvironmentConfig:
    return EnvironmentConfig(
        type="Gymnasium",
        name="Reusing-v0",
        reset_params={"parts": parts, "fresh": fresh},
        **{"resize_vis_obs": [5, 6], **wrappers},
    )


@pytest.mark.parametrize("wrappers", WRAPPERS)
@pytest.mark.parametrize("parts", PARTS, ids="+".join)
def test_single_environments_give_the_same_observations(parts, wrappers):
    reusing, fresh = (
        make_single(_config(parts, each, WRAPPERS[wrappers]), 0) for each in (False, True)
    )
    actions = np.random.default_rng(0).integers(2, size=(60, 2))
    (ours, _), (theirs, _) = reusing.reset(seed=1), fresh.reset(seed=1)
    for seed, action in enumerate(actions):
        for key in theirs:
            np.testing.assert_array_equal(ours[key], theirs[key])
        # Both draw into the same arrays, so each observation is copied before the next is drawn.
        ours, *_ = reusing.step(action)
        ours = {key: array.copy() for key, array in ours.items()}
        theirs, _, terminated, truncated, _ = fresh.step(action)
        if terminated or truncated:
            ours = {key: array.copy() for key, array in reusing.reset(seed=seed)[0].items()}
            theirs, _ = fresh.reset(seed=seed)


@pytest.mark.parametrize("wrappers", WRAPPERS)
@pytest.mark.parametrize("parts", PARTS, ids="+".join)
def test_vector_environments_give_the_same_observations(parts, wrappers):
    reusing, fresh = (
        make_vector(_config(parts, each, WRAPPERS[wrappers]), 3, seed=2) for each in (False, True)
    )
    assert isinstance(reusing, SequentialEnvironment)
    actions = np.random.default_rng(0).integers(2, size=(80, 3, 2))
    runs = []
    for env in (reusing, fresh):
        observations, _ = env.reset()
        run = [observations]
        finals = 0
        for step, action in enumerate(actions):
            if step % 16 == 0:
                env.begin_rollout()
            observations, rewards, *_, infos = env.step(action)
            final = infos.get("final_obs", ())
            finals += sum(each is not None for each in final)
            run.append({"rewards": rewards, **observations})
            run.extend(each for each in final if each is not None)
        assert finals > 10
        runs.append(run)
    assert len(runs[0]) == len(runs[1])
    for ours, theirs in zip(*runs, strict=True):
        for key, array in theirs.items():
            np.testing.assert_array_equal(ours[key], array)
