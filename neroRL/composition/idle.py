"""Finds values that do nothing beside the others of a config."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import fields
from typing import Any, NamedTuple

from neroRL.composition.fitting import LENGTH, max_episode_steps, specification_of
from neroRL.config import Config
from neroRL.config.checks import SCHEDULES
from neroRL.config.schema import (
    EnvironmentConfig,
    ModelConfig,
    ScheduleConfig,
    SeedRange,
    TransformerConfig,
)
from neroRL.environments.specification import has_numbers
from neroRL.errors import Problem

_OF_IMAGES = {"model.vis_encoder", "environment.grayscale", "environment.resize_vis_obs"}
_OF_VECTORS = {"model.vec_encoder", "model.num_vec_encoder_units"}
_NORMALIZED, _DEVIATION = "environment.normalize_vector_obs", "model.log_std_init"


class Idle(NamedTuple):
    """A key that does nothing.

    Attributes:
        path: of the key; what is below it does nothing, either.
        section: that has it.
        reason: why, to follow "has no effect".
        is_mistake: whether another value than the default is most likely a mistake. If not, it is
            one only where it is swept.
    """

    path: str
    section: Any
    reason: str
    is_mistake: bool

    @property
    def is_default(self) -> bool:
        """Whether its value is the default."""
        key = self.path.rpartition(".")[2]
        default = next(one.default for one in fields(self.section) if one.name == key)
        return bool(getattr(self.section, key) == default)


def cautions_without_effect(config: Config, swept: Collection[str] = ()) -> list[Problem]:
    """Finds values that do nothing, where that is most likely a mistake.

    Args:
        config: its environment is checked.
        swept: paths of keys whose values are choices of a sweep: permutations that differ in them
            alone are the same.
    """
    found: dict[str, Problem] = {}  # one reason is enough for a key
    for one in [*_beside_others(config), *_in_environment(config, swept)]:
        paths = [path for path in swept if f"{path}.".startswith(f"{one.path}.")]
        if not paths and one.is_mistake and not one.is_default:
            paths = [one.path]
        for path in paths:
            found.setdefault(path, Problem(path, f"has no effect {one.reason}"))
    return list(found.values())


def _beside_others(config: Config) -> Iterator[Idle]:
    """Yields the keys that other keys leave nothing to do."""
    model, evaluation = config.model, config.evaluation
    if not evaluation.evaluate:
        for key in ("n_workers", "seeds", "interval"):
            yield Idle(f"evaluation.{key}", evaluation, "where evaluate is false", False)
    if isinstance(evaluation.seeds, SeedRange) and evaluation.seeds.explicit_seeds is not None:
        for key in ("start-seed", "num-seeds"):
            reason = "beside explicit-seeds, which are played instead"
            yield Idle(f"evaluation.seeds.{key}", evaluation.seeds, reason, False)
    if model.load_model:
        yield from _replaced_by_weights(model)
    else:
        yield Idle("model.model_path", model, "where load_model is false", False)
    if model.vec_encoder == "none":
        yield Idle("model.num_vec_encoder_units", model, "where vec_encoder is none", True)
    for name in SCHEDULES:
        schedule: ScheduleConfig = getattr(config.trainer, name)
        if schedule.final in (None, schedule.initial):
            is_mistake = schedule.final is None
            for key in ("power", "max_decay_steps"):
                reason = "without another final: nothing decays"
                yield Idle(f"trainer.{name}.{key}", schedule, reason, is_mistake)
    if model.transformer is not None:
        yield from _in_transformer(model.transformer, config.environment)


def _replaced_by_weights(model: ModelConfig) -> Iterator[Idle]:
    """Yields the keys of initial weights, which loaded ones replace."""
    reason = "where load_model is true: the loaded weights replace the initial ones"
    yield Idle(_DEVIATION, model, reason, False)
    if model.transformer is not None:
        for key in ("init_weights", "gtrxl_bias"):
            yield Idle(f"model.transformer.{key}", model.transformer, reason, False)


def _in_transformer(
    transformer: TransformerConfig, environment: EnvironmentConfig
) -> Iterator[Idle]:
    if not transformer.gtrxl:
        for key in ("gtrxl_bias", "gtrxl_swap"):
            yield Idle(f"model.transformer.{key}", transformer, "where gtrxl is false", True)
    if transformer.positional_encoding != "absolute":
        path = "model.transformer.add_positional_encoding_to_query"
        yield Idle(path, transformer, "unless positional_encoding is absolute", True)
    steps = max_episode_steps(environment)
    if steps is not None and transformer.memory_length > steps:
        reason = f"beyond {steps}, the steps of the longest episode: all past ones are attended to"
        yield Idle(LENGTH, transformer, reason, True)


def _in_environment(config: Config, swept: Collection[str]) -> Iterator[Idle]:
    """Yields the keys that are about what an environment does not observe or do."""
    environment, model = config.environment, config.model
    asked = [Idle(_NORMALIZED, environment, "", True), Idle(_DEVIATION, model, "", True)]
    about = {*_OF_IMAGES, *_OF_VECTORS, _NORMALIZED, _DEVIATION}
    if about.isdisjoint(swept) and all(one.is_default for one in asked):
        return  # no environment has to be made for it
    known = specification_of(environment)
    if known is None:
        return
    sections = {"environment": environment, "model": model}

    def idle(paths: Collection[str], reason: str, *, is_mistake: bool) -> Iterator[Idle]:
        for path in sorted(paths):
            section = sections[path.partition(".")[0]]
            yield Idle(path, section, f"since {environment.name} {reason}", is_mistake)

    if known.visual is None:
        yield from idle(_OF_IMAGES, "observes no image", is_mistake=False)
    if known.vector is None:
        yield from idle(_OF_VECTORS, "observes no vector", is_mistake=False)
        yield from idle([_NORMALIZED], "observes no vector", is_mistake=True)
    if not has_numbers(known.actions):
        yield from idle([_DEVIATION], "has no continuous actions", is_mistake=True)
