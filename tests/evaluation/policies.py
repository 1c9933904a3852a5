"""Trains tiny policies to evaluate and to watch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
from gymnasium import spaces

from neroRL.acting.player import Episode
from neroRL.acting.policy import Policy
from neroRL.config.checks import build
from neroRL.environments.specification import SingleEnvironment
from neroRL.records.results import JobResult
from neroRL.training.checkpoint import checkpoint_path
from neroRL.training.trainer import train

MEMORIES: dict[str, dict[str, Any]] = {
    "none": {},
    "gru": {"recurrence": {"hidden_state_size": 8, "hidden_state_init": "mean"}},
    "lstm": {"recurrence": {"hidden_state_size": 8, "layer_type": "lstm", "num_layers": 2}},
    "transformer": {"transformer": {"num_blocks": 2, "embed_dim": 8, "memory_length": 6}},
}
MEMORY = {
    "type": "MinigridVec",
    "name": "MiniGrid-MemoryS7-v0",
    "reset_params": {"max-episode-steps": 40},
}
MIXED = {"type": "Gymnasium", "name": "Mixed-v0"}


class Mixed(gymnasium.Env[Any, Any]):
    """Rewards the number of an action if its choice is 1; ends after 9 steps."""

    observation_space = spaces.Discrete(2)
    action_space = spaces.Dict({"a": spaces.Box(-2, 2, (2,)), "b": spaces.Discrete(3)})

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._left = 9
        return int(self.np_random.integers(2)), {}

    def step(self, action):
        self._left -= 1
        reward = float(action["a"].sum()) if action["b"] == 1 else 0.0
        return int(self.np_random.integers(2)), reward, False, self._left == 0, {}


gymnasium.register("Mixed-v0", Mixed)


def tiny_policy(
    directory: Path,
    memory: str = "none",
    environment: dict[str, Any] = MEMORY,
    *,
    updates: int = 2,
    seeds: tuple[int, ...] = (70, 71, 72),
) -> tuple[Path, JobResult]:
    """Trains one for some updates; returns its last checkpoint and its result."""
    config = build(
        {
            "environment": environment,
            "model": {
                "num_vec_encoder_units": 8,
                "num_hidden_layers": 1,
                "num_hidden_units": 8,
                "checkpoint_interval": 1,
                **MEMORIES[memory],
            },
            "evaluation": {"evaluate": True, "n_workers": 2, "seeds": list(seeds)},
            "sampler": {"n_workers": 2, "worker_steps": 32},
            "trainer": {
                "updates": updates,
                "n_mini_batches": 2,
                "learning_rate_schedule": {"initial": 0.01},
            },
            "seed": 5,
            "run_id": "run",
            "threads": 1,
            "device": "cpu",
        }
    )
    result = train(config, directory)
    result.write(directory)
    return checkpoint_path(directory, "run", updates), result


def played_alone(
    policy: Policy, environment: SingleEnvironment, episode: Episode
) -> dict[str, Any]:
    """Plays an episode by hand, as Python code does; returns what its last step tells."""
    observation, _ = environment.reset(seed=episode.seed)
    policy.reset(*episode)
    over, info = False, {}
    while not over:
        observation, _, terminated, truncated, info = environment.step(policy.act(observation))
        over = terminated or truncated
    return info
