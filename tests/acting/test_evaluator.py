"""An evaluation tells what a policy is worth on each seed."""

from __future__ import annotations

import pytest
import torch

from neroRL.acting import player
from neroRL.acting.evaluator import evaluate, lanes_of
from neroRL.acting.policy import Policy
from neroRL.config.schema import (
    EnvironmentConfig,
    ModelConfig,
    RecurrenceConfig,
    TransformerConfig,
)
from neroRL.environments.factory import make_vector
from neroRL.models.actor_critic import ActorCritic
from tests.evaluation.policies import played_alone

CARTPOLE = EnvironmentConfig(
    type="CartPole", name="CartPole-v1", reset_params={"mask-velocity": True}
)
IMAGE = EnvironmentConfig(
    type="Minigrid",
    name="MiniGrid-MemoryS7-v0",
    resize_vis_obs=[36, 36],
    reset_params={"max-episode-steps": 140},
)
MEMORIES = {
    "none": {},
    "gru": {"recurrence": RecurrenceConfig(hidden_state_size=8, hidden_state_init="sample")},
    "lstm": {"recurrence": RecurrenceConfig(layer_type="lstm", hidden_state_size=8)},
    "transformer": {"transformer": TransformerConfig(num_blocks=2, embed_dim=8, memory_length=10)},
}


def _model(specification, memory, **more) -> ActorCritic:
    config = ModelConfig(num_hidden_units=16, num_hidden_layers=1, **memory, **more)
    torch.manual_seed(4)
    model = ActorCritic(config, specification)
    if "recurrence" in memory:
        model.memory.learn_initial_states(torch.randn(50, model.memory.state_size))
    for parameter in model.heads.parameters():  # decided actions: the memory shows
        parameter.data *= 4.0
    return model


def _played(environment_config, memory, lanes, deterministic=False):
    seeds = [[episode.seed for episode in lane] for lane in lanes]
    environment = make_vector(environment_config, len(lanes), seed=0, episode_seeds=seeds)
    model = _model(environment.specification, memory)
    played = evaluate(environment, model, lanes, deterministic=deterministic)
    return [(one.episode, one.end._replace(worker=0)) for one in played], model, environment


@pytest.mark.parametrize("layer_type", ["gru", "lstm"])
@pytest.mark.parametrize("initial", ["zero", "one", "sample", "learned"])
def test_each_seed_starts_with_a_fresh_state(layer_type, initial):
    """Whether training resets states makes no difference to an evaluation."""
    played = {}
    for resets in (True, False):
        recurrence = RecurrenceConfig(
            layer_type=layer_type,
            hidden_state_size=8,
            hidden_state_init=initial,
            reset_hidden_state=resets,
        )
        lanes = lanes_of(range(100, 108), 3, workers=3)
        played[resets], _, _ = _played(CARTPOLE, {"recurrence": recurrence}, lanes)
    assert len(played[True]) == 3 * 8
    assert played[False] == played[True]
    assert len({end.length for _, end in played[True]}) > 3


@pytest.mark.parametrize(
    "environment",
    [CARTPOLE, pytest.param(IMAGE, marks=pytest.mark.slow)],
    ids=["vector", "image"],
)
@pytest.mark.parametrize("memory", MEMORIES)
def test_episodes_do_not_depend_on_what_is_played_beside_them(environment, memory):
    """One worker, eight, and single environments with a policy play the same, bit for bit."""
    lanes = lanes_of(range(7, 11), 2, workers=8)
    beside, model, vector = _played(environment, MEMORIES[memory], lanes)
    alone, _, _ = _played(environment, MEMORIES[memory], lanes_of(range(7, 11), 2, workers=1))
    assert [episode for episode, _ in alone] == [(s, r) for r in range(2) for s in range(7, 11)]
    assert beside == alone
    policy = Policy(model, vector.specification, environment)
    single = policy.make_environment()
    for episode, end in alone[::3]:
        info = played_alone(policy, single, episode)
        assert info["episode_length"] == end.length
        assert info["episode_reward"] == pytest.approx(end.reward)
    assert len({end.length for _, end in alone}) > 1


def test_an_episode_without_an_end_is_told(monkeypatch, caplog):
    monkeypatch.setattr(player, "LONG", 2)
    _played(CARTPOLE, MEMORIES["none"], lanes_of(range(7, 9), 1, workers=2))
    told = "an episode has 2 steps and has not ended; what waits for it may wait forever"
    assert set(caplog.messages) == {told}


def test_repetitions_differ_and_the_most_probable_actions_do_not():
    lanes = lanes_of(range(7, 12), 2, workers=2)
    for deterministic in (False, True):
        played, _, _ = _played(CARTPOLE, MEMORIES["none"], lanes, deterministic)
        first, second = ([end for _, end in played[i : i + 5]] for i in (0, 5))
        assert (first == second) is deterministic
