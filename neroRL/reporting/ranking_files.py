"""Writes the files of a ranking: ``ranking.csv`` and ``best.yaml``."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import OmegaConf

from neroRL.composition.checking import plain
from neroRL.composition.completion import complete
from neroRL.composition.overrides import escaped
from neroRL.config.documents import dump_yaml, read_document
from neroRL.errors import ConfigError, Problem
from neroRL.files import write_text
from neroRL.ranking.ranking import OBJECTIVE, Ranked, Ranking
from neroRL.records.results import STATUSES, JobResult, fingerprint, table_cell

REPORT, RANKING_FILE, BEST_FILE = "report", "ranking.csv", "best.yaml"
REPORT_FILE = "report.html"
# The beginning of an interpolation whose value does not follow from the config alone.
_RESOLVER = re.compile(r"\$\{[\w.]+:")


class Written(NamedTuple):
    """The written files of a ranking.

    Attributes:
        table: the ranking.
        best: the config of the best permutation, if there is one.
        warning: the reason if a best permutation has no config.
        config: of the best permutation, written or not.
    """

    table: Path
    best: Path | None = None
    warning: str | None = None
    config: Mapping[str, Any] | None = None


def write_files(
    sweep: Path,
    ranking: Ranking,
    keys: Sequence[str],
    results: Sequence[JobResult],
    out: Path | None = None,
) -> Written:
    """Writes the ranking as a table, and the config of the best permutation.

    A ranking by another metric than the objective leaves the sweep's own ``best.yaml`` as it is.

    Args:
        sweep: the sweep's directory.
        ranking: of its permutations.
        keys: the swept keys, a column each.
        results: of its jobs.
        out: where to write; None for ``report/ranking.csv`` and ``best.yaml`` in the sweep.
    """
    table, path = (out or sweep / REPORT) / RANKING_FILE, (out or sweep) / BEST_FILE
    write_table(table, ranking, keys)
    config = warning = None
    is_kept = ranking.best is not None and _is_of(path, ranking.best)
    if ranking.best is not None:
        try:
            config = best_config(sweep, ranking.best, results)
        except ConfigError as error:
            warning = f"{path} stays as it was: {error}" if is_kept else f"no {path}: {error}"
    if out is None and ranking.metric != OBJECTIVE:
        return Written(table, config=config)
    if ranking.best is not None and config is not None:
        write_best(path, ranking.best, config)
        return Written(table, path, config=config)
    if not is_kept:  # one of an earlier ranking may be of another permutation
        path.unlink(missing_ok=True)
    return Written(table, None, warning)


def write_table(path: Path, ranking: Ranking, keys: Sequence[str]) -> None:
    """Writes a ranking as a table, one row per permutation.

    Args:
        path: of the file; its directory is made if it is missing.
        ranking: the permutations.
        keys: the swept keys, a column each.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["rank", "permutation", *keys, "runs", "iqm", "ci_low", "ci_high", "mean", "std",
         "tied_with_best", *STATUSES, "env_steps", "wall_seconds"]
    )  # fmt: skip
    for row in ranking.rows:
        writer.writerow([table_cell(value) for value in _values(row, keys)])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text.getvalue())


def _values(row: Ranked, keys: Sequence[str]) -> list[Any]:
    standing = row.standing
    ranked = row.rank is not None
    return [
        row.rank,
        standing.permutation,
        *(standing.overrides.get(key) for key in keys),
        standing.runs,
        standing.iqm,
        *(row.interval or (None, None)),
        row.mean,
        row.std,
        row.tied_with_best if ranked else None,
        *(row.jobs.get(status, 0) for status in STATUSES),
        row.env_steps,
        row.wall_seconds,
    ]


def write_best(path: Path, best: Ranked, config: Mapping[str, Any]) -> None:
    """Writes the complete config of the best permutation, for ``ntrain --config``.

    Args:
        path: of the file.
        best: the permutation.
        config: of it.
    """
    write_text(path, _head(best) + dump_yaml(escaped(config)))


def _head(best: Ranked) -> str:
    return f"# permutation {best.standing.permutation}: {best.standing.values()}\n"


def _is_of(path: Path, best: Ranked) -> bool:
    """Returns whether a config was written for this permutation."""
    return path.is_file() and path.read_bytes().startswith(_head(best).encode())


def best_config(sweep: Path, best: Ranked, results: Sequence[JobResult]) -> dict[str, Any]:
    """Returns the complete config of the best permutation.

    It is the config of its first repetition that counts, with the seed of repetition 0, and with
    the threads, the processes of environments and the precision that were chosen for it. Without
    them, a training alone on the machine would take all cores, and its last bits could differ.

    Args:
        sweep: the sweep's directory.
        best: the permutation.
        results: of the sweep.

    Raises:
        ConfigError: the job's config is missing or damaged, or only makes sense inside the job, as
            by its environment variables.
    """
    repetition = min(best.standing.objectives)
    job = best.standing.permutation, repetition
    (result,) = [one for one in results if (one.permutation, one.repetition) == job]
    source = sweep / result.directory / ".hydra/config.yaml"
    document = read_document(source)
    try:
        if not isinstance(document.data, dict):
            raise ConfigError([Problem("", "is damaged")])
        trained = plain(OmegaConf.create(document.data))
        mark = fingerprint({**trained, "seed": result.seed}, result.weights)
        told = mark == result.fingerprint
        if not told and _RESOLVER.search(document.text):
            message = "its resolvers may have other values here than they had in the job"
            raise ConfigError([Problem("", message)])
        config = complete(trained)
    except ConfigError as error:
        raise ConfigError(
            [replace(problem, where=str(source)) for problem in error.problems]
        ) from None
    return {**config, "seed": result.seed - repetition, **_chosen(config, result)}


def _chosen(config: Mapping[str, Any], result: JobResult) -> dict[str, Any]:
    """Returns the values that ``auto`` had in a job, which may be others elsewhere."""
    chosen: dict[str, Any] = {}
    if result.precision is not None:
        chosen["precision"] = result.precision
    if result.threads is not None and config["threads"] == "auto":
        chosen["threads"] = result.threads
    # With fewer threads, auto would allow fewer processes, too.
    if result.processes and config["environment"]["processes"] == "auto":
        chosen["environment"] = {**config["environment"], "processes": result.processes}
    return chosen
