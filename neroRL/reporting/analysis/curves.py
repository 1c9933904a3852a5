"""Learning curves of the best permutations, from the event files of their jobs."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from tensorboard.compat.proto.event_pb2 import Event, SessionLog

from neroRL.ranking.ranking import Ranking
from neroRL.reporting.tensorboard import ENV_STEPS, EVENT_FILES, INTERVAL_FILES, SUMMARIES

REWARD = "episode/reward_mean"
MOST_PERMUTATIONS = 50
MOST_JOBS = 250
MOST_BYTES = 500_000_000
MOST_POINTS = 200

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """The learning curve of a permutation.

    Attributes:
        permutation: its number.
        steps: environment steps, ascending, of shape (points,).
        mean: of the reward over the repetitions, at each of them.
        low: lower bound of Student's t interval of the mean; the mean itself with one repetition.
        high: its upper bound.
        repetitions: how many were read.
    """

    permutation: int
    steps: Values
    mean: Values
    low: Values
    high: Values
    repetitions: int


def learning_curves(place: Callable[[int, int], Path], ranking: Ranking) -> list[Curve]:
    """Returns the curves of the best permutations, best first.

    Only so many jobs are read that it takes seconds. A permutation without event files has no
    curve. What is averaged are the repetitions that count in the ranking, at the updates at which
    each of them has a reward.

    Args:
        place: tells the directory of a permutation's repetition.
        ranking: of its permutations.
    """
    found: list[Curve] = []
    jobs = size = 0
    for row in ranking.rows[:MOST_PERMUTATIONS]:
        if row.rank is None or jobs >= MOST_JOBS or size >= MOST_BYTES:
            break
        number = row.standing.permutation
        runs = []
        for repetition in list(row.standing.objectives)[: MOST_JOBS - jobs]:
            job = place(number, repetition)
            jobs += 1
            size += sum(path.stat().st_size for path in _files(job))
            run = read_run(job)
            if run:
                runs.append(run)
        curve = _curve(number, runs, ranking.confidence)
        if curve is not None:
            found.append(curve)
    return found


def _curve(
    permutation: int, runs: Sequence[Mapping[int, tuple[float, float]]], confidence: float
) -> Curve | None:
    from scipy.special import stdtrit

    shared = sorted(set.intersection(*(set(run) for run in runs))) if runs else []
    if not shared:
        return None
    kept = np.unique(np.linspace(0, len(shared) - 1, MOST_POINTS).round().astype(int))
    updates = [shared[index] for index in kept]
    rewards = np.array([[run[update][1] for update in updates] for run in runs])
    mean, width = rewards.mean(axis=0), np.zeros(len(updates))
    if len(runs) > 1:
        error = rewards.std(axis=0, ddof=1) / np.sqrt(len(runs))
        width = stdtrit(len(runs) - 1, (1.0 + confidence) / 2.0) * error
    steps = np.array([runs[0][update][0] for update in updates])
    return Curve(permutation, steps, mean, mean - width, mean + width, len(runs))


def read_run(job: Path) -> dict[int, tuple[float, float]]:
    """Returns environment steps and mean reward of a job by update.

    Args:
        job: its directory.
    """
    return {
        update: (told[ENV_STEPS], told[REWARD])
        for update, told in read_scalars(job).items()
        if ENV_STEPS in told and np.isfinite(told.get(REWARD, np.nan))
    }


def read_scalars(job: Path) -> dict[int, dict[str, float]]:
    """Returns what a job told TensorBoard, by update and tag.

    A job that went on after it was cut off has several files. What the later ones tell of an update
    counts, and nothing that earlier ones tell beyond the checkpoint it went on from.

    Args:
        job: its directory.
    """
    found: dict[int, dict[str, float]] = {}
    for event in _events(_files(job)):
        if event.session_log.status == SessionLog.START:
            for update in [update for update in found if update >= event.step]:
                del found[update]
        for value in event.summary.value:
            if value.WhichOneof("value") == "simple_value":
                found.setdefault(event.step, {})[value.tag] = value.simple_value
    return found


def _files(job: Path) -> list[Path]:
    files = (job / SUMMARIES).rglob(EVENT_FILES)
    return sorted(path for path in files if not path.match(INTERVAL_FILES))


def _events(files: Sequence[Path]) -> Iterator[Event]:
    """Yields the events of files, one after the other in the order they were begun."""
    begun = []
    for path in files:
        first = next(_records(path), None)
        if first is None:
            continue
        with contextlib.suppress(DecodeError):
            begun.append((Event.FromString(first).wall_time, str(path), path))
    for _, _, path in sorted(begun):
        for record in _records(path):
            try:
                yield Event.FromString(record)
            except DecodeError:  # the file is damaged from here on
                break


def _records(path: Path) -> Iterator[bytes]:
    """Yields the records of a file, up to one that is not whole (it may be being written).

    TensorBoard's own reader computes checksums in Python, which takes many times as long. The
    format is TFRecord: a length of 8 bytes and its checksum of 4, the content, its checksum of 4.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        while len(head := file.read(12)) == 12:
            (length,) = struct.unpack("<Q", head[:8])
            if file.tell() + length + 4 > size:
                return
            content = file.read(length)
            file.seek(4, 1)
            yield content
