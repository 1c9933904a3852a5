"""The jobs of a sweep: each permutation once a lap, lap after lap."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from neroRL.composition.overrides import override_key, value_text
from neroRL.sweep.grid import Grid, Permutation

SEED = "seed"


@dataclass(frozen=True)
class Job:
    """One training of a sweep.

    Attributes:
        number: position in the order of the sweep, from 0.
        permutation: the grid point.
        repetition: the lap, from 0.
        seed: what the training is seeded with; negative only in a dry run.
        overrides: everything Hydra needs to compose the job.
    """

    number: int
    permutation: Permutation
    repetition: int
    seed: int
    overrides: tuple[str, ...]

    @property
    def directory(self) -> str:
        """The job's directory, relative to the sweep's."""
        return f"{self.permutation.number}/{self.repetition}"


class JobPlan(Sequence[Job]):
    """All jobs of a sweep, made when asked for.

    Args:
        grid: the permutations.
        valid: numbers of the permutations to train, ascending.
        repetitions: number of laps.
        seed: base seed; repetition r trains with seed + r. Where the grid sweeps ``seed``, the
            choice takes its place. A negative one stays: it is drawn by the training.
        shared: the overrides of the command line that apply to a permutation.
    """

    def __init__(
        self,
        grid: Grid,
        valid: Sequence[int],
        repetitions: int,
        seed: int,
        shared: Callable[[Permutation], Sequence[str]] = lambda _: (),
    ) -> None:
        self.grid = grid
        self.valid = valid
        self.repetitions = repetitions
        self.seed = seed
        self._shared = shared

    def __len__(self) -> int:
        return len(self.valid) * self.repetitions

    def __getitem__(self, number: int) -> Job:  # type: ignore[override]
        if not 0 <= number < len(self):
            raise IndexError(f"job {number} of {len(self)}")
        permutation, repetition = self._place(number)
        seed = self._seed_of(permutation, repetition)
        given = [*self._shared(permutation), *permutation.overrides]
        overrides = (
            *(text for text in given if override_key(text) != SEED),
            f"{SEED}={seed}",
            f"hydra.sweep.subdir={permutation.number}/{repetition}",
            f"hydra.sweeper.job.permutation={permutation.number}",
            f"hydra.sweeper.job.repetition={repetition}",
            _keys_override(tuple(choice.key for choice in permutation.choices)),
        )
        return Job(number, permutation, repetition, seed, overrides)

    def directory(self, number: int) -> str:
        """The directory of a job, without making the job."""
        repetition, position = divmod(number, len(self.valid))
        return f"{self.valid[position]}/{repetition}"

    def point(self, number: int) -> tuple[Permutation, int]:
        """The grid point and the seed of a job, without making the job."""
        permutation, repetition = self._place(number)
        return permutation, self._seed_of(permutation, repetition)

    def __iter__(self) -> Iterator[Job]:
        return (self[number] for number in range(len(self)))

    def _place(self, number: int) -> tuple[Permutation, int]:
        repetition, position = divmod(number, len(self.valid))
        return self.grid[self.valid[position]], repetition

    def _seed_of(self, permutation: Permutation, repetition: int) -> int:
        seed = self._seed(permutation)
        return seed + repetition if seed >= 0 else -1

    def _seed(self, permutation: Permutation) -> int:
        chosen = permutation.values.get(SEED, self.seed)
        return int(chosen) if chosen >= 0 else self.seed


@functools.lru_cache(maxsize=1024)
def _keys_override(keys: tuple[str, ...]) -> str:
    """Tells a job which keys are swept there."""
    return f"hydra.sweeper.job.keys={value_text(list(keys))}"
