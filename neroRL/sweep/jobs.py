"""The jobs of a sweep: all permutations once, then all again for each further repetition."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neroRL.composition.overrides import override_key, value_text
from neroRL.errors import ConfigError, Problem
from neroRL.seeds import LAST_SEED
from neroRL.sweep.points import Permutation
from neroRL.sweep.space import Space

SEED = "seed"


@dataclass(frozen=True)
class Job:
    """One training of a sweep.

    Attributes:
        number: position in the order of the sweep, from 0.
        permutation: the grid point.
        repetition: the lap, from 0.
        seed: of the training; negative only in a dry run.
        overrides: everything Hydra needs to compose the job.
        values: the swept keys that apply and their values; a drawn seed is the number drawn.
    """

    number: int
    permutation: Permutation
    repetition: int
    seed: int
    overrides: tuple[str, ...]
    values: Mapping[str, Any]

    @property
    def directory(self) -> str:
        """The job's directory, relative to the sweep's."""
        return f"{self.permutation.number}/{self.repetition}"


class JobPlan(Sequence[Job]):
    """All jobs of a sweep, made when asked for.

    Args:
        space: the permutations.
        valid: numbers of the permutations to train, ascending.
        repetitions: number of trainings of each permutation.
        seed: base seed; repetition r trains with seed + r. If ``seed`` is swept, the choice
            replaces it. A negative seed stays as it is: the training draws one.
        shared: the overrides of the command line that apply to a permutation.
        drawn: the seeds that replace the choices -1, -2, ….
        last: overrides of every job that win over all others.

    Raises:
        ConfigError: the seed of the last repetition does not fit into 64 bits.
    """

    def __init__(
        self,
        space: Space,
        valid: Sequence[int],
        repetitions: int,
        seed: int,
        shared: Callable[[Permutation], Sequence[str]] = lambda _: (),
        drawn: Sequence[int] = (),
        last: Sequence[str] = (),
    ) -> None:
        self.space = space
        self.valid = valid
        self.repetitions = repetitions
        self._base_seed = seed
        self._shared = shared
        self._drawn = drawn
        self._last = tuple(last)
        self._check_last_seed()

    def __len__(self) -> int:
        return len(self.valid) * self.repetitions

    def __getitem__(self, number: int) -> Job:  # type: ignore[override]
        if not 0 <= number < len(self):
            raise IndexError(f"job {number} of {len(self)}")
        permutation, repetition = self._place(number)
        seed = self._seed_of(permutation, repetition)
        given = [*self._shared(permutation), *permutation.overrides, *self._last]
        values = self.values(permutation)
        overrides = (
            *(text for text in given if override_key(text) != SEED),
            f"{SEED}={seed}",
            f"hydra.sweep.subdir={permutation.number}/{repetition}",
            f"hydra.sweeper.job.permutation={permutation.number}",
            f"hydra.sweeper.job.repetition={repetition}",
            _keys_override(tuple(values)),
        )
        return Job(number, permutation, repetition, seed, overrides, values)

    def directory(self, number: int) -> str:
        """Returns the directory of a job without creating the job."""
        repetition, position = divmod(number, len(self.valid))
        return f"{self.valid[position]}/{repetition}"

    def point(self, number: int) -> tuple[Permutation, int]:
        """Returns the grid point and the seed of a job without creating the job."""
        permutation, repetition = self._place(number)
        return permutation, self._seed_of(permutation, repetition)

    def values(self, permutation: Permutation) -> dict[str, Any]:
        """Returns the swept keys that apply and their values; a drawn seed is the number drawn."""
        values = permutation.values
        swept = {SEED: self._seed(permutation)} if SEED in values else {}
        return {key: swept.get(key, values[key]) for key in self.space.keys if key in values}

    def __iter__(self) -> Iterator[Job]:
        return (self[number] for number in range(len(self)))

    def _place(self, number: int) -> tuple[Permutation, int]:
        repetition, position = divmod(number, len(self.valid))
        return self.space[self.valid[position]], repetition

    def _seed_of(self, permutation: Permutation, repetition: int) -> int:
        seed = self._seed(permutation)
        return seed + repetition if seed >= 0 else -1

    def _seed(self, permutation: Permutation) -> int:
        chosen = permutation.values.get(SEED)
        return self._base_seed if chosen is None else seed_of_choice(int(chosen), self._drawn)

    def _check_last_seed(self) -> None:
        swept = (axis for axis in self.space.axes if axis.key == SEED)
        chosen = [choice.value for axis in swept for choice in axis.choices]
        last = max([self._base_seed, *(value for value in chosen if type(value) is int)])
        last += self.repetitions - 1
        if last > LAST_SEED:
            message = f"the last repetition would have {last}; expected {LAST_SEED} or less"
            raise ConfigError([Problem(SEED, message)])


class Asked(Sequence[Job]):
    """Some jobs of a sweep.

    Args:
        jobs: of the whole sweep.
        numbers: of the jobs that are asked for.
    """

    def __init__(self, jobs: JobPlan, numbers: Sequence[int]) -> None:
        self._jobs, self._numbers = jobs, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> Job:  # type: ignore[override]
        return self._jobs[self._numbers[index]]

    def __iter__(self) -> Iterator[Job]:
        return (self._jobs[number] for number in self._numbers)


def seed_of_choice(chosen: int, drawn: Sequence[int]) -> int:
    """Returns the seed that a choice of a swept ``seed`` means.

    Args:
        chosen: a seed, or -1, -2, … for the first, second, … of those that are drawn.
        drawn: the drawn seeds; fewer or none in a dry run.

    Returns:
        The seed; -1 if it has not been drawn.
    """
    if chosen >= 0:
        return chosen
    return drawn[-chosen - 1] if -chosen <= len(drawn) else -1


@functools.lru_cache(maxsize=1024)
def _keys_override(keys: tuple[str, ...]) -> str:
    """Returns the override that passes the swept keys to a job."""
    return f"hydra.sweeper.job.keys={value_text(list(keys))}"
