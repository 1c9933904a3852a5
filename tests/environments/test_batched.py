"""Compares environments that step as arrays with the real ones, stepped one by one."""

from __future__ import annotations

import gymnasium
import minigrid  # noqa: F401 - registers its ids
import numpy as np
import pytest
import torch

from neroRL.config.checks import build
from neroRL.config.schema import EnvironmentConfig
from neroRL.environments.cartpole.batch import BatchedCartPole
from neroRL.environments.environment_type import EnvironmentType
from neroRL.environments.factory import make_vector
from neroRL.environments.minigrid import transition_table
from neroRL.environments.minigrid.grids import LookedUpGrids, RealGrids
from neroRL.environments.minigrid.tabled import TabledEnvironment
from neroRL.environments.minigrid.transition_table import TransitionTable
from neroRL.environments.vector.sequential import SequentialEnvironment
from neroRL.training import checkpoint as checkpoints
from neroRL.training.trainer import train

# The wave-function-collapse levels need files that the package does not ship.
MINIGRID_IDS = sorted(
    name for name in gymnasium.registry if name.startswith("MiniGrid-") and "WFC" not in name
)
VIEW_SIZES = (3, 5, 7)
SOME_IDS = [
    "MiniGrid-Empty-Random-6x6-v0",
    "MiniGrid-DoorKey-6x6-v0",
    "MiniGrid-MemoryS9-v0",
    "MiniGrid-Fetch-5x5-N2-v0",
    "MiniGrid-KeyCorridorS3R2-v0",
    "MiniGrid-LavaGapS5-v0",
    "MiniGrid-ObstructedMaze-1Dlhb-v0",
    "MiniGrid-PutNear-6x6-N2-v0",
    "MiniGrid-RedBlueDoors-6x6-v0",
    "MiniGrid-Dynamic-Obstacles-5x5-v0",
]


def _one_by_one(config: EnvironmentConfig, num_envs: int, seed: int) -> SequentialEnvironment:
    with pytest.MonkeyPatch.context() as patch:
        for cls in _subclasses(EnvironmentType):
            patch.setattr(cls, "make_batch", EnvironmentType.make_batch)
        made = make_vector(config, num_envs, seed)
    assert isinstance(made, SequentialEnvironment)
    return made


def _subclasses(cls: type) -> list[type]:
    found = cls.__subclasses__()
    return found + [below for sub in found for below in _subclasses(sub)]


def _assert_equal(config: EnvironmentConfig, steps: int, seed: int = 0):
    ours, real = make_vector(config, 4, seed), _one_by_one(config, 4, seed)
    (mine, _), (theirs, _) = ours.reset(), real.reset()
    generator = np.random.default_rng(seed)
    episodes = 0
    for step in range(steps):
        if step % 64 == 0:
            ours.begin_rollout()
            real.begin_rollout()
        for key in theirs:
            np.testing.assert_array_equal(mine[key], theirs[key])
        actions = generator.integers(ours.specification.actions[0], size=(4, 1))
        mine, *ours_rest, ours_info = ours.step(actions)
        theirs, *real_rest, real_info = real.step(actions)
        for mine_part, theirs_part in zip(ours_rest, real_rest, strict=True):
            np.testing.assert_array_equal(mine_part, theirs_part)
        assert list(ours_info.get("episodes", ())) == list(real_info.get("episodes", ()))
        episodes += len(real_info.get("episodes", ()))
        for worker in np.flatnonzero(real_info.get("_final_obs", [])):
            for key, array in real_info["final_obs"][worker].items():
                np.testing.assert_array_equal(ours_info["final_obs"][worker][key], array)
    assert episodes > 0
    return ours


@pytest.mark.parametrize("name", SOME_IDS)
@pytest.mark.parametrize("type_", ["Minigrid", "MinigridVec"])
def test_some_minigrid_ids(name, type_):
    config = EnvironmentConfig(
        type=type_,
        name=name,
        resize_vis_obs=[42, 42],
        reset_params={"view-size": 5, "num-seeds": 10, "max-episode-steps": 30},
    )
    env = _assert_equal(config, 200)
    assert isinstance(env, TabledEnvironment)
    # Obstacles move at random, so no table fits and the real environments step.
    assert isinstance(env._grids, LookedUpGrids) is ("Dynamic" not in name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "view_size"),
    [
        (name, view_size)
        if view_size == VIEW_SIZES[number % len(VIEW_SIZES)]
        else pytest.param(name, view_size, marks=pytest.mark.exhaustive)
        for number, name in enumerate(MINIGRID_IDS)
        for view_size in VIEW_SIZES
    ],
)
def test_every_minigrid_id(name, view_size):
    params = {"view-size": view_size, "num-seeds": 200, "max-episode-steps": 80}
    _assert_equal(EnvironmentConfig(type="MinigridVec", name=name, reset_params=params), 500)


def test_images_with_wrappers():
    config = EnvironmentConfig(
        type="Minigrid",
        name="MiniGrid-DoorKey-5x5-v0",
        grayscale=True,
        resize_vis_obs=[40, 44],
        reward_normalization=0.7,
        reset_params={"num-seeds": 5, "max-episode-steps": 25},
    )
    _assert_equal(config, 150)


def test_observations_that_depend_on_history_use_the_real_environments():
    config = EnvironmentConfig(
        type="MinigridVec", name="MiniGrid-MemoryS7-v0", last_action_to_obs=True
    )
    assert isinstance(make_vector(config, 2, 0), SequentialEnvironment)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("normalization", [0, 1, 3.0])
def test_cartpole(masked, normalization):
    config = EnvironmentConfig(
        type="CartPole",
        name="CartPole-v1",
        reward_normalization=normalization,
        reset_params={"mask-velocity": masked},
    )
    env = _assert_equal(config, 600)
    assert isinstance(env, BatchedCartPole)
    learned = env.step(np.zeros((4, 1), np.int64))[1]
    np.testing.assert_array_equal(learned, np.float32(1.0 / 100.0 / (normalization or 1)))


def test_cartpole_uses_the_real_environments_if_rounding_differs(monkeypatch):
    monkeypatch.setattr("neroRL.environments.cartpole.types.equals_gymnasium", lambda *_: False)
    config = EnvironmentConfig(type="CartPole", name="CartPole-v1")
    assert isinstance(make_vector(config, 2, 0), SequentialEnvironment)


def test_a_table_that_grows_too_large_is_abandoned(monkeypatch):
    monkeypatch.setattr(transition_table, "MOST_STATES", 60)
    monkeypatch.setattr(
        "neroRL.environments.minigrid.types._transitions",
        lambda name, view_size, actions: TransitionTable(
            gymnasium.make(name, agent_view_size=view_size), actions
        ),
    )
    config = EnvironmentConfig(
        type="MinigridVec",
        name="MiniGrid-Empty-Random-6x6-v0",
        reset_params={"max-episode-steps": 30},
    )
    env = _assert_equal(config, 200)
    assert isinstance(env._grids, RealGrids)


@pytest.mark.parametrize(
    "environment",
    [
        {"type": "CartPole", "name": "CartPole-v1"},
        {"type": "MinigridVec", "name": "MiniGrid-MemoryS7-v0"},
        {"type": "MinigridVec", "name": "MiniGrid-Dynamic-Obstacles-5x5-v0"},
    ],
    ids=["cartpole", "memory", "obstacles"],
)
def test_training_is_the_same_bit_for_bit(environment, tmp_path, monkeypatch):
    config = build(
        {
            "environment": environment,
            "model": {"recurrence": {"hidden_state_size": 8, "sequence_length": 8}},
            "sampler": {"n_workers": 3, "worker_steps": 32},
            "trainer": {"updates": 3, "n_mini_batches": 2},
            "seed": 2,
            "threads": 1,
            "device": "cpu",
        }
    )
    train(config, tmp_path / "batched")
    monkeypatch.setattr(
        "neroRL.training.trainer.make_vector",
        lambda environment, n_workers, seed, **_: _one_by_one(environment, n_workers, seed),
    )
    train(config, tmp_path / "single")
    weights = [
        checkpoints.load(
            checkpoints.checkpoint_path(tmp_path / kind, "default", 3), torch.device("cpu")
        ).model
        for kind in ("batched", "single")
    ]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
