"""Tests that a model is checked against episode lengths and image sizes before the start."""

from __future__ import annotations

import subprocess
import sys

import gymnasium
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neroRL.composition.checking import check
from neroRL.composition.fitting import misfits, position_cautions
from neroRL.config.checks import build, cautions
from neroRL.config.schema import EnvironmentConfig
from neroRL.environments import registry
from neroRL.environments.factory import make_vector, max_episode_steps, specification
from neroRL.errors import ConfigError
from neroRL.training.batches import cut_into_pieces

CARTPOLE = {"type": "CartPole", "name": "CartPole-v1"}


class Endless(gymnasium.Env):
    """Does not say how long its episodes can be."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), 0.0, False, False, {}


class Timed(Endless):
    """Says it with an attribute."""

    max_episode_steps = 41


gymnasium.register("FittingEndless-v0", Endless)
gymnasium.register("FittingTimed-v0", Timed)
ENDLESS = {"type": "Gymnasium", "name": "FittingEndless-v0"}


@pytest.mark.parametrize(
    ("environment", "steps"),
    [
        (CARTPOLE, 500),
        ({**CARTPOLE, "name": "CartPole-v0", "frame_skip": 3, "obs_stacks": 2}, 67),
        ({"type": "Minigrid"}, 96),
        ({"type": "MinigridVec", "reset_params": {"max-episode-steps": 7}, "frame_skip": 2}, 4),
        ({"type": "Gymnasium", "name": "CartPole-v1"}, 500),
        (
            {
                "type": "Gymnasium",
                "name": "CartPole-v1",
                "reset_params": {"max-episode-steps": 33},
                "last_action_to_obs": True,
            },
            33,
        ),
        (ENDLESS, None),
        ({"type": "Gymnasium", "name": "FittingTimed-v0", "frame_skip": 4}, 11),
    ],
)
def test_longest_episodes(environment, steps):
    """A training's vector environment agrees with what is known before the start."""
    config = EnvironmentConfig(**environment)
    assert max_episode_steps(config) == steps
    made = make_vector(config, 2, seed=0)
    assert made.specification == specification(config)
    assert made.specification.max_episode_steps == steps
    made.close()


@pytest.mark.parametrize("name", ["MortarMayhem-v0", "MortarMayhemB-Grid-v0", "MysteryPath-v0"])
@pytest.mark.parametrize("params", [{}, {"changed": True}])
def test_longest_episodes_of_memory_gym_are_those_of_the_real_package(name, params):
    if params and name.startswith("Mortar"):
        params = {"command_count": [2, 4], "explosion_duration": [5]}
    elif params:
        params = {"max_steps": 77}
    config = EnvironmentConfig(type="MemoryGym", name=name, reset_params=params)
    known = max_episode_steps(config)
    real = gymnasium.make(name, disable_env_checker=True)
    real.reset(seed=0, options=params)
    assert known == real.unwrapped.max_episode_steps
    endless = EnvironmentConfig(type="MemoryGym", name="Endless-MortarMayhem-v0")
    assert max_episode_steps(endless) is None


def test_a_scene_is_not_started_for_its_episode_length():
    assert max_episode_steps(EnvironmentConfig(type="Unity", name="./nowhere")) is None
    tower = EnvironmentConfig(type="ObstacleTower", name="./nowhere", frame_skip=4)
    assert max_episode_steps(tower) == 640


def _config(environment, transformer):
    return build({"environment": environment, "model": {"transformer": transformer}})


@pytest.mark.parametrize(
    ("environment", "transformer", "told"),
    [
        (CARTPOLE, {}, []),
        (CARTPOLE, {"positional_encoding": "learned"}, []),
        (CARTPOLE, {"memory_length": -1}, ["-1 attends to all", "at most 500 steps"]),
        (ENDLESS, {}, ["FittingEndless-v0 does not tell", "from an episode's first step"]),
        (ENDLESS, {"positional_encoding": ""}, []),
        (
            ENDLESS,
            {"positional_encoding": "learned", "memory_length": 8},
            ["FittingEndless-v0 does not tell", "8 positions are learned", "go round"],
        ),
        (ENDLESS, {"memory_length": -1}, ["-1 attends to all", "does not tell"]),
    ],
)
def test_cautions_about_positions(environment, transformer, told):
    config = _config(environment, transformer)
    assert misfits(config) == []
    text = "\n".join(map(str, position_cautions(config)))
    assert all(fragment in text for fragment in told), text
    assert bool(text) is bool(told)


def test_learned_positions_of_whole_episodes_need_their_length():
    wanted = {"positional_encoding": "learned", "memory_length": -1}
    assert misfits(_config(CARTPOLE, wanted)) == []
    with pytest.raises(ConfigError, match=r"memory_length: -1 leaves open.*FittingEndless-v0"):
        check({"environment": ENDLESS, "model": {"transformer": wanted}})


def test_an_initial_state_that_is_not_learned_is_warned_of():
    def told(load=False, **recurrence):
        model = {"recurrence": recurrence, "load_model": load}
        config = build({"environment": CARTPOLE, "model": model})
        return [str(caution) for caution in cautions(config)]

    assert told(hidden_state_init="learned") == told(reset_hidden_state=False) == []
    (caution,) = told(hidden_state_init="learned", reset_hidden_state=False)
    assert caution.startswith("model.recurrence.hidden_state_init: learned learns nothing with")
    both = told(hidden_state_init="learned", reset_hidden_state=False, sequence_length=500)
    assert len(both) == 2
    for initial in ("mean", "sample"):
        assert told(hidden_state_init=initial) == []
        (caution,) = told(hidden_state_init=initial, reset_hidden_state=False)
        start = f"model.recurrence.hidden_state_init: {initial} trains like zero with"
        assert caution.startswith(start)
        assert told(load=True, hidden_state_init=initial, reset_hidden_state=False) == []
    assert told(hidden_state_init="one", reset_hidden_state=False) == []


@given(st.integers(1, 6), st.integers(1, 12), st.integers(-1, 14), st.integers(1, 40))
def test_mini_batches_that_want_more_sequences_than_a_rollout_has(workers, steps, length, count):
    sampler = {"n_workers": workers, "worker_steps": steps}
    recurrence = {"sequence_length": length}
    config = build(
        {
            "model": {"recurrence": recurrence},
            "sampler": sampler,
            "trainer": {"n_mini_batches": count},
        }
    )
    told = [str(one) for one in cautions(config) if one.path == "trainer.n_mini_batches"]
    cut = len(cut_into_pieces(np.zeros((steps, workers), np.bool_), length).first)
    assert len(told) == (cut < count)
    assert all(f"{count} need as many" in one and f"has only {cut}," in one for one in told)
    assert cautions(build({"sampler": sampler, "trainer": {"n_mini_batches": count}})) == []


@pytest.mark.parametrize(
    ("environment", "encoder", "message"),
    [
        ({"resize_vis_obs": [35, 84]}, "cnn", "35 x 84 is too small for cnn; expected 36 x 36"),
        ({"resize_vis_obs": [36, 36]}, "cnn", None),
        ({"resize_vis_obs": [14, 14]}, "rescnn", "expected 15 x 15 and more"),
        (
            {"resize_vis_obs": [12, 12]},
            "smallimpala",
            "12 x 12 is too small for smallimpala; expected 6 x 6 to 9 x 9, or 20 x 20 and more",
        ),
        ({"resize_vis_obs": [9, 9]}, "smallimpala", None),
        # Vectors are not resized.
        ({**CARTPOLE, "resize_vis_obs": [1, 1]}, "cnn", None),
    ],
)
def test_images_that_are_too_small(environment, encoder, message):
    mapping = {"environment": environment, "model": {"vis_encoder": encoder}}
    if message is None:
        check(mapping)
        return
    with pytest.raises(ConfigError) as refused:
        check(mapping)
    assert message in str(refused.value)
    assert str(refused.value).startswith("environment.resize_vis_obs: ")


def test_environments_are_made_once_and_only_where_needed(monkeypatch):
    made = []
    kind = registry.environment_type("CartPole")
    original = type(kind).make

    def counted(self, config, worker_id):
        made.append(config)
        return original(self, config, worker_id)

    monkeypatch.setattr(type(kind), "make", counted)
    environment = {**CARTPOLE, "obs_stacks": 3}  # no other test asks for this one
    for gamma in (0.9, 0.95, 0.99):
        config = check({"environment": environment, "trainer": {"gamma": gamma}})
        assert position_cautions(config) == []
    assert made == []
    for _ in range(3):
        position_cautions(_config(environment, {}))
    assert len(made) == 1


def test_checking_does_not_import_torch():
    code = (
        "import sys; from neroRL.composition.checking import check\n"
        "from neroRL.composition.fitting import position_cautions\n"
        "position_cautions(check({'model': {'transformer': {}}}))\n"
        "try: check({'environment': {'resize_vis_obs': [9, 9]}})\n"
        "except Exception as error: print(error)\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "9 x 9 is too small" in done.stdout
