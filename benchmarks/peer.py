"""Trains one workload with Stable-Baselines3: ``python -m benchmarks.peer W1 3``.

The layers are ours: the encoder, a linear layer of 512, and a hidden layer of 512 for each head.
Recurrent policies have an LSTM, because sb3-contrib has no GRU.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import gymnasium
import numpy as np
from minigrid.core.constants import OBJECT_TO_IDX
from minigrid.wrappers import ImgObsWrapper, RGBImgPartialObsWrapper
from sb3_contrib import RecurrentPPO
from stable_baselines3 import PPO
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import DummyVecEnv
from torch import Tensor, nn

from benchmarks.measuring import SPEED, peak_mib
from benchmarks.workloads import (
    BATCH,
    EPOCHS,
    MAX_EPISODE_STEPS,
    MINI_BATCHES,
    STEPS,
    WORKERS,
    WORKLOADS,
    Workload,
)

CLASSES = ("agent", "empty", "wall", "key", "ball", "lava")


class OneHot(gymnasium.ObservationWrapper):
    """Shows the view as a one-hot vector."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self._table = np.zeros((max(OBJECT_TO_IDX.values()) + 1, len(CLASSES)), np.float32)
        for index, name in enumerate(CLASSES):
            self._table[OBJECT_TO_IDX[name], index] = 1.0
        length = env.unwrapped.agent_view_size**2 * len(CLASSES)
        self.observation_space = gymnasium.spaces.Box(0, 1, (length,), np.float32)

    def observation(self, observation: Any) -> np.ndarray:
        """Returns the one-hot cells."""
        return self._table[observation["image"][:, :, 0]].reshape(-1)


class Features(BaseFeaturesExtractor):
    """The encoder of a workload, then a linear layer."""

    def __init__(self, space: gymnasium.spaces.Box, units: int) -> None:
        super().__init__(space, units)
        layers: list[nn.Module]
        if len(space.shape) == 3:
            layers = [nn.Conv2d(space.shape[0], 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2)]
            layers += [nn.ReLU(), nn.Conv2d(64, 64, 3, 1), nn.ReLU(), nn.Flatten()]
            layers += [nn.Linear(64 * 7 * 7, units), nn.ReLU()]
        else:
            layers = [nn.Linear(space.shape[0], 128), nn.ReLU(), nn.Linear(128, units), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, observation: Tensor) -> Tensor:
        """Returns the features."""
        return self.layers(observation)


def make(environment: dict[str, Any]) -> gymnasium.Env[Any, Any]:
    """Makes one environment of the real packages."""
    if not environment["type"].startswith("Minigrid"):
        return gymnasium.make(environment["name"], disable_env_checker=True)
    view_size = environment["reset_params"]["view-size"]
    env = gymnasium.make(
        environment["name"], agent_view_size=view_size, max_episode_steps=MAX_EPISODE_STEPS
    )
    if environment["type"] == "MinigridVec":
        return OneHot(env)
    return ImgObsWrapper(RGBImgPartialObsWrapper(env, tile_size=84 // view_size))


def make_model(workload: Workload, workers: int, steps: int, **options: Any) -> PPO | RecurrentPPO:
    """Makes the model of a workload, with its environments.

    Args:
        workload: environment and memory.
        workers: number of environments, which are stepped one after the other.
        steps: number of steps of each environment in a rollout.
        options: further hyperparameters.
    """
    environments = DummyVecEnv([lambda: make(workload.environment)] * workers)
    common: dict[str, Any] = {
        "n_steps": steps,
        "n_epochs": EPOCHS,
        "batch_size": workers * steps // MINI_BATCHES,
        "device": "cpu",
        "seed": 0,
        **options,
    }
    features: dict[str, Any] = {"features_extractor_class": Features}
    if workload.recurrence is None:
        features["features_extractor_kwargs"] = {"units": 512}
        features["net_arch"] = {"pi": [512], "vf": [512]}
        return PPO("MlpPolicy", environments, policy_kwargs=features, **common)
    size = workload.recurrence["hidden_state_size"]
    features["features_extractor_kwargs"] = {"units": size}
    features["net_arch"] = {"pi": [512, 512], "vf": [512, 512]}
    memory = {"lstm_hidden_size": size, "shared_lstm": True, "enable_critic_lstm": False}
    policy = {**features, **memory}
    return RecurrentPPO("MlpLstmPolicy", environments, policy_kwargs=policy, **common)


def main(name: str, updates: int) -> None:
    """Measures the updates after the first."""
    model = make_model(WORKLOADS[name], WORKERS, STEPS)
    model.learn(BATCH)
    began = time.perf_counter()
    model.learn(BATCH * updates, reset_num_timesteps=False)
    speed = BATCH * updates / (time.perf_counter() - began)
    print(json.dumps({SPEED: speed, "peak_mib": peak_mib()}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
