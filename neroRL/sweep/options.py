"""The options of the sweeper, ``hydra.sweeper.*``, typed and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from omegaconf import DictConfig, OmegaConf

from neroRL.errors import ConfigError, Problem

HYDRAS_SUBDIR = "${hydra.job.num}"

_CHOICES = {
    "duplicates": ("keep", "drop"),
    "on_invalid": ("error", "skip"),
    "dry_run": ("no", "composed", "resolved"),
}


@dataclass(frozen=True)
class SweepOptions:
    """How a sweep is run; the meaning of each is in ``hydra_plugins/nerorl_sweeper/config.py``."""

    tune: str | None = None
    num_repetitions: int = 1
    duplicates: str = "keep"
    on_invalid: str = "error"
    max_jobs: int = 1_000_000
    max_batch_size: int | None = None
    retry_failed: bool = True
    generate_only: bool = False
    dry_run: str = "no"
    params: Mapping[str, str] = field(default_factory=dict)
    n_jobs: int | None = None
    max_retries: int = 0
    fail_fast: bool = False
    extend: bool = False

    def __post_init__(self) -> None:
        found = []
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                message = f"{value!r} is not allowed; expected {' or '.join(allowed)}"
                found.append(Problem(f"hydra.sweeper.{name}", message))
        if self.max_retries < 0:
            message = f"{self.max_retries} is not allowed; expected a number from 0"
            found.append(Problem("hydra.sweeper.max_retries", message))
        for name in ("num_repetitions", "max_jobs", "max_batch_size", "n_jobs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                message = f"{value} is not allowed; expected a number from 1"
                found.append(Problem(f"hydra.sweeper.{name}", message))
        if found:
            raise ConfigError(found)


def check_layout(hydra: DictConfig) -> None:
    """Refuses directories of jobs that are not the documented ones.

    Raises:
        ConfigError: ``hydra.sweep.subdir`` was set.
    """
    written = OmegaConf.to_container(hydra.sweep, resolve=False)
    assert isinstance(written, dict)
    if written["subdir"] != HYDRAS_SUBDIR:
        message = f"{written['subdir']} is not allowed; jobs lie in <permutation>/<repetition>"
        raise ConfigError([Problem("hydra.sweep.subdir", message)])


def options_from(values: Mapping[str, Any]) -> SweepOptions:
    """The options from what Hydra hands the sweeper."""
    names = {item.name for item in fields(SweepOptions)}
    return SweepOptions(**{key: value for key, value in values.items() if key in names})
