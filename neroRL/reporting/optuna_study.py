"""A sweep as an Optuna study, for optuna-dashboard and Optuna's own analyses."""

from __future__ import annotations

import json
import math
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neroRL.errors import OutputError, UsageError
from neroRL.files import check_place, make_directory
from neroRL.records.other_sweeps import is_number
from neroRL.records.results import COMPLETED, STOPPED, JobResult
from neroRL.records.sweeps import RecordedSweep
from neroRL.reporting.cells import keys_shown_as_text

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

INSTALL = 'pip install "neroRL[optuna]"'


def check_study(path: Path) -> None:
    """Refuses a study that could not be written, before anything is.

    Args:
        path: of a new file.

    Raises:
        UsageError: Optuna is not installed.
        OutputError: the file exists, or no directory can be made for it.
    """
    if find_spec("optuna") is None:
        raise UsageError(f"--optuna needs Optuna: {INSTALL}")
    if path.exists():
        raise OutputError(f"{path} exists already, and nothing is overwritten")
    check_place(path.parent)


def write_study(path: Path, sweep: RecordedSweep, metric: str) -> None:
    """Writes a sweep as a study in an SQLite file, with one trial for each job that has ended.

    A stopped job is a pruned trial; a failed or diverged one, and one without a number, a failed
    trial. A trial's user attributes tell its permutation, repetition, seed and directory.

    Args:
        path: of a new file.
        sweep: as its files tell it.
        metric: the value of the trials; more is better.

    Raises:
        UsageError: Optuna is not installed.
        OutputError: the file exists, or cannot be written.
    """
    check_study(path)
    import optuna
    from sqlalchemy import URL
    from sqlalchemy.exc import SQLAlchemyError

    make_directory(path.parent)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(
            storage=URL.create("sqlite", database=str(path)).render_as_string(),
            study_name=sweep.record.id or sweep.directory.resolve().name,
            direction="maximize",
        )
        study.add_trials(_trials(sweep, metric))
    except SQLAlchemyError as error:
        raise OutputError(f"{path} cannot be written: {error}") from error


def _trials(sweep: RecordedSweep, metric: str) -> list[FrozenTrial]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    axes = sweep.record.axes
    as_text = keys_shown_as_text(axes)
    params = [
        {key: _value(value, as_text=key in as_text) for key, value in job.overrides.items()}
        for job in sweep.results
    ]
    distributions: dict[str, BaseDistribution] = {}
    for key, listed in axes.items():
        choices = [_value(choice, as_text=key in as_text) for choice in listed]
        # A swept seed of -1 is drawn, so jobs may have other values than those listed.
        values = [told[key] for told in params if key in told]
        if sweep.sweeper and all(map(is_number, listed)):  # drawn from a range, of which these are
            distributions[key] = FloatDistribution(min(listed), max(listed))
            continue
        distributions[key] = CategoricalDistribution(list(dict.fromkeys([*choices, *values])))
    return [
        _trial(job, told, {key: distributions[key] for key in told}, metric)
        for job, told in zip(sweep.results, params, strict=True)
    ]


def _trial(
    job: JobResult,
    params: dict[str, Any],
    distributions: dict[str, BaseDistribution],
    metric: str,
) -> FrozenTrial:
    from optuna.trial import TrialState, create_trial

    value = job.number(metric)
    state = TrialState.PRUNED if job.status == STOPPED else TrialState.FAIL
    if job.status == COMPLETED and value is not None:
        state = TrialState.COMPLETE
    return create_trial(
        state=state,
        value=value if state is TrialState.COMPLETE else None,
        params=params,
        distributions=distributions,
        user_attrs={
            "permutation": job.permutation,
            "repetition": job.repetition,
            "seed": job.seed,
            "status": job.status,
            "directory": job.directory,
            **({"error": job.error} if job.error else {}),
        },
    )


def _value(value: Any, *, as_text: bool) -> Any:
    """A choice as Optuna takes it: a number, a truth value or text."""
    known = isinstance(value, bool | int | str) or (
        isinstance(value, float) and math.isfinite(value)
    )
    return value if known and not as_text else json.dumps(value)
