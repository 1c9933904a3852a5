"""The ranked permutations of a sweep as arrays: choices as numbers, and what they reached.

An axis counts as one where several keys always change together, for then their effects cannot be
told apart. A key that does not apply in a permutation has no level there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neroRL.config.documents import text_of_value
from neroRL.ranking.ranking import Ranking, objectives_table

ABSENT = -1

Levels = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class VariedAxis:
    """One axis that varies.

    Attributes:
        keys: the dotted paths that change together; nearly always one.
        name: a short name, which no other axis has.
        choices: texts of its choices, in the order of the search space.
    """

    keys: tuple[str, ...]
    name: str
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Observations:
    """The ranked permutations as arrays, best first.

    Attributes:
        axes: those with at least two choices among these permutations.
        permutations: their numbers, of shape (permutations,).
        levels: index of the choice on each axis, of shape (permutations, axes); ``ABSENT`` where a
            key does not apply.
        values: of the metric, of shape (permutations, repetitions); NaN where there is none.
    """

    axes: Sequence[VariedAxis]
    permutations: Levels
    levels: Levels
    values: Values

    @property
    def means(self) -> Values:
        """The mean of each permutation over its repetitions."""
        mean: Values = np.nanmean(self.values, axis=1)
        return mean

    def describe(self, row: int) -> str:
        """Returns the choices of a permutation that vary, in one line."""
        return ", ".join(
            f"{axis.name}={axis.choices[level]}"
            for axis, level in zip(self.axes, self.levels[row], strict=True)
            if level != ABSENT
        )

    def brief(self, row: int) -> str:
        """Returns the number of a permutation and its choices, if any, without their names."""
        levels = zip(self.axes, self.levels[row], strict=True)
        told = ["–" if level == ABSENT else axis.choices[level] for axis, level in levels]
        number = str(self.permutations[row])
        return f"{number}: {', '.join(told)}" if told else number


def observe(
    ranking: Ranking, axes: Mapping[str, Sequence[Any]], *, joins: bool = True
) -> Observations:
    """Returns the ranked permutations as arrays.

    Args:
        ranking: of the sweep.
        axes: the swept keys and their choices, in grid order.
        joins: whether keys that always change together are one axis. Where each permutation drew
            its values, they only happen to.
    """
    standings = [row.standing for row in ranking.ranked]
    columns: list[tuple[tuple[str, ...], tuple[str, ...], Levels]] = []
    for key, choices in axes.items():
        texts = [
            text_of_value(one.overrides[key]) if key in one.overrides else None for one in standings
        ]
        names = _in_order([text_of_value(choice) for choice in choices], texts)
        numbers = {name: index for index, name in enumerate(names)}
        levels = [ABSENT if text is None else numbers[text] for text in texts]
        if len(names) > 1:
            columns.append(((key,), names, np.array(levels, np.int64)))
    columns = _joined(columns) if joins else columns
    short = short_names([keys for keys, _, _ in columns])
    found = [VariedAxis(keys, name, c) for (keys, c, _), name in zip(columns, short, strict=True)]
    levels_of_all = [levels for _, _, levels in columns]
    return Observations(
        axes=found,
        permutations=np.array([one.permutation for one in standings], np.int64),
        levels=np.stack(levels_of_all, axis=1)
        if levels_of_all
        else np.zeros((len(standings), 0), np.int64),
        values=objectives_table(standings),
    )


def short_names(keys: Sequence[tuple[str, ...]]) -> list[str]:
    """Returns names of axes: their keys, without the section where the rest tells them apart.

    >>> short_names([("trainer.gamma",), ("a.size",), ("b.size",), ("x.y.z", "model/memory")])
    ['gamma', 'a.size', 'b.size', 'y.z & memory']
    """
    rests = {key: re.split(r"[./]", key, maxsplit=1)[-1] for group in keys for key in group}
    counts = Counter(rests.values())
    return [
        " & ".join(rests[key] if counts[rests[key]] == 1 else key for key in group)
        for group in keys
    ]


def _in_order(choices: Sequence[str], texts: Sequence[str | None]) -> tuple[str, ...]:
    """Returns the choices that permutations have, in the order of the search space."""
    present = dict.fromkeys(text for text in texts if text is not None)
    listed = [choice for choice in dict.fromkeys(choices) if choice in present]
    return tuple(dict.fromkeys([*listed, *present]))


def _joined(
    columns: Sequence[tuple[tuple[str, ...], tuple[str, ...], Levels]],
) -> list[tuple[tuple[str, ...], tuple[str, ...], Levels]]:
    """Makes one axis of those that split the permutations in the same way."""
    found: dict[bytes, tuple[tuple[str, ...], tuple[str, ...], Levels]] = {}
    for keys, choices, levels in columns:
        _, first, inverse = np.unique(levels, return_index=True, return_inverse=True)
        split = first[inverse].tobytes() + (levels == ABSENT).tobytes()
        if split not in found:
            found[split] = keys, choices, levels
            continue
        others, names, own = found[split]
        partner = {int(a): int(b) for a, b in zip(own, levels, strict=True) if a != ABSENT}
        both = tuple(f"{name} & {choices[partner[i]]}" for i, name in enumerate(names))
        found[split] = (*others, *keys), both, own
    return list(found.values())
