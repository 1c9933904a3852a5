"""Tells which results are of the trainings that the jobs of a sweep are now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neroRL.config.budget import shorter
from neroRL.config.weights import weights_digest
from neroRL.records.results import DIVERGED, FAILED, FORMAT, STOPPED, JobResult, fingerprint
from neroRL.records.rungs import read_rungs
from neroRL.sweep.jobs import SEED, JobPlan
from neroRL.sweep.plan import SweepPlan


@dataclass(frozen=True)
class Trainings:
    """The trainings that the jobs of a sweep are now.

    Its methods raise ``CheckpointError`` where weights that a training begins with cannot be read.

    Attributes:
        plan: of the current command.
        jobs: of the sweep.
        sweep: the directory in which the jobs have theirs.
    """

    plan: SweepPlan
    jobs: JobPlan
    sweep: Path

    def directory(self, number: int) -> Path:
        """Returns the directory of a job."""
        return self.sweep / self.jobs.directory(number)

    def config(self, number: int) -> dict[str, Any]:
        """Returns the complete config of a job."""
        permutation, seed = self.jobs.point(number)
        return {**self.plan.config_of(permutation), SEED: seed}

    def have(self, number: int, result: JobResult) -> bool:
        """Returns whether a result is one of the training that the job is now."""
        if result.status == STOPPED:
            return self.begin_with(number, result)
        if result.status == DIVERGED and self._is_shorter(number, result):
            return True  # with more updates it would diverge where it did
        return result.status == FAILED or _is_one_of(result, marks_of(self.config(number)))

    def begin_with(self, number: int, result: JobResult) -> bool:
        """Returns whether a stopped job is the beginning of the training that it is now."""
        config = self.config(number)
        planned = [one.planned for one in read_rungs(self.directory(number))]
        configs = [config, *(shorter(config, planned[-1]) if planned else [])]
        return _is_one_of(result, marks_of(*configs))

    def go_on(self, number: int, result: JobResult) -> bool:
        """Returns whether a job that has ended trains on, since it has more updates now."""
        return result.status != DIVERGED and self._is_shorter(number, result)

    def are_others_than(self, number: int, result: JobResult | None) -> bool:
        """Returns whether a result is of another training, whatever its number of updates."""
        if result is None or result.status == FAILED:
            return False
        config = self.config(number)
        return not _is_one_of(result, marks_of(config, *shorter(config, result.whole_updates)))

    def _is_shorter(self, number: int, result: JobResult) -> bool:
        """Returns whether a result belongs to the same training with fewer updates."""
        config, planned = self.config(number), result.whole_updates
        if planned >= config["trainer"]["updates"]:
            return False
        return _is_one_of(result, marks_of(*shorter(config, planned)))


def marks_of(*configs: Mapping[str, Any]) -> set[str]:
    """Returns the fingerprints of trainings; earlier versions left the weights out.

    Args:
        configs: complete and resolved.

    Raises:
        CheckpointError: weights that they begin with cannot be read.
    """
    marks = set()
    for config in configs:
        model = config["model"]
        weights = weights_digest(model["load_model"], model["model_path"])
        marks |= {fingerprint(config, known) for known in {None, weights}}
    return marks


def _is_one_of(result: JobResult, marks: set[str]) -> bool:
    return result.format == FORMAT and result.fingerprint in marks
