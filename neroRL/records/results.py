"""The result of a job (``result.json``) and the table of a sweep (``results.csv``)."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from neroRL.config.roles import PLACE
from neroRL.config.schema import ADDED_KEYS, REVISION
from neroRL.errors import RecordError
from neroRL.files import write_text

RESULT_FILE = "result.json"
TABLE_FILE = "results.csv"
FORMAT = 2

Status = Literal["completed", "failed", "diverged", "stopped"]
COMPLETED: Final = "completed"
FAILED: Final = "failed"
DIVERGED: Final = "diverged"
STOPPED: Final = "stopped"
STATUSES: tuple[Status, ...] = (COMPLETED, FAILED, DIVERGED, STOPPED)
_BEFORE = ("permutation", "repetition", "seed", "status")
_MEASURED = (
    "objective",
    "reward_mean",
    "reward_std",
    "length_mean",
    "success_mean",
)
_AFTER = (
    "updates",
    "env_steps",
    "wall_seconds",
    "steps_per_second",
    "directory",
    "error",
)
# The numbers of every result; ``statistics`` are further ones.
NUMBERS = (*_MEASURED, *_AFTER[: _AFTER.index("directory")])


@dataclass(frozen=True, slots=True)
class JobResult:
    """The outcome of one job, or of a single training.

    Attributes:
        permutation: number of the grid point; 0 for a single training. Negative if it is no part of
            its sweep any more.
        repetition: from 0.
        seed: of the training.
        status: completed; failed with an error; diverged, the loss was not finite any more; or
            stopped early by a race.
        overrides: the swept keys, by dotted path, and their values.
        objective: compared by the sweep; None if no episode ended.
        reward_mean: mean return of the episodes that the objective is taken from.
        reward_std: their standard deviation.
        length_mean: their mean length, in steps.
        success_mean: fraction of them that succeeded, if the environment reports success.
        statistics: means of the environment's other statistics, e.g. ``floor_mean``.
        updates: PPO updates done.
        env_steps: environment steps done.
        wall_seconds: duration of the job, with the start of its environments, over all of its
            runs.
        steps_per_second: environment steps over the time of rollout and optimisation.
        directory: the job's directory, relative to the sweep's.
        error: that ended a failed or diverged job.
        rung: of a race at which the job stopped: the share of its updates.
        planned_updates: of the whole training of a job that did not complete.
        resume_at: updates that counted as done before the training began, ``trainer.resume_at``.
        transient: whether the failure is not the config's fault, so that another try may help.
        evaluation_seconds: mean duration of an evaluation in the job's last run; None without any.
        threads: torch threads used; equal results need equal numbers.
        processes: that stepped the environments; 0 for the training's own.
        precision: of matrix products; what ``auto`` chose.
        weights: digest of the weights that the training began with, ``model.load_model``.
        fingerprint: of the config and weights that the job trained.
        format: version of this format.
    """

    __pydantic_config__ = ConfigDict(allow_inf_nan=False)

    permutation: int
    repetition: int
    seed: int
    status: Status
    overrides: Mapping[str, Any] = field(default_factory=dict)
    objective: float | None = None
    reward_mean: float | None = None
    reward_std: float | None = None
    length_mean: float | None = None
    success_mean: float | None = None
    statistics: Mapping[str, float | None] = field(default_factory=dict)
    updates: int = 0
    env_steps: int = 0
    wall_seconds: float = 0.0
    steps_per_second: float | None = None
    directory: str = "."
    error: str | None = None
    rung: float | None = None
    planned_updates: int | None = None
    resume_at: int = 0
    transient: bool = False
    evaluation_seconds: float | None = None
    threads: int | None = None
    processes: int | None = None
    precision: str | None = None
    weights: str | None = None
    fingerprint: str = ""
    format: int = FORMAT

    @property
    def whole_updates(self) -> int:
        """The updates of the whole training, as far as the result tells."""
        return self.planned_updates or self.updates

    @property
    def own_updates(self) -> int:
        """The updates that the training did itself."""
        return max(self.updates - self.resume_at, 0)

    @property
    def evaluated(self) -> bool:
        """Whether the objective is that of an evaluation, as far as the result tells."""
        return self.evaluation_seconds is not None

    def number(self, name: str) -> float | None:
        """Returns a number of the result by the name of its column; None if there is none."""
        value: float | None = getattr(self, name) if name in NUMBERS else self.statistics.get(name)
        return value

    def write(self, directory: Path) -> None:
        """Writes ``result.json`` atomically."""
        values = {key: _finite(value) for key, value in dataclasses.asdict(self).items()}
        write_text(directory / RESULT_FILE, json.dumps(values, indent=2) + "\n")


_ADAPTER = TypeAdapter(JobResult)
_NO_VALUE = object()


def fingerprint(config: Mapping[str, Any], weights: str | None = None) -> str:
    """Returns a digest of what a job trains, and of the version of its config's meaning.

    Keys that only say where the job runs and reports to are left out, and so are added keys with
    the values that earlier versions trained with.

    Args:
        config: complete and resolved.
        weights: digest of the weights that the training begins with, if it loads any.
    """
    trained = [FORMAT, REVISION, _as_before(config), *([weights] if weights else [])]
    text = json.dumps(trained, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _as_before(config: Mapping[str, Any], section: str = "") -> dict[str, Any]:
    """Returns a config without places, and without added keys that change nothing."""
    return {
        key: _as_before(value, f"{section}{key}.") if isinstance(value, Mapping) else value
        for key, value in config.items()
        if (path := f"{section}{key}") not in PLACE and ADDED_KEYS.get(path, _NO_VALUE) != value
    }


def load_result(directory: Path) -> JobResult:
    """Returns a job's result.

    Unknown keys are ignored, and keys that an older version did not write have their defaults.

    Args:
        directory: of the job.

    Raises:
        FileNotFoundError: the job has no result.
        RecordError: its ``result.json`` is not whole.
    """
    path = directory / RESULT_FILE
    try:
        return _ADAPTER.validate_python(json.loads(path.read_bytes()))
    except ValidationError as error:
        first = error.errors()[0]
        reason = ": ".join([*map(str, first["loc"]), first["msg"]])
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        reason = f"no JSON: {error}"
    raise RecordError(f"{path} is damaged: {reason}")


def read_result(directory: Path) -> JobResult | None:
    """Returns a job's result; None if it is missing or not whole.

    Args:
        directory: of the job.

    >>> from tempfile import mkdtemp
    >>> job = Path(mkdtemp())
    >>> read_result(job) is None
    True
    >>> JobResult(3, 0, seed=7, status=COMPLETED, objective=0.5).write(job)
    >>> read_result(job).objective
    0.5
    """
    try:
        return load_result(directory)
    except (OSError, RecordError):
        return None


def write_table(sweep: Path, keys: Sequence[str], results: Iterable[JobResult]) -> None:
    """Writes ``results.csv``: one row per job, in the order of the results.

    Args:
        sweep: the sweep's directory.
        keys: the swept keys.
        results: what is known so far.
    """
    columns, rows = table_of(keys, list(results))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([table_cell(value) for value in row] for row in rows)
    write_text(sweep / TABLE_FILE, text.getvalue())


def table_of(
    keys: Sequence[str], results: Sequence[JobResult]
) -> tuple[list[str], Iterator[list[Any]]]:
    """Returns the columns of the table of a sweep, and its rows, one for each job.

    What environments tell besides reward, length and success has a column each, by name. Last come
    ``rung``, where a race stopped jobs, and ``dropped``, which marks jobs that are no part of the
    sweep any more, if there are any.

    Args:
        keys: the swept keys, a column each; ``seed`` has one anyway.
        results: of the jobs.
    """
    keys = [key for key in keys if key not in _BEFORE]
    others = sorted({name for result in results for name in result.statistics})
    rungs = ["rung"] if any(result.rung is not None for result in results) else []
    marks = ["dropped"] if any(result.permutation < 0 for result in results) else []

    def row(result: JobResult) -> list[Any]:
        return [
            *(getattr(result, name) for name in _BEFORE),
            *(result.overrides.get(key) for key in keys),
            *(getattr(result, name) for name in _MEASURED),
            *(result.statistics.get(name) for name in others),
            *(getattr(result, name) for name in _AFTER),
            *(result.rung for _ in rungs),
            *(result.permutation < 0 for _ in marks),
        ]

    return [*_BEFORE, *keys, *_MEASURED, *others, *_AFTER, *rungs, *marks], map(row, results)


def _finite(value: Any) -> Any:
    """Replaces numbers that are not finite by None, since JSON has no NaN."""
    if isinstance(value, Mapping):
        return {key: _finite(below) for key, below in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table_cell(value: Any) -> Any:
    """Returns the cell of a value: empty for None, lists and booleans as in JSON."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, bool | list | dict):
        return json.dumps(value)
    return value
