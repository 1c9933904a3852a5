"""Tests trainings whose products are bfloat16, from the config to the weights that they leave."""

from __future__ import annotations

from unittest import mock

import pytest
import torch

from neroRL.config.checks import build
from neroRL.environments.factory import specification
from neroRL.evaluation.subjects import read_subject
from neroRL.models.bfloat16 import LinearInBfloat16
from neroRL.training import checkpoint as checkpoints
from neroRL.training import precision
from neroRL.training.compatibility import differences
from neroRL.training.trainer import Trainer, train

CPU = torch.device("cpu")
CARTPOLE = {"type": "CartPole", "name": "CartPole-v1", "reset_params": {"mask-velocity": True}}
IMAGE = {"type": "Minigrid", "name": "MiniGrid-Empty-Random-5x5-v0", "resize_vis_obs": [36, 36]}
TASKS = {
    "numbers": (CARTPOLE, {}),
    "gru": (CARTPOLE, {"recurrence": {"hidden_state_size": 8, "sequence_length": 4}}),
    "lstm": (
        CARTPOLE,
        {"recurrence": {"layer_type": "lstm", "hidden_state_size": 128, "sequence_length": 4}},
    ),
    "transformer": (
        CARTPOLE,
        {"transformer": {"num_blocks": 2, "embed_dim": 128, "memory_length": 10}},
    ),
    "image": (IMAGE, {}),
    "residual": (IMAGE, {"vis_encoder": "rescnn"}),
}


def _config(task="numbers", updates=2, **top):
    environment, model = TASKS[task]
    return build(
        {
            "environment": environment,
            "model": {"num_hidden_layers": 1, "num_hidden_units": 512, **model},
            "sampler": {"n_workers": 3, "worker_steps": 64},  # mini batches of 96 rows
            "trainer": {"updates": updates, "n_mini_batches": 2},
            "seed": 3,
            "threads": 1,
            "device": "cpu",
            "precision": "bfloat16",
            **top,
        }
    )


def _trained(directory, config, checkpoint=None):
    result = train(config, directory, checkpoint=checkpoint)
    path, content = checkpoints.load_latest(directory, CPU)
    return result, content, path


def _differ(one, other):
    return [name for name in one.model if not torch.equal(one.model[name], other.model[name])]


@pytest.mark.parametrize(
    "task",
    ["gru", *(pytest.param(task, marks=pytest.mark.slow) for task in TASKS if task != "gru")],
)
def test_trains_in_bfloat16_the_same_each_time_and_after_a_resume(task, tmp_path):
    with mock.patch.object(
        LinearInBfloat16, "rounded", autospec=True, side_effect=LinearInBfloat16.rounded
    ) as rounded:
        result, whole, _ = _trained(tmp_path / "whole", _config(task))
    assert rounded.called
    assert (result.precision, whole.precision) == ("bfloat16", "bfloat16")
    *_, half = _trained(tmp_path / "half", _config(task, 1))
    _, continued, _ = _trained(tmp_path / "half", _config(task), half)
    assert _differ(whole, continued) == []
    exact, plain, _ = _trained(tmp_path / "plain", _config(task, precision="float32"))
    assert exact.precision == "float32"
    assert _differ(whole, plain)
    for name, weights in whole.model.items():
        assert weights.dtype == plain.model[name].dtype
        # The first rollouts are nearly the same, and so are steps of 3e-4 for each weight.
        assert (weights - plain.model[name]).abs().max() < 0.01, name


def test_float32_is_the_default_and_has_no_layer_in_bfloat16(tmp_path):
    config = _config(precision="float32")
    assert build({"environment": CARTPOLE}).precision == "float32"
    trainer = Trainer(config, tmp_path)
    assert not any(isinstance(one, LinearInBfloat16) for one in trainer.model.modules())
    trainer.close()


@pytest.mark.parametrize("asked", ["bfloat16", "auto"])
def test_a_training_without_a_layer_that_is_large_enough_is_one_in_float32(
    asked, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(precision, "bfloat16_pays", lambda *_: True)
    small = {"sampler": {"n_workers": 1, "worker_steps": 32}, "trainer": {"updates": 2}}
    result, content, path = _trained(tmp_path / "small", _config(**small, precision=asked))
    assert (result.precision, content.precision) == ("float32", "float32")
    assert "no layer is large enough for bfloat16 with mini batches of 8 steps" in caplog.text
    _, plain, _ = _trained(tmp_path / "plain", _config(**small, precision="float32"))
    assert _differ(content, plain) == []
    assert read_subject(path).precision == "float32"
    small["trainer"] = {"updates": 3}
    _trained(tmp_path / "on", _config(**small, precision=asked), path)
    assert "changed since the checkpoint: precision" not in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("pays", [True, False])
def test_auto_records_what_it_measured_and_a_continued_training_keeps_it(
    pays, tmp_path, monkeypatch
):
    monkeypatch.setattr(precision, "bfloat16_pays", lambda *_: pays)
    result, _, path = _trained(tmp_path, _config(updates=1, precision="auto"))
    chosen = "bfloat16" if pays else "float32"
    assert result.precision == chosen
    monkeypatch.setattr(precision, "bfloat16_pays", lambda *_: not pays)
    result, content, _ = _trained(tmp_path, _config(precision="auto"), path)
    assert (result.precision, content.precision) == (chosen, chosen)
    _, plain, _ = _trained(tmp_path / "named", _config(precision=chosen))
    assert _differ(content, plain) == []


def test_the_measurement_leaves_the_network_and_all_random_numbers_alone(tmp_path):
    trainer = Trainer(_config(precision="float32"), tmp_path)
    before = {name: weights.clone() for name, weights in trainer.model.state_dict().items()}
    state = torch.get_rng_state()
    assert precision.bfloat16_pays(trainer.model, 64) in (True, False)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], now) for name, now in trainer.model.state_dict().items())
    assert all(parameter.grad is None for parameter in trainer.model.parameters())
    trainer.close()


def test_another_precision_is_another_training(tmp_path):
    *_, path = _trained(tmp_path, _config(updates=1))
    content = checkpoints.load(path, CPU)
    here = {**content.config, "precision": "float32"}
    assert list(differences(content.config, here)) == ["precision"]


def test_a_continued_training_tells_that_its_precision_changes(tmp_path, caplog):
    told = "precision: float32 there, bfloat16 here"
    *_, path = _trained(tmp_path, _config(updates=1, precision="float32"))
    for here in ("float32", "auto"):
        result, *_ = _trained(tmp_path / here, _config(precision=here), path)
        assert result.precision == "float32"
    assert "precision:" not in caplog.text
    result, *_ = _trained(tmp_path / "low", _config(), path)
    assert result.precision == "bfloat16"
    assert f"changed since the checkpoint: {told}" in caplog.text


def test_what_auto_chose_before_counts_and_not_the_word(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(precision, "bfloat16_pays", lambda *_: False)
    *_, path = _trained(tmp_path, _config(updates=1, precision="auto"))
    _trained(tmp_path / "same", _config(precision="float32"), path)
    assert "precision:" not in caplog.text


def test_a_checkpoint_from_before_there_was_a_precision_goes_on_in_float32(tmp_path, monkeypatch):
    *_, path = _trained(tmp_path, _config(updates=1, precision="float32"))
    content = torch.load(path, weights_only=True)
    del content["precision"], content["config"]["precision"]
    torch.save(content, path)
    monkeypatch.setattr(precision, "bfloat16_pays", lambda *_: True)
    result, *_ = _trained(tmp_path / "on", _config(precision="auto"), path)
    assert result.precision == "float32"


@pytest.mark.parametrize("chosen", ["bfloat16", "float32"])
def test_a_policy_plays_in_the_precision_that_it_was_trained_in(chosen, tmp_path):
    *_, path = _trained(tmp_path, _config(updates=1, precision=chosen))
    subject = read_subject(path)
    model = subject.model(specification(subject.config.environment))
    lowered = any(isinstance(one, LinearInBfloat16) for one in model.modules())
    assert lowered == (chosen == "bfloat16")
    # Which layers those are depends on the mini batches of the training, not on where it plays.
    other = tmp_path / "other.yaml"
    other.write_text(
        "environment: {type: CartPole, name: CartPole-v1}\n"
        "sampler: {n_workers: 1, worker_steps: 8}\ntrainer: {n_mini_batches: 4}\n"
    )
    elsewhere = read_subject(path, other).model(specification(subject.config.environment))
    assert [type(one) for one in elsewhere.modules()] == [type(one) for one in model.modules()]
