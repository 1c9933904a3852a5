"""Trains one workload with Stable-Baselines3: ``python -m benchmarks.peer W1 3``.

The layers are ours: the encoder, a hidden layer, and a hidden layer of 512 for each head.
Recurrent policies have an LSTM, because sb3-contrib has no GRU.
"""

from __future__ import annotations

import itertools
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
from stable_baselines3.common.atari_wrappers import AtariWrapper
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecFrameStack, VecNormalize
from torch import Tensor, nn

from benchmarks.measuring import SPEED, peak_mib
from benchmarks.workloads import MAX_EPISODE_STEPS, WORKLOADS, Workload
from neroRL.config.schema import EnvironmentConfig
from neroRL.environments import registry

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
    """The encoder of a workload, then a linear layer.

    Args:
        space: of the observations.
        units: of the linear layer.
        encoder_units: of the encoder of a vector; 0 without one.
    """

    def __init__(self, space: gymnasium.spaces.Box, units: int, encoder_units: int = 128) -> None:
        super().__init__(space, units)
        layers: list[nn.Module]
        if len(space.shape) == 3:
            layers = [nn.Conv2d(space.shape[0], 32, 8, 4), nn.ReLU(), nn.Conv2d(32, 64, 4, 2)]
            layers += [nn.ReLU(), nn.Conv2d(64, 64, 3, 1), nn.ReLU(), nn.Flatten()]
            layers += [nn.Linear(64 * 7 * 7, units), nn.ReLU()]
        else:
            sizes = [space.shape[0], *filter(None, [encoder_units]), units]
            layers = [
                layer
                for inputs, outputs in itertools.pairwise(sizes)
                for layer in (nn.Linear(inputs, outputs), nn.ReLU())
            ]
        self.layers = nn.Sequential(*layers)

    def forward(self, observation: Tensor) -> Tensor:
        """Returns the features."""
        return self.layers(observation)


def make(environment: dict[str, Any]) -> gymnasium.Env[Any, Any]:
    """Makes one environment of the real packages."""
    if environment["type"] == "Atari":
        registry.check(EnvironmentConfig(**environment))  # registers the games
        game = gymnasium.make(environment["name"], frameskip=1, disable_env_checker=True)
        return AtariWrapper(game, frame_skip=environment["frame_skip"])
    if not environment["type"].startswith("Minigrid"):
        env = gymnasium.make(environment["name"], disable_env_checker=True)
        return _masked(env) if environment.get("reset_params", {}).get("mask-velocity") else env
    view_size = environment["reset_params"]["view-size"]
    env = gymnasium.make(
        environment["name"], agent_view_size=view_size, max_episode_steps=MAX_EPISODE_STEPS
    )
    if environment["type"] == "MinigridVec":
        return OneHot(env)
    return ImgObsWrapper(RGBImgPartialObsWrapper(env, tile_size=84 // view_size))


def _masked(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """Returns CartPole without velocities."""
    seen = np.array([1, 0, 1, 0], np.float32)
    space = env.observation_space
    return gymnasium.wrappers.TransformObservation(env, lambda state: state * seen, space)


def make_model(workload: Workload, workers: int, steps: int, **options: Any) -> PPO | RecurrentPPO:
    """Makes the model of a workload, with its environments.

    Args:
        workload: environment and memory.
        workers: number of environments, which are stepped one after the other.
        steps: number of steps of each environment in a rollout.
        options: further hyperparameters.
    """
    environments = _environments(workload, workers)
    trainer = workload.trainer
    common: dict[str, Any] = {
        "n_steps": steps,
        "n_epochs": workload.epochs,
        "batch_size": workers * steps // workload.mini_batches,
        "gamma": trainer.get("gamma", 0.99),
        "gae_lambda": trainer.get("lamda", 0.95),
        "max_grad_norm": trainer.get("max_grad_norm", 0.5),
        "device": "cpu",
        "seed": 0,
        **options,
    }
    features: dict[str, Any] = {"features_extractor_class": Features}
    if workload.recurrence is None:
        encoder = {"units": workload.model.get("num_hidden_units", 512)}
        if len(environments.observation_space.shape) == 1:
            encoder_units = workload.model.get("num_vec_encoder_units", 128)
            has_encoder = workload.model.get("vec_encoder") != "none"
            encoder["encoder_units"] = encoder_units if has_encoder else 0
        features["features_extractor_kwargs"] = encoder
        features["log_std_init"] = workload.model.get("log_std_init", 0.0)
        features["net_arch"] = {"pi": [512], "vf": [512]}
        return PPO("MlpPolicy", environments, policy_kwargs=features, **common)
    size = workload.recurrence["hidden_state_size"]
    features["features_extractor_kwargs"] = {"units": size}
    sizes = [workload.model.get("num_hidden_units", 512), 512]
    features["net_arch"] = {"pi": sizes, "vf": sizes}
    memory = {"lstm_hidden_size": size, "shared_lstm": True, "enable_critic_lstm": False}
    policy = {**features, **memory}
    return RecurrentPPO("MlpLstmPolicy", environments, policy_kwargs=policy, **common)


def _environments(workload: Workload, workers: int) -> VecEnv:
    """Makes the environments with the wrappers of all of them, which step one after the other."""
    environment = workload.environment
    made: VecEnv = DummyVecEnv([lambda: make(environment)] * workers)
    if environment.get("obs_stacks", 1) > 1:
        made = VecFrameStack(made, environment["obs_stacks"])
    if environment.get("normalize_vector_obs"):
        made = VecNormalize(made, gamma=workload.trainer["gamma"])
    return made


def main(name: str, updates: int) -> None:
    """Measures the updates after the first."""
    workload = WORKLOADS[name]
    model = make_model(workload, workload.workers, workload.steps)
    model.learn(workload.batch)
    began = time.perf_counter()
    model.learn(workload.batch * updates, reset_num_timesteps=False)
    speed = workload.batch * updates / (time.perf_counter() - began)
    print(json.dumps({SPEED: speed, "peak_mib": peak_mib()}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
