"""The checks of a composed config, and where in files and overrides its values come from."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from neroRL.config import Config, build, cautions, cross_check
from neroRL.config.documents import Document, read_document
from neroRL.config.published import modernise
from neroRL.environments import registry
from neroRL.errors import ConfigError, NeroRLError, Problem

COMMAND_LINE = "command line"


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


def check(mapping: Mapping[str, Any]) -> Config:
    """Builds the typed config of one job and checks everything that can be checked before it runs.

    Args:
        mapping: a resolved config.

    Returns:
        The typed config.

    Raises:
        ConfigError: with everything found wrong.
    """
    config = build(mapping)
    evaluated = config.evaluation.seed_list() if config.evaluation.evaluate else []
    found = cross_check(config) + registry.check(config.environment, evaluated)
    if found:
        raise ConfigError(found)
    return config


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
        keys = _split(path)
        return self._document.where(keys)

    def located(self, problems: Iterable[Problem]) -> list[Problem]:
        """The problems, with their place where they had none."""
        return [
            problem if problem.where else Problem(problem.path, problem.message, where)
            for problem in problems
            for where in [self.where(problem.path)]
        ]

    def cautions(self, config: Config) -> list[Problem]:
        """What works but is most likely not meant, keys of older versions included."""
        return self._old_keys + self.located(cautions(config))

    @functools.cached_property
    def _old_keys(self) -> list[Problem]:
        if self._document is None or not isinstance(self._document.data, dict):
            return []
        return modernise(self._document)[1]


def _readable(path: Path | None) -> Document | None:
    try:
        return read_document(path) if path is not None else None
    except NeroRLError:
        return None  # its own error is raised by the composition


def _split(path: str) -> tuple[str | int, ...]:
    return tuple(int(part) if part.isdigit() else part for part in path.split("."))
