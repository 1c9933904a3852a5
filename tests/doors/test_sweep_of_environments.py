"""A sweep over environments builds each job's network for the spaces of its own."""

from __future__ import annotations

import csv

import torch

from neroRL.training import checkpoint as checkpoints
from tests.conftest import TINY

# Numbers that are observed, and parameters of the policy: logits, or means.
SPACES = {
    "CartPole-v1": (4, 2),
    "Pendulum-v1": (3, 1),
    "Blackjack-v1": (32 + 11 + 2, 2),
    "FrozenLake-v1": (16, 4),
    "MountainCarContinuous-v0": (2, 1),
}
NUMBERS = {"Pendulum-v1", "MountainCarContinuous-v0"}


def test_each_job_has_its_own_shapes(door, tmp_path):
    config = TINY.replace("type: CartPole\n  name: CartPole-v1", "type: Gymnasium")
    (tmp_path / "base.yaml").write_text(config)
    names = ", ".join(SPACES)
    (tmp_path / "tune.yaml").write_text(f"hyperparameters:\n  environment.name: [{names}]\n")
    arguments = ["--config=base.yaml", "--tune=tune.yaml", "--run-id=run", "--out=out"]
    more = ["trainer.updates=1", "hydra.sweeper.n_jobs=2", "device=cpu"]
    outcome = door("ntune", [*arguments, *more])
    assert outcome.status == 0, outcome.err
    with (tmp_path / "out/run/results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["environment.name"] for row in rows] == list(SPACES)
    assert {row["status"] for row in rows} == {"completed"}
    for row in rows:
        name = row["environment.name"]
        path = checkpoints.checkpoint_path(tmp_path / "out/run" / row["directory"], "run", 1)
        weights = checkpoints.load(path, torch.device("cpu")).model
        policy = "heads.policy.mean.weight" if name in NUMBERS else "heads.policy.weight"
        (observed,) = [
            tensor.shape[1]
            for key, tensor in weights.items()
            if key.startswith("encoder.vector") and tensor.ndim == 2
        ]
        assert (observed, len(weights[policy])) == SPACES[name]
        assert ("heads.policy.log_std" in weights) == (name in NUMBERS)
