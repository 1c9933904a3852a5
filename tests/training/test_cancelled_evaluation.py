"""Tests signals that arrive in or before an evaluation: the training saves at once."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import gymnasium
import pytest
import torch
from gymnasium.envs.classic_control import CartPoleEnv

from neroRL.config.checks import build
from neroRL.errors import Interrupted
from neroRL.training import checkpoint as checkpoints
from neroRL.training.trainer import train

SEEDS = [100_007, 100_008]
UPDATES, STEPS = 4, 16


class Signalling(CartPoleEnv):
    """Ends its process at one step: the n-th of a training or of an evaluation, counted from 1."""

    signal_at: tuple[str, int] | None = None
    counts: dict[str, int]

    def reset(self, *, seed=None, options=None):
        self._playing = "evaluation" if seed in SEEDS else "training"
        return super().reset(seed=seed, options=options)

    def step(self, action):
        counts = Signalling.counts
        counts[self._playing] = counts.get(self._playing, 0) + 1
        if Signalling.signal_at == (self._playing, counts[self._playing]):
            os.kill(os.getpid(), signal.SIGTERM)
        return super().step(action)


@pytest.fixture(autouse=True)
def environment():
    gymnasium.register("Signalling-v0", Signalling)
    Signalling.signal_at, Signalling.counts = None, {}
    yield
    gymnasium.registry.pop("Signalling-v0")


class Recorded:
    """The statistics of a training, in which a continued one replaces later ones."""

    def __init__(self) -> None:
        self.seen: dict[int, dict[str, float]] = {}

    def begin(self, update):
        self.seen = {number: values for number, values in self.seen.items() if number <= update}
        assert list(self.seen) == list(range(1, update + 1))

    def scalars(self, update, env_steps, values):
        assert update not in self.seen
        assert env_steps == update * STEPS
        kept = {tag: value for tag, value in values.items() if not tag.startswith("time/")}
        self.seen[update] = kept

    def flush(self):
        pass


def _config(updates=UPDATES, interval=2):
    return build(
        {
            "environment": {"type": "Gymnasium", "name": "Signalling-v0"},
            "model": {"num_vec_encoder_units": 8, "num_hidden_units": 8, "checkpoint_interval": 9},
            "sampler": {"n_workers": 1, "worker_steps": STEPS},
            "trainer": {"updates": updates, "n_mini_batches": 2},
            "evaluation": {"evaluate": True, "n_workers": 1, "seeds": SEEDS, "interval": interval},
            "seed": 3,
            "threads": 1,
            "device": "cpu",
        }
    )


def _checkpoints(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "checkpoints").iterdir())


def _content(directory: Path, update: int):
    path = checkpoints.checkpoint_path(directory, "default", update)
    return checkpoints.load(path, torch.device("cpu"))


@pytest.mark.parametrize(
    ("playing", "step", "interval", "update"),
    [
        ("training", STEPS + 3, 2, 2),  # before the first evaluation
        ("evaluation", 1, 2, 2),
        ("evaluation", 12, 2, 2),
        ("training", 3 * STEPS + 1, 2, 4),  # before the last one
        ("evaluation", 12, 9, 4),
    ],
)
def test_the_training_saves_at_once_and_continues_as_if_undisturbed(
    tmp_path, playing, step, interval, update
):
    config = _config(interval=interval)
    whole, disturbed = Recorded(), Recorded()
    first = train(config, tmp_path / "whole", summaries=whole)
    Signalling.signal_at, Signalling.counts = (playing, step), {}
    with pytest.raises(Interrupted):
        train(config, tmp_path / "other", summaries=disturbed)
    assert Signalling.counts["training"] == update * STEPS
    if playing == "evaluation":
        assert Signalling.counts["evaluation"] == step
    assert _checkpoints(tmp_path / "other") == [f"default-{update}.pt"]
    assert list(disturbed.seen) == list(range(1, update))
    Signalling.signal_at = None
    path = checkpoints.checkpoint_path(tmp_path / "other", "default", update)
    second = train(config, tmp_path / "other", checkpoint=path, summaries=disturbed)
    assert whole.seen == disturbed.seen
    assert "evaluation/reward_mean" in disturbed.seen[update]
    assert (first.objective, first.updates) == (second.objective, second.updates)
    ours, theirs = _content(tmp_path / "whole", 4), _content(tmp_path / "other", 4)
    assert all(torch.equal(ours.model[name], theirs.model[name]) for name in ours.model)
    assert ours.untold is theirs.untold is None


def test_a_cancelled_evaluation_of_the_last_update_is_none_of_a_longer_training(tmp_path, caplog):
    """Update 3 is evaluated only as the last one."""
    Signalling.signal_at = "training", 2 * STEPS + 1
    with pytest.raises(Interrupted):
        train(_config(updates=3), tmp_path)
    whole, continued = Recorded(), Recorded()
    Signalling.signal_at = None
    train(_config(updates=5), tmp_path / "whole", summaries=whole)
    continued.seen = {update: whole.seen[update] for update in (1, 2)}
    path = checkpoints.checkpoint_path(tmp_path, "default", 3)
    train(_config(updates=5), tmp_path, checkpoint=path, summaries=continued)
    # Its learning rate does not decay, so the longer training is the same until there.
    assert whole.seen == continued.seen
    assert "evaluation/reward_mean" not in continued.seen[3]
    assert "complete already" not in caplog.text
