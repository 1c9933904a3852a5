"""Which sweep a directory holds, who works on it, and which of its jobs are done."""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from neroRL import __version__
from neroRL.config.checks import flat
from neroRL.config.documents import dump_yaml, read_document
from neroRL.config.schema import REVISION
from neroRL.errors import ConfigError, OutputError
from neroRL.files import check_place, write_text
from neroRL.records.results import FORMAT
from neroRL.sweep.grid import Axis
from neroRL.sweep.jobs import SEED, seed_of_choice

RECORD_FILE = "sweep.yaml"
# Keys that do not change what a sweep is: where and how it runs.
_NOT_IDENTITY = ("seed", "run_id", "worker_id", "device", "threads")


@dataclass(frozen=True)
class SweepRecord:
    """What ``sweep.yaml`` tells.

    Attributes:
        base: the resolved base config.
        axes: the swept keys and their choices, in grid order.
        seed: base seed, drawn if none was given.
        tune: path of the tuning file, if any.
        repetitions: number of laps.
        permutations: number of grid points.
        jobs: number of trainings.
        conditional: overrides of the command line that apply beside some choices only.
        drawn_seeds: what was drawn for the choices -1, -2, … of a swept seed.
    """

    base: Mapping[str, Any]
    axes: Mapping[str, Sequence[Any]]
    seed: int
    tune: str | None
    repetitions: int
    permutations: int
    jobs: int
    conditional: Sequence[str] = ()
    drawn_seeds: Sequence[int] = ()

    def trained_axes(self) -> dict[str, Sequence[Any]]:
        """The swept keys and the values that jobs have: seeds as they were drawn."""
        seeds = [seed_of_choice(seed, self.drawn_seeds) for seed in self.axes.get(SEED, [])]
        return {**self.axes, **({SEED: seeds} if seeds else {})}

    def write(self, directory: Path) -> None:
        """Writes ``sweep.yaml`` atomically."""
        write_text(directory / RECORD_FILE, self.text())

    def text(self) -> str:
        """The content of ``sweep.yaml``."""
        content = {
            "format": FORMAT,
            "tuning_file": self.tune,
            "permutations": self.permutations,
            "repetitions": self.repetitions,
            "jobs": self.jobs,
            "seed": self.seed,
            "drawn_seeds": list(self.drawn_seeds),
            "axes": [{"key": key, "choices": list(choices)} for key, choices in self.axes.items()],
            "conditional_overrides": list(self.conditional),
            "base_config": dict(self.base),
            "versions": versions(),
        }
        return dump_yaml(content)


def axes_of(axes: Sequence[Axis]) -> dict[str, list[Any]]:
    """The axes as they are recorded."""
    return {axis.key: [choice.value for choice in axis.choices] for axis in axes}


def recorded(directory: Path) -> SweepRecord | None:
    """Reads the record of the sweep in a directory; None if there is none.

    Raises:
        OutputError: the record cannot be read.
    """
    path = directory / RECORD_FILE
    if not path.exists():
        return None
    try:
        content = read_document(path).data
        return SweepRecord(
            base=content["base_config"],
            axes={axis["key"]: axis["choices"] for axis in content["axes"]},
            seed=content["seed"],
            tune=content["tuning_file"],
            repetitions=content["repetitions"],
            permutations=content["permutations"],
            jobs=content["jobs"],
            conditional=tuple(content.get("conditional_overrides", ())),
            drawn_seeds=tuple(content.get("drawn_seeds", ())),
        )
    except (ConfigError, KeyError, TypeError) as error:
        message = f"{path} is damaged ({error}); move it away or use another --out"
        raise OutputError(message) from None


def difference(old: SweepRecord, new: SweepRecord) -> list[str]:
    """What makes two sweeps different ones, a line each; empty for the same sweep."""
    lines = []
    for key in dict.fromkeys([*old.axes, *new.axes]):
        was, now = old.axes.get(key), new.axes.get(key)
        if was != now:
            lines.append(f"{key}: there {_shown(was)}, now {_shown(now)}")
    if not lines and list(old.axes) != list(new.axes):
        lines.append(f"order of keys: there {list(old.axes)}, now {list(new.axes)}")
    for key, (there, here) in _base_difference(old, new).items():
        lines.append(f"{key}: there {there}, now {here}")
    if list(old.conditional) != list(new.conditional):
        there, here = list(old.conditional), list(new.conditional)
        lines.append(f"values that apply beside some choices: there {there}, now {here}")
    return lines


def refuse_other_sweep(directory: Path, there: SweepRecord, now: SweepRecord) -> None:
    """Compares the sweep in a directory with the one that is to run there.

    Raises:
        OutputError: they differ; every difference is told, and what would allow it.
    """
    lines = difference(there, now)
    if there.seed != now.seed:
        lines.append(f"seed: there {there.seed}, now {now.seed}")
    if lines:
        ways = ["use another --run-id or --out", "remove it", *_ways_to_extend(there, now)]
        listed = "\n  ".join(lines)
        raise OutputError(
            f"{directory} holds a different sweep; nothing was changed. "
            f"You can {'; or '.join(ways)}.\n  {listed}"
        )


def _base_difference(old: SweepRecord, new: SweepRecord) -> dict[str, tuple[Any, Any]]:
    was, now = flat(old.base), flat(new.base)
    return {
        key: (was.get(key), now.get(key))
        for key in dict.fromkeys([*was, *now])
        if was.get(key) != now.get(key) and key not in _NOT_IDENTITY and key not in new.axes
    }


def _ways_to_extend(there: SweepRecord, now: SweepRecord) -> list[str]:
    """How ``hydra.sweeper.extend=true`` would allow the difference, if it can."""
    changed = _base_difference(there, now)
    if changed:
        key, (was, value) = next(iter(changed.items()))
        return [f"sweep {key} over {was} and {value}, with hydra.sweeper.extend=true"]
    grown = all(_contains(now.axes.get(key, []), choices) for key, choices in there.axes.items())
    if grown and there.axes != now.axes:
        return ["add hydra.sweeper.extend=true, which keeps what is done and trains the rest"]
    return []


def _contains(choices: Sequence[Any], fewer: Sequence[Any]) -> bool:
    return not Counter(map(repr, fewer)) - Counter(map(repr, choices))


def fingerprint(config: Mapping[str, Any]) -> str:
    """Identifies what a job trains: its resolved config and its meaning, without where it runs."""
    kept = {key: value for key, value in config.items() if key not in _NOT_IDENTITY[1:]}
    text = json.dumps([FORMAT, REVISION, kept], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    names = ("torch", "numpy", "gymnasium", "minigrid", "hydra-core")
    found = {"neroRL": __version__, "python": platform.python_version()}
    for name in names:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def check_directory(directory: Path) -> None:
    """Refuses an output directory that cannot hold a sweep, without creating anything.

    Raises:
        OutputError: it is a file, not writable, or holds something that is no sweep.
    """
    check_place(directory)
    if directory.exists() and not (directory / RECORD_FILE).exists():
        foreign = sorted(path.name for path in directory.iterdir() if path.name[0] != ".")
        if foreign:
            raise OutputError(
                f"{directory} holds {', '.join(foreign[:3])} but no {RECORD_FILE}; nothing there "
                "is overwritten, use another --out or --run-id"
            )


def _shown(choices: Sequence[Any] | None) -> str:
    return "not swept" if choices is None else str(list(choices))
