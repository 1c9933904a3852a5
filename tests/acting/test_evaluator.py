"""Tests that an evaluation plays each seed with a fresh memory."""

from __future__ import annotations

import pytest
import torch

from neroRL.acting.evaluator import evaluate
from neroRL.config.schema import EnvironmentConfig, ModelConfig, RecurrenceConfig
from neroRL.environments.factory import make_vector
from neroRL.models.actor_critic import ActorCritic

CARTPOLE = EnvironmentConfig(
    type="CartPole", name="CartPole-v1", reset_params={"mask-velocity": True}
)


@pytest.mark.parametrize("layer_type", ["gru", "lstm"])
@pytest.mark.parametrize("initial", ["zero", "one", "sample", "learned"])
def test_each_seed_starts_with_a_fresh_state(layer_type, initial):
    """Evaluations are the same whether or not training resets states."""
    played = {}
    for resets in (True, False):
        recurrence = RecurrenceConfig(
            layer_type=layer_type,
            hidden_state_size=8,
            hidden_state_init=initial,
            reset_hidden_state=resets,
        )
        config = ModelConfig(num_hidden_units=16, num_hidden_layers=1, recurrence=recurrence)
        environment = make_vector(CARTPOLE, 3, seed=0, episode_seeds=range(100, 108))
        torch.manual_seed(4)
        model = ActorCritic(config, environment.specification)
        model.memory.learn_initial_states(torch.randn(50, model.memory.state_size))
        for (
            parameter
        ) in model.heads.parameters():  # makes actions nearly deterministic, so that states matter
            parameter.data *= 20.0
        played[resets] = evaluate(environment, model, 8, seed=1)
    assert len(played[True]) == 3 * 8
    assert played[False] == played[True]
    assert len({episode.length for episode in played[True]}) > 3
