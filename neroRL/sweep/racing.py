"""Takes up the race of a sweep where its files say that it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from neroRL.config.budget import shorter, updates_at
from neroRL.records.results import COMPLETED, STOPPED, JobResult
from neroRL.records.rungs import Reached, note_rung, reached, read_rungs
from neroRL.sweep.continuing import Inventory
from neroRL.sweep.jobs import JobPlan
from neroRL.sweep.plan import SweepPlan
from neroRL.sweep.race import UNKNOWN, Race, Rule
from neroRL.sweep.trainings import Trainings, marks_of
from neroRL.texts import counted


def rule_of(plan: SweepPlan) -> Rule:
    """Returns the rule of a sweep's race, without rungs that few updates do not have."""
    options = plan.options
    first, updates = _bounds(plan)
    at = {updates_at(share, updates): share for share in reversed(options.race_rungs)}
    rungs = tuple(share for update, share in sorted(at.items()) if first < update < updates)
    return Rule(rungs, options.race_keep, options.race_min_permutations, options.race_confidence)


def least_share(plan: SweepPlan, permutations: int) -> float:
    """Returns the share of all environment steps that a race takes if only ranks decide."""
    first, updates = _bounds(plan)
    return rule_of(plan).least_share(permutations, first / updates) if first < updates else 1.0


def _bounds(plan: SweepPlan) -> tuple[int, int]:
    """Returns the updates after which the trainings of a sweep have begun, and have not ended."""
    return max(_values_of(plan, "resume_at")), min(_values_of(plan, "updates"))


def _values_of(plan: SweepPlan, key: str) -> list[int]:
    """Returns the numbers of updates that a key of the trainer has in a sweep."""
    swept = {axis.key: axis.choices for axis in plan.space.axes}.get(f"trainer.{key}", ())
    chosen = [choice.value for choice in swept if type(choice.value) is int]
    return chosen or [plan.base["trainer"][key]]


def warnings_of(plan: SweepPlan) -> list[str]:
    """Returns what a user should know before a race starts."""
    (first, updates), rungs, found = _bounds(plan), rule_of(plan).rungs, []
    missing = [share for share in plan.options.race_rungs if share not in rungs]
    before = [share for share in missing if updates_at(share, updates) <= first]
    for shares, reason in (
        ([share for share in missing if share not in before], "too few updates for"),
        (before, f"trainings begin after {counted(first, 'update')}, no earlier than"),
    ):
        if shares:
            told = ", ".join(f"{share:g}" for share in shares)
            found.append(f"hydra.sweeper.race_rungs: {reason} {told} of them; left out")
    if plan.options.num_repetitions == 1:
        found.append(
            "hydra.sweeper.race: with one repetition nothing can be tested, so rank alone decides "
            "who goes on; hydra.sweeper.num_repetitions=5 tells skill from luck"
        )
    return found


def take_up(plan: SweepPlan, jobs: JobPlan, directory: Path, found: Inventory, asked: int) -> Race:
    """Returns the race of a sweep, and leaves as pending the jobs that run next in it.

    Args:
        plan: of the current command.
        jobs: of the sweep.
        directory: in which the jobs have theirs.
        found: their results; jobs that go on move from ``finished`` to ``pending``.
        asked: how many of the jobs, from the first, take part.
    """
    rule = rule_of(plan)
    lanes = len(jobs.valid)
    taking_part = {
        permutation: list(range(lane, asked, lanes)) for lane, permutation in enumerate(jobs.valid)
    }
    known, trainings = {}, Trainings(plan, jobs, directory)
    for number in range(len(jobs)):
        job, result = trainings.directory(number), found.finished.get(number)
        noted = read_rungs(job)
        is_stopped = result is not None and result.status == STOPPED
        if not noted and not is_stopped:
            continue
        config = trainings.config(number)
        if result is not None and is_stopped:
            found.finished[number] = _mended(result, noted, job, rule, config)
            noted = read_rungs(job)
        known[number] = _known(noted, rule, config)
    ended = {
        number: result.status != COMPLETED
        for number, result in found.finished.items()
        if number < asked and result.status != STOPPED
    }
    race = Race(rule, taking_part, known, ended)
    race.take_decisions()  # these were told when they were made
    # Other jobs may have changed a decision after one had gone on and was cut off.
    cut_off = [number for number in found.pending if race.is_out(number)]
    found.pending = sorted([*cut_off, *(number for _, number in race.waiting())])
    for number in found.pending:
        found.finished.pop(number, None)
    return race


def may_train(race: Race, found: Inventory) -> list[int]:
    """Returns the numbers of the jobs that train next in a race, and of those that may go on."""
    at_a_rung = (number for number, one in found.finished.items() if one.status == STOPPED)
    return sorted([*found.pending, *(number for number in at_a_rung if not race.is_out(number))])


def _mended(
    result: JobResult, noted: Sequence[Reached], job: Path, rule: Rule, config: Mapping[str, Any]
) -> JobResult:
    """Mends what a stopped job tells of its rung, and returns its result.

    It may have been killed between writing its result and noting its rung, and with more updates it
    stands at another share of them.
    """
    if not any(one.updates == result.updates for one in noted):
        note_rung(job, reached(result))
    updates = config["trainer"]["updates"]
    there = (share for share in rule.rungs if updates_at(share, updates) == result.updates)
    rung = next(there, result.updates / updates)
    if (rung, updates) == (result.rung, result.planned_updates):
        return result
    mended = replace(result, rung=rung, planned_updates=updates)
    mended.write(job)
    return mended


def _known(noted: Sequence[Reached], rule: Rule, config: Mapping[str, Any]) -> list[float]:
    """Returns a job's objectives at the rungs that it has reached."""
    marks = {
        planned: marks_of(config, *shorter(config, planned))
        for planned in {one.planned for one in noted}
    }
    valid = {one.updates: one.objective for one in noted if one.fingerprint in marks[one.planned]}
    known = []
    for share in rule.rungs:
        update = updates_at(share, config["trainer"]["updates"])
        if update > max(valid, default=0):
            break
        objective = valid.get(update)
        known.append(UNKNOWN if objective is None else objective)
    return known
