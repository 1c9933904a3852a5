"""The record of a sweep, ``sweep.yaml``: its grid, its command line, its versions."""

from __future__ import annotations

import contextlib
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from neroRL import __version__
from neroRL.config.budget import UPDATES
from neroRL.config.documents import dump_yaml, read_document
from neroRL.cores import available_cores
from neroRL.errors import ConfigError, RecordError
from neroRL.files import write_text
from neroRL.records.results import FORMAT

RECORD_FILE = "sweep.yaml"
# The config groups that are shipped; their options leave the number of updates alone.
GROUPS = ("environment", "model/memory")


@dataclass(frozen=True)
class SweepRecord:
    """The content of ``sweep.yaml``.

    Attributes:
        base: the resolved base config.
        axes: the swept keys and their choices, in grid order.
        seed: base seed, drawn if none was given.
        tune: path of the tuning file, if any.
        repetitions: number of trainings of each permutation.
        permutations: number of grid points.
        jobs: number of trainings.
        conditional: overrides of the command line that apply beside some choices only.
        drawn_seeds: the seeds drawn for the choices -1, -2, … of a swept seed.
        id: unique to this sweep and its copies; empty in records of older versions.
        command: the last command line of the sweep.
        versions: of neroRL, Python, and the packages that results depend on.
        hardware: of the machine that ran the sweep last; empty in the records of older versions.
        confirm: how many of the best permutations the last command confirms.
        confirm_repetitions: how often it trains each of them again.
        space: how the axes make the search space, if it is more than their product: ``grids``,
            ``design`` and ``sample``.
        race: the rule by which losing permutations stop early; empty without a race.
        race_is_over: whether its last decision was made.
        dropped: the swept values of permutations that were trained and are no part of the sweep any
            more, by their numbers -1, -2, ….
        edition: how often the sweep was changed: other permutations, other numbers, more updates.
    """

    base: Mapping[str, Any]
    axes: Mapping[str, Sequence[Any]]
    seed: int
    tune: str | None
    repetitions: int
    permutations: int
    jobs: int
    conditional: tuple[str, ...] = ()
    drawn_seeds: tuple[int, ...] = ()
    id: str = ""
    command: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    hardware: Mapping[str, str] = field(default_factory=dict)
    confirm: int = 0
    confirm_repetitions: int = 0
    space: Mapping[str, Any] = field(default_factory=dict)
    race: Mapping[str, Any] = field(default_factory=dict)
    race_is_over: bool = False
    dropped: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    edition: int = 0

    @property
    def seeds(self) -> str:
        """Names the seeds that the repetitions train with, as text."""
        last = self.seed + self.repetitions - 1
        return str(self.seed) if self.repetitions == 1 else f"{self.seed} to {last}"

    @property
    def updates(self) -> int | None:
        """The updates of all trainings; None where choices may set other ones than the config.

        Such a choice is one of the number itself, or an option of a config group of a user's.
        """
        numbers = {key for key, value in self.base.items() if not isinstance(value, Mapping)}
        plain = all("." in key or key in numbers or key in GROUPS for key in self.axes)
        named = [*self.axes, *(override.partition("=")[0] for override in self.conditional)]
        if not plain or UPDATES in (name.lstrip("+") for name in named):
            return None
        updates: int | None = self.base.get("trainer", {}).get("updates")
        return updates

    def write(self, directory: Path) -> None:
        """Writes ``sweep.yaml`` atomically."""
        write_text(directory / RECORD_FILE, self.text())

    def text(self) -> str:
        """Returns the content of ``sweep.yaml``."""
        content = {
            "format": FORMAT,
            "id": self.id,
            "edition": self.edition,
            "command": self.command,
            "tuning_file": self.tune,
            "permutations": self.permutations,
            "repetitions": self.repetitions,
            "jobs": self.jobs,
            "seed": self.seed,
            "drawn_seeds": list(self.drawn_seeds),
            "confirm": self.confirm,
            "confirm_repetitions": self.confirm_repetitions,
            "axes": [{"key": key, "choices": list(choices)} for key, choices in self.axes.items()],
            **({"space": dict(self.space)} if self.space else {}),
            **({"race": dict(self.race), "race_is_over": self.race_is_over} if self.race else {}),
            **({"dropped": dict(self.dropped)} if self.dropped else {}),
            "conditional_overrides": list(self.conditional),
            "base_config": dict(self.base),
            "versions": dict(self.versions),
            "hardware": dict(self.hardware),
        }
        return dump_yaml(content)


_ADAPTER = TypeAdapter(SweepRecord)


def trial_id(sweep_id: str, permutation: int) -> str:
    """Returns TensorBoard's name of a permutation, which no other sweep has."""
    return f"{sweep_id}/{permutation}" if sweep_id else str(permutation)


def read_record(directory: Path) -> SweepRecord | None:
    """Returns the record of the sweep in a directory; None if there is none.

    Raises:
        RecordError: the record is damaged.

    >>> from tempfile import mkdtemp
    >>> sweep = Path(mkdtemp())
    >>> axes = {"trainer.gamma": [0.9, 0.99]}
    >>> SweepRecord({}, axes, seed=1, tune=None, repetitions=1, permutations=2, jobs=2).write(sweep)
    >>> read_record(sweep).axes
    {'trainer.gamma': [0.9, 0.99]}
    """
    path = directory / RECORD_FILE
    if not path.exists():
        return None
    try:
        content = read_document(path).data
        known = {
            **content,
            "base": content["base_config"],
            "tune": content["tuning_file"],
            "conditional": content.get("conditional_overrides", ()),
            "axes": {axis["key"]: axis["choices"] for axis in content["axes"]},
        }
        return _ADAPTER.validate_python(known)
    except ValidationError as error:
        first = error.errors()[0]
        reason = ": ".join([*map(str, first["loc"]), first["msg"]])
    except ConfigError as error:
        reason = str(error)
    except (KeyError, TypeError) as error:
        reason = f"incomplete: {error}"
    raise RecordError(f"{path} is damaged: {reason}; restore it, or move it away")


def command_line() -> str:
    """Returns the command line of this process, quoted for a shell."""
    return shlex.join(sys.orig_argv)


def versions() -> dict[str, str]:
    """Returns the versions of the packages that results depend on."""
    names = ("torch", "numpy", "gymnasium", "minigrid", "hydra-core")
    found = {"neroRL": __version__, "python": platform.python_version()}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def hardware() -> dict[str, str]:
    """Returns the processor, its cores and the GPUs of this machine, as far as files tell."""
    processor = _values_in(Path("/proc/cpuinfo"), "model name")
    cards = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    gpus = [model for card in cards for model in _values_in(card, "Model")[:1]]
    return {
        "cpu": processor[0] if processor else platform.processor() or platform.machine(),
        "cores": str(available_cores()),
        **({"gpus": ", ".join(gpus)} if gpus else {}),
    }


def _values_in(path: Path, name: str) -> list[str]:
    """The values of a name in a file of ``name : value`` lines; none where it cannot be read."""
    try:
        lines = [line.partition(":") for line in path.read_text().splitlines()]
    except OSError:
        return []
    return [value.strip() for key, _, value in lines if key.strip() == name]
