"""Tells what a sweep will cost before it starts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from neroRL.composition.overrides import escaped, value_text
from neroRL.records.results import COMPLETED, JobResult
from neroRL.reporting.progress import duration
from neroRL.reporting.summary import counted
from neroRL.sweep.plan import SweepPlan
from neroRL.sweep.racing import rule_of

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
    """

    seconds_a_step: float
    seconds_to_start: float
    bytes_a_checkpoint: float
    bytes_a_step: float
    source: str


def measured(
    results: Iterable[JobResult], directory: Path, source: str = "the jobs that are done"
) -> Speed | None:
    """Returns what the completed trainings among some took; None without any.

    Args:
        results: of jobs below the directory.
        directory: of their sweep.
        source: which trainings these are.
    """
    done = [one for one in results if one.status == COMPLETED and one.steps_per_second]
    if not done:
        return None
    done = done[:MOST_READ]
    steps = sum(one.env_steps for one in done)
    seconds = sum(one.env_steps / (one.steps_per_second or 1.0) for one in done)
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
        seconds_to_start=max(sum(one.wall_seconds for one in done) - seconds, 0.0) / len(done),
        bytes_a_checkpoint=sum(checkpoints) / max(len(checkpoints), 1),
        bytes_a_step=others / steps,
        source=source,
    )


def lines(
    plan: SweepPlan, numbers: Sequence[int], parallel: int | None, speed: Speed | None
) -> list[str]:
    """Returns the cost of jobs, a line each.

    Args:
        plan: of the command.
        numbers: of the jobs, in the order of the sweep.
        parallel: how many jobs run at a time; None if a launcher decides.
        speed: what trainings took; None if none has been measured.
    """
    findings = plan.findings
    positions = Counter(number % len(findings.valid) for number in numbers)
    steps = sum(findings.steps[position] * count for position, count in positions.items())
    found = [
        f"{counted(len(positions), 'permutation')}, {counted(len(numbers), 'job')}, "
        f"{counted(steps, 'environment step')}",
    ]
    if plan.options.races:
        least = rule_of(plan).least_share(len(positions))
        found.append(f"as a race between {least:.0%} of these steps and all of them")
    if speed is None:
        way = ": ntune --preview measures some updates" if plan.options.preview == "no" else ""
        found.append(f"wall time and disk are not known yet{way}")
    else:
        alone = len(numbers) * speed.seconds_to_start + steps * speed.seconds_a_step
        way = "one job after another" if parallel is None else f"{parallel} at a time"
        interval, updates = (
            plan.base["model"]["checkpoint_interval"],
            plan.base["trainer"]["updates"],
        )
        checkpoints = len(numbers) * math.ceil(updates / interval)
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
    """Returns the overrides of trainings that are only measured, in a directory of their own."""
    place = value_text(escaped(str(directory)))
    return [f"trainer.updates={UPDATES}", f"hydra.sweep.dir={place}"]


def _shown(size: float) -> str:
    unit = 0
    while size >= 1024.0 and unit < len(_UNITS) - 1:
        size, unit = size / 1024.0, unit + 1
    return f"{size:.1f} {_UNITS[unit]}" if unit else f"{size:.0f} {_UNITS[0]}"
