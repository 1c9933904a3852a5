"""Learning curves beside Stable-Baselines3's: ``python -m benchmarks.learning ours TASK SEED``.

Both train with the hyperparameters of the RL Zoo of Stable-Baselines3, each with its own network,
and the peer with everything else that the zoo gives it.
"""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np

from benchmarks.curves import SEEDS, cell, overlap, points, returns_of
from benchmarks.measuring import measure
from benchmarks.training import SB3

WHO = ("ours", "peer")
POINTS = 50
TRAINING_SEEDS = 100_000


@dataclass(frozen=True)
class Task:
    """A task with the zoo's hyperparameters.

    Attributes:
        workers: number of environments.
        steps: of each in a rollout.
        updates: number of rollouts.
        mini_batches: in an epoch.
        epochs: passes over a rollout.
        trainer: further keys of neroRL's ``trainer`` section.
        schedules: learning rate, beta, clip range.
        model: neroRL's network.
        normalized: whether the zoo normalises observations and returns.
        policy: the peer's further options of its policy.
        peer: its further options.
    """

    workers: int
    steps: int
    updates: int
    mini_batches: int
    epochs: int
    trainer: dict[str, float]
    schedules: tuple[float, float, float]
    model: dict[str, Any]
    normalized: bool = False
    policy: dict[str, Any] = field(default_factory=dict)
    peer: dict[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The number of steps."""
        return f"{self.workers * self.steps * self.updates:,} steps"


SMALL = {"num_vec_encoder_units": 64, "num_hidden_units": 64}
OFTEN = {"value_coefficient": 0.5, "max_grad_norm": 0.5}
# The peer's defaults.
AS_THE_PEER = {"clip_value_loss": False, "adam_epsilon": 1.0e-5}
TASKS = {
    "Pendulum-v1": Task(
        workers=4,
        steps=1024,
        updates=25,
        mini_batches=64,
        epochs=10,
        trainer={"gamma": 0.9, "lamda": 0.95, **OFTEN},
        schedules=(1.0e-3, 0.0, 0.2),
        model=SMALL,
        peer={"use_sde": True, "sde_sample_freq": 4},
    ),
    "LunarLander-v3": Task(
        workers=16,
        steps=1024,
        updates=31,
        mini_batches=256,
        epochs=4,
        trainer={"gamma": 0.999, "lamda": 0.98, **OFTEN},
        schedules=(3.0e-4, 0.01, 0.2),
        model=SMALL,
    ),
    "Hopper-v5": Task(
        workers=1,
        steps=512,
        updates=600,
        mini_batches=16,
        epochs=5,
        trainer={
            "gamma": 0.999,
            "lamda": 0.99,
            "value_coefficient": 0.835671,
            "max_grad_norm": 0.7,
        },
        schedules=(9.80828e-05, 0.00229519, 0.2),
        model={"vec_encoder": "none", "num_hidden_units": 256, "log_std_init": -2.0},
        normalized=True,
        policy={"log_std_init": -2.0, "ortho_init": False, "relu": True, "net_arch": [256, 256]},
    ),
}


def config_of(name: str) -> dict[str, Any]:
    """Returns neroRL's config of a task."""
    task = TASKS[name]
    rate, beta, clip_range = task.schedules
    return {
        "environment": {
            "type": "Gymnasium",
            "name": name,
            "normalize_vector_obs": task.normalized,
            "normalize_returns": task.normalized,
            "reset_params": {"start-seed": 0, "num-seeds": TRAINING_SEEDS},
        },
        "model": {"num_hidden_layers": 1, "recurrence": None, **task.model},
        "sampler": {"n_workers": task.workers, "worker_steps": task.steps},
        "trainer": {
            "updates": task.updates,
            "epochs": task.epochs,
            "n_mini_batches": task.mini_batches,
            "learning_rate_schedule": {"initial": rate},
            "beta_schedule": {"initial": beta},
            "clip_range_schedule": {"initial": clip_range},
            **AS_THE_PEER,
            **task.trainer,
        },
    }


def train_ours(name: str, seed: int) -> list[float]:
    """Trains, and returns the mean return of the last 100 episodes after each update."""
    return returns_of(config_of(name), seed)


def train_peer(name: str, seed: int) -> list[float]:
    """Trains the peer, and returns the same."""
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecMonitor, VecNormalize

    torch.set_num_threads(1)
    task = TASKS[name]
    returns: list[float] = []

    class Note(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            recent = [episode["r"] for episode in self.model.ep_info_buffer or []]
            returns.append(float(np.mean(recent)) if recent else float("nan"))

    environments: VecEnv = DummyVecEnv([lambda: gymnasium.make(name)] * task.workers)
    environments = VecMonitor(environments)
    if task.normalized:
        environments = VecNormalize(environments, gamma=task.trainer["gamma"])
    rate, beta, clip_range = task.schedules
    policy = dict(task.policy)
    if policy.pop("relu", False):
        policy["activation_fn"] = torch.nn.ReLU
    model = PPO(
        "MlpPolicy",
        environments,
        n_steps=task.steps,
        batch_size=task.workers * task.steps // task.mini_batches,
        n_epochs=task.epochs,
        gamma=task.trainer["gamma"],
        gae_lambda=task.trainer["lamda"],
        vf_coef=task.trainer["value_coefficient"],
        max_grad_norm=task.trainer["max_grad_norm"],
        learning_rate=rate,
        ent_coef=beta,
        clip_range=clip_range,
        policy_kwargs=policy,
        seed=seed,
        device="cpu",
        **task.peer,
    )
    model.learn(task.workers * task.steps * task.updates, callback=Note())
    return returns


def run(rounds: int) -> dict[str, Any]:  # noqa: ARG001 - seeds are its rounds
    """Trains all seeds of all tasks, two at a time with one thread each."""
    jobs = [(who, task, str(seed)) for task in TASKS for seed in range(SEEDS) for who in WHO]
    with ThreadPoolExecutor(2) as pool:
        curves = dict(zip(jobs, pool.map(lambda job: measure("learning", *job), jobs), strict=True))
    results: dict[str, Any] = {}
    for task in TASKS:
        results[task] = {}
        for who in WHO:
            of_who = [curves[who, task, str(seed)] for seed in range(SEEDS)]
            stride = max(1, len(of_who[0]) // POINTS)
            results[task][who] = {
                **points(of_who),
                "updates_between_points": stride,
                "curves": [
                    [None if np.isnan(value) else round(value, 2) for value in curve[::stride]]
                    for curve in of_who
                ],
            }
    return results


def table(results: dict[str, Any]) -> str:
    """Returns a table with a row for each task and point of its curve."""
    lines = [
        f"| mean return of {SEEDS} seeds (95 % interval) | neroRL | {SB3} | overlap or better |",
        "|---|---|---|---|",
    ]
    for task, of_task in results.items():
        for point, title in (("half", "half-way"), ("last", f"after {TASKS[task].title}")):
            ours, peers = of_task["ours"][point], of_task["peer"][point]
            good = "yes" if overlap(ours, peers) or ours["mean"] > peers["mean"] else "no"
            lines.append(f"| {task}, {title} | {cell(ours)} | {cell(peers)} | {good} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    trainer = train_ours if sys.argv[1] == "ours" else train_peer
    print(json.dumps(trainer(sys.argv[2], int(sys.argv[3]))))
