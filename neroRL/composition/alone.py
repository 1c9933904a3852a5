"""Composes and checks one config, as a single training or an evaluation takes it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import hydra
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from neroRL.composition import checking
from neroRL.composition.checking import Origin, composition_problem, plain
from neroRL.composition.loader import choices_hold
from neroRL.composition.source import FileSource, PrimarySearchPath, PrimarySource
from neroRL.config.counterparts import counterpart_hint
from neroRL.config.problems import leaf_paths
from neroRL.config.schema import Config
from neroRL.errors import ConfigError, UsageError
from neroRL.texts import did_you_mean

HYDRA_VERSION = "1.3"


def read_config(path: Path) -> tuple[Config, Origin]:
    """Reads any base config, as ``ntrain --config`` does; prints cautions.

    Args:
        path: of the file.

    Returns:
        The checked config, and the lines that its values come from.

    Raises:
        NeroRLError: the config cannot work.
    """
    make_primary(path)
    try:
        with choices_hold():
            _, config = compose_alone(path, [], "config")
    except (HydraException, OmegaConfBaseException) as error:
        raise UsageError(explained(error)) from error
    return config, Origin(path)


def make_primary(path: Path) -> None:
    """Lets Hydra take any file as its primary config."""
    for plugin in (FileSource, PrimarySource, PrimarySearchPath):
        Plugins.instance().register(plugin)
    PrimarySearchPath.primary = path


def compose_alone(
    primary: Path,
    overrides: Sequence[str],
    job_name: str,
    check: Callable[[Config], None] | None = None,
) -> tuple[DictConfig, Config]:
    """Composes one config, checks it and tries its environment; prints cautions.

    Args:
        primary: file of the primary config.
        overrides: of the command line.
        job_name: Hydra's name of the job.
        check: checks more.

    Returns:
        The composed config with its ``hydra`` node, and the typed one.

    Raises:
        ConfigError: with all problems and their lines.
    """
    with hydra.initialize_config_dir(
        str(primary.parent), job_name=job_name, version_base=HYDRA_VERSION
    ):
        composed = hydra.compose(primary.stem, overrides=list(overrides), return_hydra_config=True)
    origin = Origin(primary, overrides)
    try:
        with checking.trying() as checked:
            config = checked(plain(composed))
        if check is not None:
            check(config)
    except ConfigError as error:
        raise ConfigError(origin.located(error.problems)) from None
    for caution in origin.cautions(config):
        print(f"warning: {caution}", file=sys.stderr)
    return composed, config


def explained(error: Exception) -> str:
    """Returns the text of Hydra's error, with near matches for a key that it does not find."""
    problem = composition_problem(error) if isinstance(error, HydraException) else None
    if problem is not None:
        return str(problem)
    text = str(error).strip()
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException) and str(cause) not in text:
        text = f"{text}\n{cause}"
    key = getattr(cause, "full_key", None) or getattr(error, "full_key", None)
    if key:
        text += counterpart_hint(str(key)) or did_you_mean(str(key), leaf_paths(Config))
    return text
