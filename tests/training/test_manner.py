"""Compiling and saving memory change how a training computes, not what."""

from __future__ import annotations

import copy
import shutil

import numpy as np
import pytest
import torch

from neroRL.acting.actor import Actor
from neroRL.config.checks import build
from neroRL.environments.factory import make_vector
from neroRL.errors import UsageError
from neroRL.models.actor_critic import seeded_model
from neroRL.training import rollout as rollouts
from neroRL.training.manner import Manner
from neroRL.training.optimizer import FusedAdamW
from neroRL.training.schedules import hyperparameters
from neroRL.training.trainer import train
from neroRL.training.update import update

IMAGES = {
    "environment": {
        "type": "Minigrid",
        "name": "MiniGrid-Empty-Random-5x5-v0",
        "resize_vis_obs": [36, 36],
    },
    "model": {"num_hidden_layers": 1, "num_hidden_units": 8, "activation": "elu"},
    "sampler": {"n_workers": 2, "worker_steps": 16},
    "trainer": {"updates": 2, "n_mini_batches": 2},
    "seed": 3,
    "threads": 1,
    "device": "cpu",
}


class _Elsewhere(Actor):
    """An actor of a GPU, as far as where its observations are stored."""

    @property
    def device(self):
        return self._pretended

    @device.setter
    def device(self, device):
        self._pretended = device


def test_observations_that_stay_in_main_memory_train_the_same():
    config = build(IMAGES)
    environment = make_vector(config.environment, 2, seed=3)
    environment.restart()
    model = seeded_model(config.model, environment.specification, 3).double()
    actor = _Elsewhere(model, 2, torch.Generator().manual_seed(3))
    rollout = rollouts.collect(environment, actor, 16, config.trainer)
    features = rollouts.begin(environment, actor, 16)
    features.rows(environment.ids)
    actor.device = torch.device("cuda")
    stored = rollouts._table(features, actor, low_memory=True)
    assert stored["visual"].device.type == "cpu"
    assert stored["visual"].dtype == torch.uint8
    # The same frames, as fields on the model's device and as they are in main memory.
    frames = np.random.default_rng(0).integers(256, size=(1, 36, 36, 3)).astype(np.uint8)
    frames = np.repeat(frames, 1 + rollout.rows.max(), axis=0)
    frames[:, :4, :4] = np.arange(len(frames))[:, None, None, None]
    trained = []
    for table in ({"visual": torch.from_numpy(frames)}, model.encoder.table(
        {"visual": frames}, torch.device("cpu")
    )):  # fmt: skip
        mine = copy.deepcopy(model)
        update(
            mine, FusedAdamW(mine.parameters()), rollout._replace(observations=table),
            config.trainer, hyperparameters(config.trainer, 0), torch.Generator().manual_seed(0),
        )  # fmt: skip
        trained.append(mine.state_dict())
    for name, weights in trained[0].items():
        torch.testing.assert_close(weights, trained[1][name])
        assert not torch.equal(weights, model.state_dict()[name]) or "bias" in name


def test_low_memory_changes_nothing_without_a_gpu(tmp_path):
    plain, saving = (
        train(build(IMAGES), tmp_path / str(low), manner=Manner(low_memory=low))
        for low in (False, True)
    )
    weights = [
        torch.load(tmp_path / f"{low}/checkpoints/default-2.pt", weights_only=True)["model"]
        for low in (False, True)
    ]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    assert plain.reward_mean == saving.reward_mean


@pytest.mark.slow
def test_compiled_layers_train_the_same_policy(tmp_path):
    """Up to the last bits; and they are compiled indeed."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    losses = {}
    for compiled in (False, True):
        sink = _Losses()
        train(build(IMAGES), tmp_path / str(compiled), summaries=sink, manner=Manner(compiled))
        losses[compiled] = sink.seen
        frames = sum(torch._dynamo.utils.counters["frames"].values())
        assert (frames > 0) is compiled
    np.testing.assert_allclose(losses[True], losses[False], rtol=1e-4)
    keys = [
        torch.load(tmp_path / f"{one}/checkpoints/default-2.pt", weights_only=True)["model"].keys()
        for one in (False, True)
    ]
    assert keys[0] == keys[1]


class _Losses:
    def __init__(self) -> None:
        self.seen: list[float] = []

    def begin(self, update):
        pass

    def scalars(self, update, env_steps, values):
        self.seen.append(values["loss/value_loss"])

    def flush(self):
        pass


def test_compiling_needs_a_compiler(monkeypatch):
    Manner(compiled=True).check()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UsageError, match="--compile needs a C\\+\\+ compiler"):
        Manner(compiled=True).check()
