"""Prepares the command line for other sweepers of Hydra than neroRL's own."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import hydra
from omegaconf import OmegaConf

from neroRL.composition.alone import HYDRA_VERSION
from neroRL.composition.checking import known_to_hydra
from neroRL.composition.overrides import parse
from neroRL.config.documents import read_text
from neroRL.config.nested import flat
from neroRL.errors import FailedError, OutputError, UsageError
from neroRL.files import numbered_directories

SWEEPER = "hydra/sweeper"
OWN = "hydra_plugins.nerorl_sweeper.nerorl_sweeper.NeroRLSweeper"
DIRECTION = "hydra.sweeper.direction"
LESS, MORE = "minimize", "maximize"
# What Optuna raises as a study ends, and what it means.
_ENDS = {
    "No trials are completed": "all trials failed",
    "`Study.stop` is supposed to be invoked": "the grid is done, and its last trial failed",
}


def overrides_for_sweeper(primary: Path, overrides: Sequence[str], *, dry_run: bool) -> list[str]:
    """Returns the override that has a sweeper look for the highest objective, if it needs one.

    Optuna's sweeper looks for the lowest unless it is told. A direction that is given is left as
    it is, and a warning says what it does.

    Args:
        primary: the primary config file.
        overrides: of the command line.
        dry_run: whether the configs of the jobs are to be printed.

    Raises:
        ConfigError: the file cannot be read.
        UsageError: the sweeper cannot print them.
        OutputError: the sweep's directory holds jobs already.
    """
    file = read_text(primary)
    if not any(SWEEPER in text for text in [*overrides, file]):  # neroRL's own
        return []
    sweeper, directory = _composed(primary, overrides)
    if dry_run:
        if "dry_run" in sweeper:
            return []
        message = "prints the configs of neroRL's own sweeper; this one chooses them as it runs"
        raise UsageError(f"--cfg with --multirun {message}")
    if sweeper["_target_"] != OWN:
        _check_is_new(directory)
    if sweeper.get("direction") != LESS:
        return []
    written: Any = OmegaConf.to_container(OmegaConf.load(primary))
    if DIRECTION in flat(written) or any(DIRECTION in text for text in overrides):
        message = f"{DIRECTION}={LESS} looks for the lowest objective; more is better in neroRL"
        print(f"warning: {message}", file=sys.stderr)
        return []
    return [f"{DIRECTION}={MORE}"]


@contextlib.contextmanager
def end_of_study() -> Iterator[None]:
    """Tells the end of a study at which Optuna's sweeper does not write its best trial.

    Raises:
        FailedError: all trials failed, or the last one of a grid did.
    """
    try:
        yield
    except (ValueError, RuntimeError) as error:
        for text, told in _ENDS.items():
            if text in str(error):
                raise FailedError(f"{told}; Optuna's sweeper writes no best one") from error
        raise


def _composed(primary: Path, overrides: Sequence[str]) -> tuple[dict[str, Any], Path]:
    """Returns the sweeper's node of Hydra's config, with names for enumerations, and its directory.

    What only jobs know, like the swept keys, is left out.
    """
    told = [
        text
        for text in overrides
        if text.lstrip("+~").startswith(("hydra", "run_id="))
        and not parse(text).is_sweep_override()
    ]
    with hydra.initialize_config_dir(str(primary.parent), version_base=HYDRA_VERSION):
        composed = hydra.compose(primary.stem, told, return_hydra_config=True)
    with known_to_hydra(composed):
        content = OmegaConf.to_container(composed.hydra.sweeper, enum_to_str=True)
        directory = Path(str(composed.hydra.sweep.dir))
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}, directory


def _check_is_new(directory: Path) -> None:
    """Refuses a directory with jobs: other sweepers cannot continue them and count from 0 again.

    Raises:
        OutputError: there are some.
    """
    if directory.is_dir() and list(numbered_directories(directory)):
        raise OutputError(
            f"{directory} holds a sweep, which only neroRL's own sweeper continues; nothing there "
            "is overwritten, use another run_id or hydra.sweep.dir"
        )
