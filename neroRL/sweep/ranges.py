"""Ranges of numbers, which can stand in place of a list of choices."""

from __future__ import annotations

import decimal
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from neroRL.texts import did_you_mean

KEYS = ("from", "to", "count", "scale")
SCALES = ("linear", "log")
MOST_CHOICES = 1_000_000
# More than a float has, so that a decade of a log scale is a power of ten.
_DIGITS = 40


def is_range(given: Any) -> bool:
    """Returns whether a value is meant as a range."""
    return isinstance(given, Mapping) and any(key in given for key in ("from", "to", "count"))


def numbers_of(given: Mapping[str, Any]) -> list[int | float]:
    """Returns the numbers of a range, both ends included, without rounding errors.

    Args:
        given: ``from``, ``to``, ``count``, and ``scale``: linear, or log for numbers of which each
            is the same multiple of the one before.

    Returns:
        Integers if both ends are integers and all between them are whole.

    Raises:
        ValueError: it is no range.

    Example:
        >>> numbers_of({"from": 0.9, "to": 0.999, "count": 4})
        [0.9, 0.933, 0.966, 0.999]
        >>> numbers_of({"from": 1e-5, "to": 1e-2, "count": 4, "scale": "log"})
        [1e-05, 0.0001, 0.001, 0.01]
        >>> numbers_of({"from": 32, "to": 512, "count": 3, "scale": "log"})
        [32, 128, 512]
    """
    _check(given)
    first, last, count = given["from"], given["to"], given["count"]
    with decimal.localcontext() as context:
        context.prec = _DIGITS
        low, high = Decimal(repr(first)), Decimal(repr(last))
        steps = [Decimal(index) / (count - 1) for index in range(count)]
        if given.get("scale") == "log":
            ratio = (high / low).ln()
            numbers = [low * (ratio * step).exp() for step in steps]
        else:
            numbers = [low + (high - low) * step for step in steps]
        context.prec = _DIGITS - 10
        numbers = [+number for number in numbers]
    whole = all(number == number.to_integral_value() for number in numbers)
    if type(first) is type(last) is int and whole:
        return [int(number) for number in numbers]
    return [float(number) for number in numbers]


def _check(given: Mapping[str, Any]) -> None:
    for key in given:
        if key not in KEYS:
            hint = did_you_mean(str(key), KEYS)
            raise ValueError(f"a range has no {key!r}; it has {', '.join(KEYS)}{hint}")
    for key in ("from", "to"):
        value = given.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            told = f"{value!r} is no number" if key in given else "is missing"
            raise ValueError(f"{key} {told}; a range needs {{from: …, to: …, count: …}}")
        if not math.isfinite(value):
            raise ValueError(f"{key} {value!r} is not a finite number")
    count = given.get("count")
    if type(count) is not int or not 2 <= count <= MOST_CHOICES:
        told = f"{count!r} is not allowed" if "count" in given else "is missing"
        raise ValueError(f"count {told}; a range needs from 2 to {MOST_CHOICES:,} numbers")
    scale = given.get("scale", "linear")
    if scale not in SCALES:
        raise ValueError(f"scale {scale!r} is not allowed; expected {' or '.join(SCALES)}")
    if given["from"] == given["to"]:
        raise ValueError("from and to are the same; write a list with one choice")
    if scale == "log" and min(given["from"], given["to"]) <= 0:
        raise ValueError("a log scale needs numbers above 0")
