"""Tests that environments of all of Gymnasium's spaces are observed, acted in and trained."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from neroRL.config.checks import build
from neroRL.config.schema import EnvironmentConfig
from neroRL.environments.factory import make_single, make_vector
from neroRL.environments.specification import (
    Binary,
    Continuous,
    Mixed,
    specification_of,
)
from neroRL.environments.trial import try_out
from neroRL.errors import BrokenEnvironmentError
from neroRL.training import checkpoint as checkpoints
from neroRL.training.trainer import train

NAME = "Any-v0"
IMAGE = spaces.Box(0, 255, (40, 40, 3), np.uint8)
NESTED = spaces.Dict(
    {
        "z": spaces.Tuple((spaces.Discrete(3, start=-1), spaces.MultiBinary((2, 2)))),
        "a": spaces.Dict({"matrix": spaces.Box(-9, 9, (2, 1, 2), np.float64), "eye": IMAGE}),
        "m": spaces.MultiDiscrete([[2], [3]], start=[[0], [5]]),
        "scalar": spaces.Box(-np.inf, np.inf, (), np.float32),
        "integers": spaces.Box(-5, 5, (2,), np.int16),
    }
)
ACTIONS = {
    "bounded": spaces.Box(np.array([[-0.3, 0.0]]), np.array([[0.1, 2.0]]), dtype=np.float64),
    "half bounded": spaces.Box(np.float32(-1.0), np.float32(np.inf), (2, 1), np.float32),
    "bits": spaces.MultiBinary([2, 2]),
    "matrix of choices": spaces.MultiDiscrete([[2, 3], [4, 2]], start=[[0, 1], [0, 7]]),
    "one choice": spaces.Discrete(3, start=4),
    "mixed": spaces.Dict(
        {
            "push": spaces.Box(-0.5, 2.0, (2, 1), np.float32),
            "hand": spaces.Tuple((spaces.Discrete(3, start=-1), spaces.MultiBinary((1, 2)))),
            "tune": spaces.Box(0.0, np.inf, (), np.float64),
            "which": spaces.Dict({"one": spaces.MultiDiscrete([2, 4], start=[7, 0])}),
        }
    ),
    "choices side by side": spaces.Tuple((spaces.Discrete(2), spaces.Discrete(3))),
}


class Any(gymnasium.Env):
    """Observes samples of a space and remembers its actions; ends after 5 steps."""

    def __init__(self, observed, actions):
        self.observation_space, self.action_space = observed, actions
        self.given = None
        self.taken = []

    def _observe(self):
        return self.observation_space.sample() if self.given is None else self.given

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self._left = 5
        return self._observe(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        self.taken.append(action)
        self._left -= 1
        flat = spaces.flatten(self.action_space, action) if isinstance(action, dict) else action
        total = float(np.sum(flat))
        if isinstance(action, np.ndarray):
            action *= 0  # it belongs to the environment
        return self._observe(), total, False, self._left == 0, {}


@pytest.fixture
def of():
    """Returns the config of environments with some spaces."""

    def register(observed, actions=ACTIONS["one choice"]) -> EnvironmentConfig:
        gymnasium.registry.pop(NAME, None)
        gymnasium.register(NAME, Any, kwargs={"observed": observed, "actions": actions})
        return EnvironmentConfig(type="Gymnasium", name=NAME)

    yield register
    gymnasium.registry.pop(NAME)


def test_nested_observations_are_joined_in_the_order_of_their_keys(of):
    env = make_single(of(NESTED), 0)
    assert specification_of(env).visual == (84, 84, 3)
    real = env.unwrapped
    real.given = {
        "z": (np.int64(1), np.array([[1, 0], [0, 1]], np.int8)),
        "a": {"matrix": np.array([[[1.5, 2]], [[3, 4]]]), "eye": np.zeros((40, 40, 3), np.uint8)},
        "m": np.array([[1], [5]]),
        "scalar": np.float32(7.0),
        "integers": np.array([-5, 5], np.int16),
    }
    observation, _ = env.reset(seed=0)
    parts = {
        "z": [0, 0, 1, 1, 0, 0, 1],
        "a": [1.5, 2, 3, 4],
        "m": [0, 1, 1, 0, 0],
        "scalar": [7],
        "integers": [-5, 5],
    }
    expected = [number for key in NESTED.spaces for number in parts[key]]
    assert observation["vector"].tolist() == expected
    assert env.observation_space.contains(observation)


@pytest.mark.parametrize(
    "observed",
    [
        NESTED,
        spaces.Discrete(4),
        spaces.MultiDiscrete([2, 3]),
        spaces.MultiBinary(5),
        spaces.Tuple((IMAGE, spaces.Discrete(2))),
        spaces.Box(0, 255, (20, 24), np.uint8),
        spaces.Box(0.0, 1.0, (3, 20, 24), np.float64),
        spaces.Box(0, 255, (2, 3, 4, 5), np.uint8),
        spaces.Box(-1e300, 1e300, (2,), np.float64),
        spaces.Box(0, 1, (3,), np.bool_),
    ],
    ids=str,
)
def test_samples_of_a_space_are_in_the_sorted_space(of, observed):
    config = of(observed)
    if observed.dtype == np.float64 and observed.shape == (2,):
        observed.low[:], observed.high[:] = -5.0, 5.0  # what is observed fits into float32
    env = make_single(config, 0)
    for seed in range(5):
        observation, _ = env.reset(seed=seed)
        assert env.observation_space.contains(observation)
    assert try_out(config).problems == []


@pytest.mark.parametrize(
    ("observed", "reason"),
    [
        (spaces.Text(4), "observes the observation: Text"),
        (spaces.Dict({"a": spaces.Sequence(spaces.Discrete(2))}), "observes a: Sequence"),
        (spaces.Dict({}), "observes nothing"),
        (spaces.Box(0, 1, (0,)), "observes nothing"),
        (spaces.Discrete(2**40), "more than 1048576 numbers"),
        (
            spaces.Tuple((IMAGE, spaces.Dict({"far": spaces.Box(0, 255, (20, 40), np.uint8)}))),
            "images of different sizes (0 40 x 40, 1.far 40 x 20); images of one size",
        ),
    ],
)
def test_observations_that_cannot_be_used_are_named(of, observed, reason):
    (problem,) = try_out(of(observed)).problems
    assert problem.path == "environment.name"
    assert reason in problem.message


@pytest.mark.parametrize(
    "actions",
    [
        spaces.Text(4),
        spaces.Box(0, 5, (2,), np.int64),
        spaces.Box(0, 1, (0,)),
        spaces.Dict({"say": spaces.Text(4), "go": spaces.Discrete(2)}),
        spaces.Tuple(()),
    ],
    ids=str,
)
def test_actions_that_cannot_be_chosen_are_named(of, actions):
    (problem,) = try_out(of(spaces.Discrete(2), actions)).problems
    assert "only a Box of floats, Discrete" in problem.message


@pytest.mark.parametrize(
    ("observed", "given", "reason"),
    [
        (spaces.Discrete(3, start=1), 4, "observation is 4; its space is Discrete(3, start=1)"),
        (spaces.Discrete(3), 1.0, "is float64; its space is int64"),
        (spaces.Dict({"a": spaces.Tuple((spaces.Discrete(2),))}), {"a": ()}, "a.0 is missing in"),
        (spaces.MultiDiscrete([2, 2]), np.array([0, 1, 1]), "has shape (3,); its space has (2,)"),
    ],
)
def test_what_is_not_of_its_space_is_named(of, observed, given, reason):
    env = make_single(of(observed), 0)
    env.unwrapped.given = given
    with pytest.raises(BrokenEnvironmentError) as error:
        env.reset(seed=0)
    assert reason in str(error.value)


def test_specifications_of_actions(of):
    found = {}
    for name, space in ACTIONS.items():
        found[name] = specification_of(make_single(of(spaces.Discrete(2), space), 0)).actions
    assert found == {
        "bounded": Continuous((-0.3, 0.0), (0.1, 2.0)),
        "half bounded": Continuous((-1.0, -1.0), (np.inf, np.inf)),
        "bits": Binary(4),
        "matrix of choices": (2, 3, 4, 2),
        "one choice": (3,),
        "mixed": Mixed(
            (
                (3,),
                Binary(2),
                (2, 4),
                Continuous((-0.5, -0.5), (2.0, 2.0)),
                Continuous((0.0,), (np.inf,)),
            )
        ),
        "choices side by side": Mixed(((2,), (3,))),
    }


def test_mixed_actions_arrive_under_their_keys(of):
    env = make_single(of(spaces.Discrete(2), ACTIONS["mixed"]), 0)
    env.reset(seed=0)
    # Choices and bits in the order of their keys, then numbers.
    env.step(np.array([2, 1, 0, 1, 3, 0.25, -0.5, 9.0]))
    (taken,) = env.unwrapped.taken
    assert list(taken) == list(ACTIONS["mixed"])
    assert taken["push"].dtype == np.float32
    assert taken["push"].tolist() == [[0.25], [-0.5]]
    assert taken["hand"][0] == 1
    assert taken["hand"][1].tolist() == [[1, 0]]
    assert taken["tune"] == 9.0
    assert taken["which"]["one"].tolist() == [8, 3]


def _mapping(config: EnvironmentConfig, memory: str = "none", **environment):
    memories = {
        "none": {},
        "gru": {"recurrence": {"hidden_state_size": 8, "sequence_length": 4}},
    }
    return {
        "environment": {"type": config.type, "name": config.name, **environment},
        "model": {
            "num_vec_encoder_units": 8,
            "num_hidden_units": 8,
            "checkpoint_interval": 1,
            **memories[memory],
        },
        "evaluation": {"evaluate": True, "n_workers": 2, "seeds": [7], "interval": 1},
        "sampler": {"n_workers": 2, "worker_steps": 12},
        "trainer": {"updates": 2, "epochs": 2, "n_mini_batches": 2},
        "seed": 1,
        "threads": 1,
        "device": "cpu",
    }


@pytest.mark.parametrize("memory", ["none", "gru"])
@pytest.mark.parametrize("actions", ACTIONS)
def test_every_kind_of_action_trains_and_resumes(of, tmp_path, actions, memory):
    """The environment asserts that each action is in its space. 12 steps end in an episode."""
    observed = spaces.Box(-1, 1, (3,), np.float32)
    mapping = _mapping(of(observed, ACTIONS[actions]), memory, last_action_to_obs=True)
    config = build(mapping)
    outcome = train(config, tmp_path)
    assert outcome.status == "completed"
    _resumed_equals(config, tmp_path)


def test_pendulum_trains_and_resumes(tmp_path):
    pendulum = EnvironmentConfig(type="Gymnasium", name="Pendulum-v1")
    assert try_out(pendulum).problems == []
    config = build(_mapping(pendulum))
    assert train(config, tmp_path).status == "completed"
    _resumed_equals(config, tmp_path)


def _resumed_equals(config, directory):
    first = checkpoints.checkpoint_path(directory, "default", 1)
    train(config, directory / "on", checkpoint=first)
    cpu = torch.device("cpu")
    whole, continued = (
        checkpoints.load(checkpoints.checkpoint_path(path, "default", 2), cpu)
        for path in (directory, directory / "on")
    )
    for name, weights in whole.model.items():
        assert torch.equal(weights, continued.model[name]), name
    for key in ("environment", "episodes", "evaluated"):
        assert getattr(whole, key) == getattr(continued, key)


def test_the_loss_keeps_the_numbers_that_the_environment_gets_clipped(of):
    from neroRL.acting.actor import Actor
    from neroRL.models.actor_critic import ActorCritic
    from neroRL.training.rollout import collect

    config = build(_mapping(of(spaces.Discrete(2), ACTIONS["bounded"])))
    env = make_vector(config.environment, 2, seed=0)
    env.restart()
    model = ActorCritic(config.model, env.specification)
    rollout = collect(env, Actor(model, 2, torch.Generator().manual_seed(0)), 3, config.trainer)
    kept = rollout.actions.reshape(3, 2, 2).numpy()
    assert kept.dtype == np.float32
    low, high = (bound.reshape(-1) for bound in (ACTIONS["bounded"].low, ACTIONS["bounded"].high))
    assert ((kept < low) | (kept > high)).any()
    played = np.array(env.state_dict()["episode_actions"]).swapaxes(0, 1)
    np.testing.assert_array_equal(played, np.clip(kept.astype(np.float64), low, high))
    mean, log_std = np.zeros(2), np.zeros(2)
    with torch.no_grad():
        outputs = model.heads.policy(torch.zeros(1, 512))
    assert outputs[0].tolist() == [*mean, *log_std]
    assert rollout.log_probs.shape == (6, 1)
