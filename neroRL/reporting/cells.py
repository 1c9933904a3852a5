"""Formats swept values for TensorBoard: cells of its HParams table, and names of runs."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from neroRL.config.documents import text_of_value

Cell = bool | float | str

# Names of runs are names of directories, so they must be short and safe in every file system.
_UNSAFE = re.compile(r"[^A-Za-z0-9_.+-]+")
LONGEST_NAME = 120


def keys_shown_as_text(axes: Mapping[str, Sequence[Any]]) -> list[str]:
    """Returns the keys whose choices are of several types, or of none that TensorBoard has.

    TensorBoard's filters and sorting compare the values of a column with each other, so these
    columns are text throughout.

    Args:
        axes: the swept keys and their choices.
    """
    return [key for key, choices in axes.items() if not _have_one_type(choices)]


def _have_one_type(choices: Sequence[Any]) -> bool:
    kinds = {_kind(choice) for choice in choices}
    return len(kinds) <= 1 and None not in kinds


def _kind(value: Any) -> type | None:
    if isinstance(value, bool | str):
        return type(value)
    return float if isinstance(value, int | float) and math.isfinite(value) else None


def cells(values: Mapping[str, Any], shown_as_text: Sequence[str]) -> dict[str, Cell]:
    """Returns the cells of a row.

    Args:
        values: of the swept keys.
        shown_as_text: keys of columns that are text.

    >>> cells({"gamma": 1, "steps": None, "memory": "gru"}, ["steps"])
    {'gamma': 1.0, 'steps': 'null', 'memory': 'gru'}
    """
    return {key: cell(value, as_text=key in shown_as_text) for key, value in values.items()}


def cell(value: Any, *, as_text: bool) -> Cell:
    """Returns one cell; as text, distinct values have distinct texts."""
    if as_text or _kind(value) is None:
        return text_of_value(value)
    return value if isinstance(value, bool | str) else float(value)


def run_name(values: Mapping[str, Any]) -> str:
    """Returns a name that shows swept values, for the directory of a run's events.

    Keys are shortened as long as they stay distinct. A name of too many values ends with the number
    of those that it leaves out.

    Args:
        values: of the swept keys, in grid order.

    >>> run_name({"trainer.gamma": 0.9, "model/memory": "gru", "environment.resize": [84, 84]})
    'gamma=0.9,memory=gru,resize=84_84'
    """
    short = {key: re.split(r"[./]", key, maxsplit=1)[-1] for key in values}
    names = list(short.values())
    parts = [
        _safe(f"{short[key] if names.count(short[key]) == 1 else key}", text_of_value(value))
        for key, value in values.items()
    ]
    kept = len(parts)
    while kept > 1 and len(_joined(parts, kept)) > LONGEST_NAME:
        kept -= 1
    return _joined(parts, kept)


def _safe(key: str, value: str) -> str:
    text = f"{_UNSAFE.sub('.', key)}={_UNSAFE.sub('_', value).strip('_')}"
    return text[: LONGEST_NAME - len(",and_9999_more")]


def _joined(parts: Sequence[str], kept: int) -> str:
    left = len(parts) - kept
    return ",".join([*parts[:kept], *([f"and_{left}_more"] if left else [])])
