"""Holds what the docs say of Stable-Baselines3: what it computes alike, and what differs."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from gymnasium import spaces

from neroRL.config import Config
from neroRL.environments.specification import Continuous
from neroRL.models.distributions.categorical import Categoricals
from neroRL.models.distributions.gaussian import Gaussian
from neroRL.training.advantages import generalised_advantages
from neroRL.training.losses import Coefficients, Taken, means, ppo_loss
from neroRL.training.update import normalised

stable_baselines3 = pytest.importorskip("stable_baselines3")
CLIP, BETA, VALUE = 0.2, 0.01, 0.5


def _collected(name):
    """A model of theirs with a rollout of 64 steps, whose policy has moved a little since."""
    model = stable_baselines3.PPO(
        "MlpPolicy", name, n_steps=64, batch_size=64, n_epochs=1, clip_range=CLIP, ent_coef=BETA,
        vf_coef=VALUE, max_grad_norm=1e9, seed=3, device="cpu",
    )  # fmt: skip
    model.learn(64)  # makes the logger
    _, callback = model._setup_learn(64, None)
    assert model.collect_rollouts(model.env, callback, model.rollout_buffer, 64)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.policy.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    return model


@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1"])
def test_the_loss_has_the_same_gradient(name, monkeypatch):
    """Of their whole network, with choices and with numbers; their values are not clipped."""
    model = _collected(name)
    policy = model.policy
    (batch,) = model.rollout_buffer.get(64)
    latent, of_value = policy.mlp_extractor(policy.extract_features(batch.observations))
    parameters, values = policy.action_net(latent), policy.value_net(of_value)
    distribution, actions = Categoricals((2,)), batch.actions.long()
    if isinstance(model.action_space, spaces.Box):
        parameters = torch.cat((parameters, policy.log_std.expand_as(parameters)), dim=1)
        distribution, actions = Gaussian(Continuous((-2.0,), (2.0,)), 0.0), batch.actions
    taken = Taken(
        actions, batch.old_log_prob[:, None], batch.old_values,
        normalised(batch.advantages), batch.returns,
    )  # fmt: skip
    outputs = torch.cat((parameters, values), dim=1)
    coefficients = Coefficients(CLIP, BETA, VALUE, clip_value_loss=False)
    gradient, terms = ppo_loss(outputs, distribution, taken, coefficients)
    loss = means([terms], CLIP)
    names = [key for key, _ in policy.named_parameters()]
    ours = torch.autograd.grad(outputs, list(policy.parameters()), gradient)
    monkeypatch.setattr(policy.optimizer, "step", lambda: None)
    model.train()
    logged = model.logger.name_to_value
    assert loss.policy.item() == pytest.approx(-logged["train/policy_gradient_loss"], rel=1e-4)
    assert loss.value.item() == pytest.approx(logged["train/value_loss"], rel=1e-4)
    assert loss.entropy.item() == pytest.approx(-logged["train/entropy_loss"], rel=1e-4)
    assert loss.kl_divergence.item() == pytest.approx(logged["train/approx_kl"], rel=1e-3)
    assert 0.0 < loss.clip_fraction.item() == pytest.approx(logged["train/clip_fraction"])
    theirs = [parameter.grad for parameter in policy.parameters()]
    for key, mine, their in zip(names, ours, theirs, strict=True):
        torch.testing.assert_close(mine, their, msg=key, rtol=1e-4, atol=1e-5)


def test_advantages_are_the_same():
    generator = np.random.default_rng(2)
    rewards, values = generator.normal(size=(2, 9, 3)).astype(np.float32)
    ended = generator.random((9, 3)) < 0.3
    last = generator.normal(size=3).astype(np.float32)
    last_over = np.array([True, False, False])
    ended[-1] = last_over
    final = generator.normal(size=(9, 3)).astype(np.float32)  # of time limits
    box = spaces.Box(-1, 1, (1,))
    buffer = stable_baselines3.common.buffers.RolloutBuffer(
        9, box, box, device="cpu", gae_lambda=0.9, gamma=0.97, n_envs=3
    )
    for step in range(9):
        starts = ended[step - 1] if step else np.ones(3, bool)
        given = rewards[step] + 0.97 * final[step] * ended[step]
        zeros = np.zeros((3, 1), np.float32)
        buffer.add(zeros, zeros, given, starts, torch.tensor(values[step]), torch.zeros(3))
    buffer.compute_returns_and_advantage(torch.tensor(last), last_over)
    following = np.concatenate((values[1:], last[None]))
    next_values = np.where(ended, final, following)
    ours = generalised_advantages(rewards, values, next_values, ended, 0.97, 0.9)
    np.testing.assert_allclose(ours, buffer.advantages, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(ours + values, buffer.returns, rtol=1e-5, atol=1e-5)


def test_defaults_are_those_of_the_page():
    theirs = inspect.signature(stable_baselines3.PPO).parameters
    assert [theirs[key].default for key in ("n_steps", "batch_size", "n_epochs")] == [2048, 64, 10]
    assert [theirs[key].default for key in ("ent_coef", "vf_coef", "target_kl")] == [0.0, 0.5, None]
    config = Config()
    sampler, trainer = config.sampler, config.trainer
    assert (sampler.n_workers, sampler.worker_steps) == (16, 256)
    assert (trainer.n_mini_batches, trainer.epochs) == (4, 4)
    assert (trainer.beta_schedule.initial, trainer.value_coefficient) == (0.001, 0.25)
    policy = stable_baselines3.PPO("MlpPolicy", "Pendulum-v1", device="cpu").policy
    assert isinstance(policy.optimizer, torch.optim.Adam)
    (group,) = policy.optimizer.param_groups
    assert (group["eps"], group["weight_decay"]) == (1e-5, 0.0)
    assert policy.log_std.tolist() == [0.0]
    # Rows of an orthogonal matrix have the gain as their norm.
    assert policy.action_net.weight.norm().item() == pytest.approx(0.01, rel=1e-5)
    ours = Gaussian(Continuous((-2.0,), (2.0,)), config.model.log_std_init).layer(64)
    assert ours.mean.weight.norm().item() == pytest.approx(0.1, rel=1e-5)
    assert ours.log_std.tolist() == [0.0]
