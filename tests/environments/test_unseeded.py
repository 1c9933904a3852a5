"""After a resume, episodes that cannot be replayed start again; all others continue."""

from __future__ import annotations

import logging

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from neroRL.config.checks import build
from neroRL.config.schema import EnvironmentConfig
from neroRL.environments.factory import make_vector
from neroRL.training import checkpoint as checkpoints
from neroRL.training.trainer import Trainer, train

# Stands for the randomness of the machine, which no seed determines.
UNSEEDED = np.random.default_rng()
LENGTH = {"steps": 2000}


class Drifting(gymnasium.Env):
    """Observes its step and a random number; draws one quantity without using its seed.

    Args:
        unseeded: this quantity: ``length`` of the episode, ``observation`` or ``reward``; empty
            for none.
        only: the only episode seed for which it does so; negative for all.
    """

    observation_space = spaces.Box(-9999, 9999, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, unseeded="", only=-1):
        self._unseeded, self._only = unseeded, only

    def _generator(self, what):
        drawn = self._unseeded == what and self._only in (-1, self._seed)
        return UNSEEDED if drawn else self.np_random

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._seed, self._step = seed, 0
        self._length = int(self.np_random.integers(20, 2000))
        if self._unseeded == "length":
            self._length = LENGTH["steps"]
        return self._observe(), {}

    def _observe(self):
        return np.array([self._step, self._generator("observation").random()], np.float32)

    def step(self, action):
        if self._step >= self._length:
            raise RuntimeError("step() called after the episode ended")
        self._step += 1
        reward = float(self._generator("reward").random())
        return self._observe(), reward, self._step == self._length, False, {}


gymnasium.register("Drifting-v0", Drifting)


def _environment(**arguments) -> dict:
    return {"type": "Gymnasium", "name": "Drifting-v0", "reset_params": arguments}


def _training(**arguments):
    return build(
        {
            "environment": _environment(**arguments),
            "model": {
                "recurrence": {"hidden_state_size": 8, "sequence_length": 8},
                "checkpoint_interval": 1,
                "num_vec_encoder_units": 8,
                "num_hidden_units": 8,
            },
            "sampler": {"n_workers": 4, "worker_steps": 32},
            "trainer": {"updates": 6, "n_mini_batches": 2},
            "seed": 3,
            "threads": 1,
            "device": "cpu",
        }
    )


def _warnings(caplog) -> list[str]:
    found = [record for record in caplog.records if record.levelno == logging.WARNING]
    return [record.getMessage() for record in found]


@pytest.mark.parametrize("unseeded", ["length", "observation", "reward"])
def test_a_training_continues_and_reports_the_restart(unseeded, tmp_path, caplog, monkeypatch):
    config = _training(unseeded=unseeded)
    train(config, tmp_path)
    monkeypatch.setitem(LENGTH, "steps", 5)
    checkpoint = checkpoints.checkpoint_path(tmp_path, "default", 3)
    with caplog.at_level(logging.WARNING, "neroRL.environments"):
        outcome = train(config, tmp_path / "again", checkpoint=checkpoint)
    assert (outcome.status, outcome.updates) == ("completed", 6)
    assert outcome.env_steps == 6 * 4 * 32
    (message,) = _warnings(caplog)
    assert "Drifting-v0" in message
    assert "environments 0, 1, 2, 3 start again" in message


def test_a_seeded_environment_continues_bit_for_bit(tmp_path, caplog):
    config = _training()
    train(config, tmp_path)
    checkpoint = checkpoints.checkpoint_path(tmp_path, "default", 3)
    with caplog.at_level(logging.WARNING, "neroRL.environments"):
        train(config, tmp_path / "again", checkpoint=checkpoint)
    assert not _warnings(caplog)
    first, second = (
        checkpoints.load(checkpoints.checkpoint_path(where, "default", 6), torch.device("cpu"))
        for where in (tmp_path, tmp_path / "again")
    )
    for key, tensor in first.model.items():
        assert torch.equal(tensor, second.model[key])
    assert first.environment == second.environment


def test_only_episodes_whose_replay_differs_start_again():
    params = {"unseeded": "reward", "only": 11, "start-seed": 10, "num-seeds": 4}
    config = EnvironmentConfig(**_environment(**params))
    first = make_vector(config, 8, seed=0)
    first.restart()
    # Rewards of 10 steps, in a state that both kinds of episodes go through.
    for _ in range(10):
        first.advance(np.zeros((8, 1), np.int64))
    state = first.state_dict()
    drifts = np.array(state["episode_seeds"]) == 11
    assert 0 < drifts.sum() < 8
    second = make_vector(config, 8, seed=99)
    np.testing.assert_array_equal(second.load_state_dict(state), drifts)
    steps = second.table.at(second.ids)["vector"][:, 0]
    np.testing.assert_array_equal(steps, np.where(drifts, 0, 10))
    assert second.state_dict()["episode_seeds"] == state["episode_seeds"]
    played = [len(actions) for actions in second.state_dict()["episode_actions"]]
    np.testing.assert_array_equal(played, np.where(drifts, 0, 10))


def test_a_state_without_fingerprints_is_accepted():
    """Older checkpoints have none."""
    config = EnvironmentConfig(**_environment())
    first, second = (make_vector(config, 2, seed=seed) for seed in (0, 1))
    first.restart()
    for _ in range(5):
        first.advance(np.zeros((2, 1), np.int64))
    state = first.state_dict()
    del state["fingerprints"]
    assert not second.load_state_dict(state).any()
    assert second.state_dict() == first.state_dict()


def test_the_memory_starts_again_with_the_episode(tmp_path):
    params = {"unseeded": "reward", "only": 11, "start-seed": 10, "num-seeds": 4}
    config = _training(**params)
    trainer = Trainer(config, tmp_path)
    trainer.run(None, None)
    trainer.close()
    path = checkpoints.checkpoint_path(tmp_path, "default", 6)
    content = checkpoints.load(path, torch.device("cpu"))
    drifts = np.array(content.environment["episode_seeds"]) == 11
    under_way = np.array([len(each) > 0 for each in content.environment["episode_actions"]])
    assert (drifts & under_way).any()
    assert (~drifts & under_way).any()
    resumed = Trainer(config, tmp_path / "again", checkpoint=path)
    states = resumed.actor.state.state_dict()["states"]
    kept = content.memory["states"]
    for worker in np.flatnonzero(under_way):
        assert bool(resumed.actor.starts[worker]) is bool(drifts[worker])
        wanted = torch.zeros_like(kept[worker]) if drifts[worker] else kept[worker]
        assert torch.equal(states[worker], wanted)
    resumed.close()
