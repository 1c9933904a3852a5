"""The options of the sweeper, ``hydra.sweeper.*``, with their defaults and checks."""

from __future__ import annotations

import itertools
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
    "design": ("grid", "one_at_a_time"),
    "preview": ("no", "only", "first"),
}
_LEAST = {
    "max_retries": 0,
    "num_repetitions": 1,
    "max_jobs": 1,
    "max_batch_size": 1,
    "n_jobs": 1,
    "confirm": 0,
    "confirm_repetitions": 1,
    "sample": 1,
    "race_min_permutations": 1,
}


@dataclass
class SweepOptions:
    """The options of the sweeper."""

    tune: str | None = None
    """Path of the tuning file, or the name of a shipped one such as ``example``."""
    together: list[Any] = field(default_factory=list)
    """Keys that change together, as in the tuning file."""
    exclude: list[Any] = field(default_factory=list)
    """What to leave out, as in the tuning file."""
    grids: list[Any] = field(default_factory=list)
    """Further grids, as in the tuning file."""
    design: str = "grid"
    """``grid``, or ``one_at_a_time``: the base config, then each choice of each axis alone."""
    sample: int | None = None
    """How many permutations to draw from the search space with the base seed; null takes all."""
    only: list[int] | None = None
    """Numbers of the permutations to train; null trains all."""
    rerun: bool = False
    """Whether the permutations of ``only`` train again; what there was is kept beside."""
    num_repetitions: int = 1
    """All permutations are trained once, then all again with the next seed, this often."""
    duplicates: str = "keep"
    """``keep`` or ``drop`` permutations that repeat another."""
    on_invalid: str = "error"
    """``error``, or ``skip`` permutations that cannot work."""
    max_jobs: int = 1_000_000
    """A grid with more jobs is refused."""
    max_batch_size: int | None = None
    """Jobs handed to another launcher than the basic one at a time; null is 1,000."""
    retry_failed: bool = True
    """Whether continuing a sweep tries its failed jobs again."""
    generate_only: bool = False
    """Write the configs of all permutations below ``hydra.sweep.dir``; train nothing."""
    dry_run: str = "no"
    """Print every job's config instead: ``composed``, or ``resolved`` with interpolations."""
    preview: str = "no"
    """Whether some updates are measured to tell what the sweep costs: ``first``, before it starts,
    or ``only``, and nothing else happens."""
    params: dict[str, str] = field(default_factory=dict)
    """Sweeps and values as in Hydra's basic sweeper. A value on the command line replaces what they
    say of its key, and a sweep there replaces a value; a key that both sweep is refused."""
    n_jobs: int | None = None
    """Jobs that run at a time in processes of this machine, unless another launcher is chosen;
    null: one per core, or one per GPU. They share the cores evenly."""
    max_retries: int = 0
    """Additional tries of a job whose failure is not its config's fault: it was killed, a port was
    taken, an environment did not answer."""
    fail_fast: bool = False
    """Whether the first failed job stops the sweep; under other launchers, after its batch."""
    extend: bool = False
    """Whether a continued sweep may change: it may have other choices, another order of keys, and
    more keys, repetitions and updates. Nothing that was trained is lost."""
    race: bool = False
    """Whether losing permutations stop early, at rungs; ``race=false`` takes them on again."""
    race_rungs: list[float] = field(default_factory=lambda: [0.1, 0.25, 0.5])
    """Shares of ``trainer.updates`` at which permutations are compared."""
    race_keep: float = 0.25
    """Share of the permutations that goes on at each rung; with it goes what a paired test cannot
    tell from the last of them."""
    race_min_permutations: int = 2
    """Number of permutations that goes on at least."""
    race_confidence: float = 0.9
    """Confidence of that test."""
    confirm: int = 0
    """How many of the best permutations are trained again when the sweep is done, on seeds that no
    tuning job had."""
    confirm_repetitions: int = 5
    """How often each of them is trained again."""

    def __post_init__(self) -> None:
        found = []
        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                message = f"{value!r} is not allowed; expected {' or '.join(allowed)}"
                found.append(Problem(f"hydra.sweeper.{name}", message))
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                message = f"{value} is not allowed; expected a number from {least}"
                found.append(Problem(f"hydra.sweeper.{name}", message))
        found += self._race_problems()
        if self.rerun and self.only is None:
            message = "needs hydra.sweeper.only, the permutations to train again"
            found.append(Problem("hydra.sweeper.rerun", message))
        if self.only == []:
            found.append(Problem("hydra.sweeper.only", "names no permutation"))
        if found:
            raise ConfigError(found)

    def _race_problems(self) -> list[Problem]:
        found = []
        rungs = self.race_rungs
        ascending = all(low < high for low, high in itertools.pairwise([0.0, *rungs, 1.0]))
        if not rungs or not ascending:
            message = f"{rungs} is not allowed; expected shares between 0 and 1, ascending"
            found.append(Problem("hydra.sweeper.race_rungs", message))
        for name in ("race_keep", "race_confidence"):
            value = getattr(self, name)
            if not 0.0 < value < 1.0:
                message = f"{value} is not allowed; expected a share between 0 and 1"
                found.append(Problem(f"hydra.sweeper.{name}", message))
        return found

    @property
    def races(self) -> bool:
        """Whether losing permutations stop early; those of ``only`` do not."""
        return self.race and self.only is None

    @property
    def sections(self) -> dict[str, list[Any]]:
        """The sections that the options add to the tuning file."""
        named = {"together": self.together, "exclude": self.exclude, "grids": self.grids}
        return {name: list(content) for name, content in named.items() if content}


def check_layout(hydra: DictConfig) -> None:
    """Refuses job directories other than the documented ones.

    Raises:
        ConfigError: ``hydra.sweep.subdir`` was set.
    """
    written = OmegaConf.to_container(hydra.sweep, resolve=False)
    assert isinstance(written, dict)
    if written["subdir"] != HYDRAS_SUBDIR:
        message = f"{written['subdir']} is not allowed; jobs lie in <permutation>/<repetition>"
        raise ConfigError([Problem("hydra.sweep.subdir", message)])


def options_from(values: Mapping[str, Any]) -> SweepOptions:
    """Returns the options among the values that Hydra gives the sweeper."""
    names = {item.name for item in fields(SweepOptions)}
    known = {key: value for key, value in values.items() if key in names}
    plain: dict[str, Any] = {
        key: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
        for key, value in known.items()
    }
    return SweepOptions(**plain)
