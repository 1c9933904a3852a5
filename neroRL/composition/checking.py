"""The checks of a composed config, and where in files and overrides its values come from."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from neroRL.composition.completion import defaults
from neroRL.composition.fitting import misfits, position_cautions
from neroRL.config import Config, build, cautions, cross_check
from neroRL.config.documents import Document, read_document
from neroRL.config.problems import leaf_paths
from neroRL.config.published import modernise, written_as
from neroRL.environments import registry
from neroRL.errors import ConfigError, NeroRLError, Problem, did_you_mean

if TYPE_CHECKING:
    from neroRL.environments.trial import Trials

COMMAND_LINE = "command line"
_IN_PLAIN_WORDS = {
    "Cannot merge DictConfig with ListConfig": "a list cannot take the place of a map",
}


def plain(config: DictConfig) -> dict[str, Any]:
    """Resolves a composed config, without its ``hydra`` node, to plain Python.

    Raises:
        ConfigError: an interpolation does not resolve, or a value is missing.
    """
    try:
        content = OmegaConf.to_container(
            OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]),
            resolve=True,
            throw_on_missing=True,
        )
    except OmegaConfBaseException as error:
        message = str(error).splitlines()[0]
        raise ConfigError([Problem(str(error.full_key or ""), message)]) from None
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def check(mapping: Mapping[str, Any], trials: Trials | None = None) -> Config:
    """Builds the typed config of one job and checks everything that can be checked before it runs.

    Args:
        mapping: a resolved config.
        trials: where given, the environment is tried, too.

    Returns:
        The typed config.

    Raises:
        ConfigError: with everything found wrong.
    """
    config = build(mapping)
    evaluated = config.evaluation.seed_list() if config.evaluation.evaluate else []
    found = cross_check(config) + registry.check(config.environment, evaluated)
    if trials is not None and not found:
        found = trials.problems(config.environment)
    found = found or misfits(config)
    if found:
        raise ConfigError(found)
    return config


@contextlib.contextmanager
def trying() -> Iterator[Callable[[Mapping[str, Any]], Config]]:
    """Yields a :func:`check` that also tries environments, each distinct one once."""
    from neroRL.environments.trial import Trials  # help needs no wrappers of environments

    with Trials() as trials:
        yield functools.partial(check, trials=trials)


def check_device(device: str, where: str = "") -> None:
    """Refuses a GPU where there is none; needs torch for that, and imports it only then.

    Raises:
        ConfigError: the device is ``cuda`` and this machine has none.
    """
    if device != "cuda":
        return
    import torch

    if not torch.cuda.is_available():
        message = "cuda is not available: this torch sees no GPU here; use auto or cpu"
        raise ConfigError([Problem("device", message, where)])


class Origin:
    """Tells where the value of a key was written.

    Args:
        primary: the primary config file.
        overrides: overrides of the command line, as typed.
    """

    def __init__(self, primary: Path | None, overrides: Iterable[str] = ()) -> None:
        self._document = _readable(primary)
        self._overrides = [override.lstrip("+~").split("=", 1)[0] for override in overrides]

    def where(self, path: str) -> str:
        """``FILE:LINE`` of the key at a dotted path, or ``"command line"``."""
        if any(path == key or path.startswith(f"{key}.") for key in self._overrides):
            return COMMAND_LINE
        if self._document is None:
            return ""
        return self._document.where(written_as(self._document, _split(path)))

    def located(self, problems: Iterable[Problem]) -> list[Problem]:
        """The problems, with their place where they had none."""
        return [
            problem if problem.where else Problem(problem.path, problem.message, where)
            for problem in problems
            for where in [self.where(problem.path)]
        ]

    def cautions(self, config: Config) -> list[Problem]:
        """What works but is most likely not meant, keys of older versions included."""
        found = [
            *cautions(config),
            *position_cautions(config),
            *registry.cautions(config.environment),
        ]
        return self._old_keys + self.located(found)

    @functools.cached_property
    def _old_keys(self) -> list[Problem]:
        if self._document is None or not isinstance(self._document.data, dict):
            return []
        return modernise(self._document)[1]


def check_sections(mapping: Mapping[str, Any], origin: Origin) -> None:
    """Refuses a config in which a section or a schedule is no map.

    Raises:
        ConfigError: with the place of each.
    """
    try:
        build(mapping)
    except ConfigError as error:
        maps = set(_maps(defaults()))
        broken = [problem for problem in error.problems if problem.path in maps]
        if broken:
            raise ConfigError(origin.located(broken)) from None


def _maps(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            yield f"{prefix}{key}"
            yield from _maps(value, f"{prefix}{key}.")


def composition_problem(error: HydraException) -> Problem | None:
    """What is wrong with the override that Hydra could not apply; None if it is something else."""
    cause, text = error.__cause__, str(error)
    if not text.startswith(("Could not override", "Error merging override")):
        return None
    first = text.splitlines()[0]
    if not isinstance(cause, OmegaConfBaseException):
        return Problem("", first, COMMAND_LINE)
    key = str(cause.full_key or "")
    if isinstance(cause, ConfigKeyError | ConfigAttributeError):
        known = list(leaf_paths(Config))
        section = key.rpartition(".")[0]
        message = f"unknown key{did_you_mean(key, known)}"
        if key in known:
            message = f"has no place here: {section} is null; choose what it belongs to first"
        return Problem(key, message, COMMAND_LINE)
    reason = str(cause).splitlines()[0] or first
    return Problem(key, _IN_PLAIN_WORDS.get(reason, reason), COMMAND_LINE)


def _readable(path: Path | None) -> Document | None:
    try:
        return read_document(path) if path is not None else None
    except NeroRLError:
        return None  # its own error is raised by the composition


def _split(path: str) -> tuple[str | int, ...]:
    return tuple(int(part) if part.isdigit() else part for part in path.split("."))
