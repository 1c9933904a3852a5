"""Tells what a sweep will cost before it starts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neroRL.composition.overrides import escaped, value_text
from neroRL.records.checkpoint_files import checkpoints_of, update_of
from neroRL.records.results import COMPLETED, JobResult, read_result
from neroRL.reporting.progress import duration
from neroRL.sweep.jobs import JobPlan
from neroRL.sweep.plan import SweepPlan
from neroRL.sweep.racing import least_share
from neroRL.sweep.trainings import Trainings
from neroRL.texts import counted

# Updates of the trainings that are measured: the first is slower than the others.
UPDATES = 3
MOST_MEASURED = 3
# Finished jobs whose files are looked at.
MOST_READ = 100
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True)
class Speed:
    """The time and the space on disk that some trainings took.

    Attributes:
        seconds_a_step: of rollout and optimisation, per environment step.
        seconds_to_start: of a job.
        bytes_a_checkpoint: on disk.
        bytes_a_step: of everything else on disk, per environment step.
        source: which trainings these were.
        seconds_an_evaluation: mean over the trainings; 0 without evaluation.
    """

    seconds_a_step: float
    seconds_to_start: float
    bytes_a_checkpoint: float
    bytes_a_step: float
    source: str
    seconds_an_evaluation: float = 0.0


def measured(
    results: Iterable[JobResult],
    directory: Path,
    base: Mapping[str, Any],
    source: str = "the jobs that are done",
) -> Speed | None:
    """Returns what the completed trainings among some took; None without any.

    Args:
        results: of jobs below the directory.
        directory: of their sweep.
        base: its base config, whose interval of evaluations is taken for that of all jobs.
        source: which trainings these are.
    """
    done = [one for one in results if one.status == COMPLETED and one.steps_per_second]
    if not done:
        return None
    done = done[:MOST_READ]
    steps = sum(one.env_steps for one in done)
    seconds = sum(one.env_steps / (one.steps_per_second or 1.0) for one in done)
    interval = base["evaluation"]["interval"]
    evaluating = sum(
        _times(one.resume_at, one.updates, interval) * (one.evaluation_seconds or 0.0)
        for one in done
    )
    starting = sum(one.wall_seconds for one in done) - seconds - evaluating
    files = [
        (path.suffix == ".pt", path.stat().st_size)
        for one in done
        for path in (directory / one.directory).rglob("*")
        if path.is_file()
    ]
    checkpoints = [size for is_checkpoint, size in files if is_checkpoint]
    others = sum(size for is_checkpoint, size in files if not is_checkpoint)
    return Speed(
        seconds_a_step=seconds / steps,
        seconds_to_start=max(starting, 0.0) / len(done),
        bytes_a_checkpoint=sum(checkpoints) / max(len(checkpoints), 1),
        bytes_a_step=others / steps,
        source=source,
        seconds_an_evaluation=sum(one.evaluation_seconds or 0.0 for one in done) / len(done),
    )


def updates_done(
    plan: SweepPlan, jobs: JobPlan, numbers: Iterable[int], directory: Path
) -> dict[int, int]:
    """Returns after how many updates jobs go on, by their number; without those that begin.

    A job goes on from its last checkpoint, unless its result is of another config. Whether that
    checkpoint can be read is not known here.

    Args:
        plan: of the current command.
        jobs: of the sweep.
        numbers: of the jobs to run.
        directory: in which the jobs have theirs.
    """
    found, trainings = {}, Trainings(plan, jobs, directory)
    for number in numbers:
        job = trainings.directory(number)
        saved = checkpoints_of(job)
        update = update_of(saved[-1]) if saved else None
        if update is not None and not trainings.are_others_than(number, read_result(job)):
            found[number] = update
    return found


def lines(
    plan: SweepPlan,
    numbers: Sequence[int],
    parallel: int | None,
    speed: Speed | None,
    done: Mapping[int, int] | None = None,
) -> list[str]:
    """Returns the cost of jobs, a line each.

    Evaluations and checkpoints are counted by the base config, also where a sweep varies how many
    there are.

    Args:
        plan: of the command.
        numbers: of the jobs, in the order of the sweep.
        parallel: how many jobs run at a time; None if a launcher decides.
        speed: what trainings took; None if none has been measured.
        done: the updates after which some of the jobs go on, by their numbers.
    """
    findings, trainer, done = plan.findings, plan.base["trainer"], done or {}
    positions = Counter(number % len(findings.valid) for number in numbers)
    steps = sum(findings.steps[position] * count for position, count in positions.items())
    steps -= sum(_steps_done(plan, number, update) for number, update in done.items())
    # Jobs by the update after which they begin or go on.
    firsts = Counter(done.values())
    firsts[trainer["resume_at"]] += len(numbers) - len(done)

    def times(interval: int) -> int:
        found = firsts.items()
        return sum(count * _times(first, trainer["updates"], interval) for first, count in found)

    found = [
        f"{counted(len(positions), 'permutation')}, {counted(len(numbers), 'job')}, "
        f"{counted(steps, 'environment step')}",
    ]
    if plan.options.races and (done or len(numbers) < len(plan.numbers())):
        found.append("as a race at most these steps")
    elif plan.options.races:
        least = least_share(plan, len(positions))
        found.append(f"as a race between {least:.0%} of these steps and all of them")
    if speed is None:
        way = ": ntune --preview measures some updates" if plan.options.preview == "no" else ""
        found.append(f"wall time and disk are not known yet{way}")
    else:
        alone = len(numbers) * speed.seconds_to_start + steps * speed.seconds_a_step
        alone += times(plan.base["evaluation"]["interval"]) * speed.seconds_an_evaluation
        way = "one job after another" if parallel is None else f"{parallel} at a time"
        checkpoints = times(plan.base["model"]["checkpoint_interval"])
        size = checkpoints * speed.bytes_a_checkpoint + steps * speed.bytes_a_step
        found.append(
            f"about {duration(alone / (parallel or 1))}, {way}, and "
            f"{_shown(size)} of disk, by {speed.source}"
        )
    if findings.ports:
        at_a_time = findings.ports * (parallel or len(numbers))
        found.append(f"{findings.ports} network ports a job, {at_a_time} at a time")
    return found


def to_measure(numbers: Sequence[int]) -> list[int]:
    """Returns some permutations that stand for all: the first, one in the middle, and the last."""
    last = len(numbers) - 1
    places = sorted({round(i * last / (MOST_MEASURED - 1)) for i in range(MOST_MEASURED)})
    return [numbers[place] for place in places]


def overrides(directory: Path) -> list[str]:
    """Returns the overrides of trainings that are only measured, in a directory of their own.

    They count their updates from 0, and leave nothing with the loggers of the config.
    """
    place = value_text(escaped(str(directory)))
    counted_from = ["trainer.resume_at=0", f"trainer.updates={UPDATES}"]
    return [*counted_from, "loggers=[]", f"hydra.sweep.dir={place}"]


def _times(first: int, updates: int, interval: int) -> int:
    """Returns how often a training does what it does at an interval and after its last update.

    >>> _times(0, 25, 10), _times(10, 25, 10), _times(25, 25, 10)
    (3, 2, 0)

    Args:
        first: the update after which it begins or goes on.
        updates: of the training.
        interval: in updates.
    """
    return math.ceil(updates / interval) - first // interval if first < updates else 0


def _steps_done(plan: SweepPlan, number: int, update: int) -> int:
    """Returns the environment steps of a job up to an update."""
    position = number % len(plan.findings.valid)
    permutation = plan.space[plan.findings.valid[position]]
    trainer = plan.config_of(permutation)["trainer"]
    first, last = int(trainer["resume_at"]), int(trainer["updates"])
    done = min(update, last) - first
    return plan.findings.steps[position] * done // (last - first)


def _shown(size: float) -> str:
    unit = 0
    while size >= 1024.0 and unit < len(_UNITS) - 1:
        size, unit = size / 1024.0, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{size:.0f} {_UNITS[0]}"
