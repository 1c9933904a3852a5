"""Reads what other sweepers of Hydra leave: the directories of their jobs.

They write no record of neroRL's, so only what their jobs have is known, not what they will have.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import OverrideParseException

from neroRL.errors import RecordError
from neroRL.files import numbered_directories
from neroRL.records.sweep_record import SweepRecord

OPTUNA_FILE = "optimization_results.yaml"
HYDRA, OVERRIDES, CONFIG = ".hydra/hydra.yaml", ".hydra/overrides.yaml", ".hydra/config.yaml"

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NOTHING = object()


@dataclass(frozen=True)
class OtherSweep:
    """A sweep of another sweeper, as far as its jobs have begun.

    Attributes:
        sweeper: the sweeper's name in Hydra's group ``hydra/sweeper``.
        record: its axes have the values of the jobs, its base config what all jobs share.
        values: swept keys and their values, by the number of the job.
        damaged: a message for each job whose files cannot be read; ``values`` leaves these out.
        has_ended: whether the sweeper said so. Optuna's does; others are never known to have.
    """

    sweeper: str
    record: SweepRecord
    values: Mapping[int, Mapping[str, Any]]
    damaged: Sequence[str]
    has_ended: bool


def read_other_sweep(directory: Path) -> OtherSweep | None:
    """Reads a sweep of another sweeper; None if the directory holds none.

    A job of one has a directory named by its number, in which Hydra left the job's overrides.

    Args:
        directory: of the sweep.
    """
    jobs = [n for n in numbered_directories(directory) if (directory / f"{n}/{OVERRIDES}").exists()]
    jobs.sort()
    hydra = _hydra(directory, jobs)
    if hydra is None:
        return None
    overrides: dict[int, dict[str, Any]] = {}
    configs = []
    damaged = []
    for number in jobs:
        job = directory / str(number)
        try:
            overrides[number] = _parsed(job / OVERRIDES)
            configs.append(_map(job / CONFIG))
        except RecordError as error:
            damaged.append(str(error))
            overrides.pop(number, None)
    sampled = _sampled(directory)
    axes = _axes(list(overrides.values()), sampled)
    shared = _shared(configs)
    seed = shared.get("seed")
    record = SweepRecord(
        base=shared,
        axes=axes,
        seed=seed if type(seed) is int else -1,
        tune=None,
        repetitions=1,
        permutations=len(jobs),
        jobs=len(jobs),
        versions={"hydra-core": str(hydra["runtime"]["version"])},
    )
    values = {
        number: {key: value for key, value in told.items() if key in axes}
        for number, told in overrides.items()
    }
    name = str(hydra["runtime"]["choices"]["hydra/sweeper"])
    return OtherSweep(name, record, values, damaged, (directory / OPTUNA_FILE).is_file())


def _hydra(directory: Path, jobs: Sequence[int]) -> Mapping[str, Any] | None:
    """Returns Hydra's own config of the first job of a multirun that has a readable one."""
    for number in jobs:
        try:
            hydra: Mapping[str, Any] = _map(directory / f"{number}/{HYDRA}")["hydra"]
            if hydra["mode"] == "MULTIRUN" and "hydra/sweeper" in hydra["runtime"]["choices"]:
                return hydra
        except (RecordError, KeyError, TypeError):  # another job may tell
            continue
    return None


def _sampled(directory: Path) -> list[str]:
    """Returns the keys that Optuna sampled, if its sweeper has ended; they may not differ."""
    try:
        best = _map(directory / OPTUNA_FILE).get("best_params")
    except RecordError:  # it has not ended, or had several objectives
        return []
    return list(map(str, best)) if isinstance(best, Mapping) else []


def _axes(jobs: Sequence[Mapping[str, Any]], sampled: Sequence[str]) -> dict[str, list[Any]]:
    """Returns the keys that differ between jobs or were sampled, and the values that they have."""
    found = {}
    for key in dict.fromkeys([key for job in jobs for key in job]):
        values = {json.dumps(job[key], default=str): job[key] for job in jobs if key in job}
        everywhere = all(key in job for job in jobs)
        if len(values) > 1 or not everywhere or key in sampled:
            found[key] = _in_order(list(values.values()))
    return found


def _in_order(values: list[Any]) -> list[Any]:
    """Returns numbers by size, and other values as they are."""
    return sorted(values) if all(is_number(value) for value in values) else values


def is_number(value: Any) -> bool:
    """Returns whether a value is a finite number, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _parsed(path: Path) -> dict[str, Any]:
    """Returns the values that a job's overrides set; None for a key that one removes.

    Raises:
        RecordError: the file is damaged.
    """
    texts = _loaded(path)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise RecordError(f"{path} is damaged: no list of overrides")
    try:
        parsed = OverridesParser.create().parse_overrides(texts)
    except OverrideParseException as error:
        raise RecordError(f"{path} is damaged: {str(error).splitlines()[0]}") from None
    return {override.key_or_group: override.value() for override in parsed}


def _shared(configs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the keys of nested maps that all of them have, with equal values."""
    if not configs:
        return {}
    first, *others = configs
    found = {}
    for key, value in first.items():
        same = [other.get(key, _NOTHING) for other in others]
        maps = [one for one in [value, *same] if isinstance(one, Mapping)]
        if len(maps) == len(configs):
            found[key] = _shared(maps)
        elif all(other == value for other in same):
            found[key] = value
    return found


def _map(path: Path) -> Mapping[str, Any]:
    content = _loaded(path)
    if not isinstance(content, Mapping):
        raise RecordError(f"{path} is damaged: no map")
    return content


def _loaded(path: Path) -> Any:
    """Reads a YAML file as OmegaConf wrote it.

    Raises:
        RecordError: the file is missing or no YAML.
    """
    try:
        return yaml.load(path.read_bytes(), _LOADER)
    except OSError as error:
        raise RecordError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise RecordError(f"{path} is damaged: {str(error).splitlines()[0]}") from None
