"""Makes the environments of a config."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from gymnasium import spaces

from neroRL.config.schema import EnvironmentConfig
from neroRL.environments import registry
from neroRL.environments.specification import (
    VISUAL,
    EnvironmentSpec,
    SingleEnvironment,
    specification_of,
    told_max_episode_steps,
)
from neroRL.environments.vector.divided import DividedEnvironment
from neroRL.environments.vector.interface import EpisodeSeeds, VectorEnvironment
from neroRL.environments.vector.parallel import ParallelEnvironment
from neroRL.environments.vector.sequential import SequentialEnvironment
from neroRL.environments.wrappers.appending import LastAction, LastReward
from neroRL.environments.wrappers.episode_statistics import EpisodeStatistics
from neroRL.environments.wrappers.frame_skip import FrameSkip
from neroRL.environments.wrappers.imaging import RGB, Grayscale, Resize
from neroRL.environments.wrappers.positional_encoding import PositionalEncoding
from neroRL.environments.wrappers.reward_normalization import RewardNormalization
from neroRL.environments.wrappers.stacking import Stacking


def make_vector(
    config: EnvironmentConfig,
    n_workers: int,
    seed: int,
    *,
    worker_id: int = 2,
    episode_seeds: Sequence[Sequence[int]] | None = None,
    processes: int = 0,
) -> VectorEnvironment:
    """Makes ``n_workers`` environments with all wrappers of the config.

    Args:
        config: a checked config.
        n_workers: number of environments.
        seed: of the workers' generators: worker i's comes from ``SeedSequence([seed, i])``.
        worker_id: of the first environment; each takes the next one.
        episode_seeds: those that each worker plays in turn, instead of drawing from its generator.
            Lost lives end nothing then.
        processes: that step the environments; 0 for this one. Those that step as arrays stay in
            this one, and those that need a process each have it anyway.

    Returns:
        The environments, not started yet.
    """
    kind = registry.environment_type(config.type)
    params = registry.reset_params(config)
    seeds = [
        EpisodeSeeds(
            _generator(seed, worker),
            params["start-seed"],
            params["num-seeds"],
            None if episode_seeds is None else episode_seeds[worker],
        )
        for worker in range(n_workers)
    ]
    makers = [partial(make_single, config, worker_id + worker) for worker in range(n_workers)]
    environments: VectorEnvironment | None
    with ExitStack() as opened:  # if one fails, those before it are closed
        if kind.in_processes:
            steps = _max_episode_steps(config, None)
            environments = ParallelEnvironment(makers, seeds, config.name)
        else:
            first = opened.enter_context(closing(makers[0]()))
            steps = _max_episode_steps(config, first)
            environments = kind.make_batch(config, first, seeds)
            if environments is None and processes:
                opened.close()
                environments = DividedEnvironment(makers, seeds, config.name, processes)
            elif environments is None:
                others = [opened.enter_context(closing(make())) for make in makers[1:]]
                environments = SequentialEnvironment([first, *others], seeds, config.name)
        opened.pop_all()
    environments.specification = replace(environments.specification, max_episode_steps=steps)
    return environments


def _generator(*entropy: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


def reseeded(state: Mapping[str, Any], seed: int, update: int) -> dict[str, Any]:
    """Returns the state of environments in which a seed decides on the episodes to come.

    Args:
        state: of a vector environment.
        seed: of the training that goes on.
        update: after which it does.
    """
    seeds = [
        {**one, "generator": _generator(seed, worker, update).bit_generator.state}
        for worker, one in enumerate(state["seeds"])
    ]
    return {**state, "seeds": seeds}


def specification(config: EnvironmentConfig) -> EnvironmentSpec | None:
    """Returns the shapes of a config's environments; None where a process would have to start.

    An environment is made for it, unless one of the config has been tried.

    Args:
        config: a checked config.
    """
    if registry.environment_type(config.type).in_processes:
        return None
    if repr(config) not in _known:
        with closing(make_single(config, 0)) as single:
            remember(config, shapes_of(config, single))
    return _known[repr(config)]


_known: dict[str, EnvironmentSpec] = {}


def remember(config: EnvironmentConfig, shapes: EnvironmentSpec) -> None:
    """Keeps the shapes of a config's environments, so that none is made to ask for them."""
    _known[repr(config)] = shapes


def shapes_of(config: EnvironmentConfig, single: SingleEnvironment) -> EnvironmentSpec:
    """Returns the shapes of an environment with all wrappers of the config."""
    steps = _max_episode_steps(config, single)
    return replace(specification_of(single), max_episode_steps=steps)


def max_episode_steps(config: EnvironmentConfig) -> int | None:
    """Returns the actions of the longest episode; None where nothing tells it before the start.

    Args:
        config: a checked config.
    """
    steps = _max_episode_steps(config, None)
    if steps is not None:  # the type tells: no environment is made to ask it
        return steps
    found = specification(config)
    return None if found is None else found.max_episode_steps


def _max_episode_steps(config: EnvironmentConfig, single: SingleEnvironment | None) -> int | None:
    """Actions of the longest episode, each of which is done ``frame_skip`` times."""
    steps = registry.environment_type(config.type).max_episode_steps(config)
    if steps is None and single is not None:
        steps = told_max_episode_steps(single)
    return None if steps is None else math.ceil(steps / config.frame_skip)


def make_single(config: EnvironmentConfig, worker_id: int) -> SingleEnvironment:
    """Makes one environment with all wrappers of the config."""
    with ExitStack() as opened:
        with contextlib.chdir("."):  # foreign code may leave the working directory
            made = registry.environment_type(config.type).make(config, worker_id)
        env = wrapped(opened.enter_context(closing(made)), config)
        opened.pop_all()
    return env


def wrapped(env: SingleEnvironment, config: EnvironmentConfig) -> SingleEnvironment:
    """Puts the wrappers of the config around an environment of its type."""
    kind = registry.environment_type(config.type)
    if config.frame_skip > 1 and not kind.skips_frames:
        env = FrameSkip(env, config.frame_skip)
    env = EpisodeStatistics(env, config.name)
    if kind.reward_scale != 1.0:
        env = RewardNormalization(env, kind.reward_scale)
    if config.last_action_to_obs:
        env = LastAction(env)
    if config.last_reward_to_obs:
        env = LastReward(env)
    env = _with_image_wrappers(env, config)
    if config.positional_encoding:
        env = PositionalEncoding(env)
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
    if env.has_wrapper_attr("image_channels"):  # of several images
        each = env.get_wrapper_attr("image_channels")
    else:
        each = (channels,)
    if config.grayscale and RGB in each:
        env = Grayscale(env, each)
    if config.resize_vis_obs != [width, height]:
        env = Resize(env, *config.resize_vis_obs)
    return env
