"""Makes the environments of a config."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import partial

import numpy as np
from gymnasium import spaces

from neroRL.config.schema import EnvironmentConfig
from neroRL.environments import registry
from neroRL.environments.specification import VISUAL, SingleEnvironment
from neroRL.environments.vector.interface import EpisodeSeeds, VectorEnvironment
from neroRL.environments.vector.parallel import ParallelEnvironment
from neroRL.environments.vector.sequential import SequentialEnvironment
from neroRL.environments.wrappers.appending import LastAction, LastReward
from neroRL.environments.wrappers.episode_statistics import EpisodeStatistics
from neroRL.environments.wrappers.frame_skip import FrameSkip
from neroRL.environments.wrappers.imaging import Grayscale, Resize
from neroRL.environments.wrappers.positional_encoding import add_positional_encoding
from neroRL.environments.wrappers.reward_normalization import RewardNormalization
from neroRL.environments.wrappers.stacking import Stacking


def make_vector(
    config: EnvironmentConfig,
    n_workers: int,
    seed: int,
    *,
    worker_id: int = 2,
    episode_seeds: Sequence[int] | None = None,
) -> VectorEnvironment:
    """Makes ``n_workers`` environments with all wrappers of the config.

    Args:
        config: a checked config.
        n_workers: number of environments.
        seed: of the workers' generators: worker i's comes from ``SeedSequence([seed, i])``.
        worker_id: of the first environment; each takes the next one.
        episode_seeds: every worker plays these in turn, instead of drawing from its generator.

    Returns:
        The environments, not started yet.
    """
    params = registry.reset_params(config)
    seeds = [
        EpisodeSeeds(
            np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, worker]))),
            params["start-seed"],
            params["num-seeds"],
            episode_seeds,
        )
        for worker in range(n_workers)
    ]
    kind = registry.environment_type(config.type)
    ids = range(worker_id, worker_id + n_workers)
    if kind.in_processes:
        makers = [partial(make_single, config, each) for each in ids]
        return ParallelEnvironment(makers, seeds, config.name)
    first = make_single(config, worker_id)
    batch = kind.make_batch(config, first, seeds)
    if batch is not None:
        return batch
    others = [make_single(config, each) for each in ids[1:]]
    return SequentialEnvironment([first, *others], seeds, config.name)


def make_single(config: EnvironmentConfig, worker_id: int) -> SingleEnvironment:
    """Makes one environment with all wrappers of the config."""
    with contextlib.chdir("."):  # foreign code may leave the working directory
        env = registry.environment_type(config.type).make(config, worker_id)
    return wrapped(env, config)


def wrapped(env: SingleEnvironment, config: EnvironmentConfig) -> SingleEnvironment:
    """Puts the wrappers of the config around an environment of its type."""
    if config.frame_skip > 1:
        env = FrameSkip(env, config.frame_skip)
    env = EpisodeStatistics(env)
    if config.last_action_to_obs:
        env = LastAction(env)
    if config.last_reward_to_obs:
        env = LastReward(env)
    env = _with_image_wrappers(env, config)
    if config.positional_encoding:
        env = add_positional_encoding(env)
    if config.obs_stacks > 1:
        env = Stacking(env, config.obs_stacks)
    if config.reward_normalization not in (0, 1):
        env = RewardNormalization(env, config.reward_normalization)
    return env


def _with_image_wrappers(env: SingleEnvironment, config: EnvironmentConfig) -> SingleEnvironment:
    assert isinstance(env.observation_space, spaces.Dict)
    image = env.observation_space.get(VISUAL)
    if image is None or image.shape is None:
        return env
    height, width, channels = image.shape
    if config.grayscale and channels == 3:
        env = Grayscale(env)
    if config.resize_vis_obs != [width, height]:
        env = Resize(env, *config.resize_vis_obs)
    return env
