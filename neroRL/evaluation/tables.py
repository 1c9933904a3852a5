"""The tables of evaluations, and their means and intervals."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from neroRL.acting.evaluator import Played
from neroRL.errors import OutputError
from neroRL.files import keep_beside, make_directory, reason_of, write_text
from neroRL.records.results import table_cell
from neroRL.training.statistics import MEASURED

CONFIDENCE = 0.95
RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """The mean of a number over episodes.

    Attributes:
        mean: over all episodes.
        low: lower end of its interval; None with fewer than two seeds.
        high: upper end.
    """

    mean: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        interval = "" if self.low is None else f"  [{self.low:.4g}, {self.high:.4g}]"
        return f"{self.mean:.4g}{interval}"


def numbers_of(played: Played) -> dict[str, float | None]:
    """Returns the numbers of an episode: reward, length, success, and what else there is."""
    end = played.end
    return {"reward": end.reward, "length": end.length, "success": end.success, **end.others}


def estimates(episodes: Sequence[Played]) -> dict[str, Estimate]:
    """Estimates the mean of each number over seeds that were not played.

    The interval is a bootstrap percentile interval (Efron 1979) over seeds, since episodes of one
    seed are alike. A resample's number is that of all its episodes, for some of which an
    environment may not tell it.

    Args:
        episodes: at least one.
    """
    of_seeds: dict[str, dict[int, list[float]]] = {}
    for played in episodes:
        for name, value in numbers_of(played).items():
            if value is not None:
                of_seeds.setdefault(name, {}).setdefault(played.episode.seed, []).append(value)
    return {name: _estimate(list(seeds.values())) for name, seeds in of_seeds.items()}


def _estimate(of_seeds: Sequence[Sequence[float]]) -> Estimate:
    mean = float(np.mean(np.concatenate(of_seeds)))
    if len(of_seeds) < 2:
        return Estimate(mean, None, None)
    found = stats.bootstrap(
        ([sum(values) for values in of_seeds], [len(values) for values in of_seeds]),
        lambda sums, counts, axis: sums.sum(axis) / counts.sum(axis), paired=True,
        n_resamples=RESAMPLES, confidence_level=CONFIDENCE, method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return Estimate(mean, float(found.low), float(found.high))


def summary_lines(found: Mapping[str, Estimate]) -> list[str]:
    """Describes estimates, a line each."""
    width = max(map(len, found))
    return [f"{name:{width}}  {one}" for name, one in found.items()]


def table_text(rows: Sequence[tuple[Mapping[str, Any], Played]]) -> str:
    """Returns a table as CSV, a row for each episode.

    Args:
        rows: the first cells of a row by their columns, and the episode.
    """
    others = sorted({name for _, played in rows for name in played.end.others})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*rows[0][0], *MEASURED, *others])
    for first, played in rows:
        numbers = numbers_of(played)
        cells = [*first.values(), *(numbers.get(name) for name in (*MEASURED, *others))]
        writer.writerow([table_cell(cell) for cell in cells])
    return text.getvalue()


def write_table(path: Path, text: str) -> Path | None:
    """Writes a table; another one that is there already is kept beside it.

    Returns:
        Where the other one was moved; None if there was none.

    Raises:
        OutputError: the table cannot be written.
    """
    make_directory(path.parent)
    try:
        same = path.exists() and path.read_bytes() == text.encode()
        aside = None if same else keep_beside(path)
        write_text(path, text)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {reason_of(error)}") from None
    return aside
