"""A run of a logger has the updates of one training, also where its directory has branches."""

from __future__ import annotations

import pytest


class _Run:
    """A run in memory."""

    def __init__(self, runs: list[list[int]], known: str | None) -> None:
        if known is None:
            runs.append([])
        self.id = known or str(len(runs) - 1)
        self._updates = runs[int(self.id)]

    def log(self, update, values):
        self._updates.append(update)

    def close(self, success):
        pass


@pytest.fixture
def runs(monkeypatch) -> list[list[int]]:
    """The updates of all runs, in the order in which they began."""
    made: list[list[int]] = []
    in_memory = {"mlflow": lambda: lambda job, known: _Run(made, known)}
    monkeypatch.setattr("neroRL.reporting.loggers.external.LOGGERS", in_memory)
    monkeypatch.setattr("neroRL.config.checks.find_spec", lambda name: name)
    return made


TRAINING = ["--config=tiny.yaml", "hydra.run.dir=here", "loggers=[mlflow]", "trainer.updates=4"]
TRAINING += ["model.checkpoint_interval=2"]
DECAY = ["trainer.beta_schedule.final=0.0"]
BRANCH = ["--checkpoint=here/checkpoints/default-{}.pt", "hydra.run.dir=here", "loggers=[mlflow]"]


def _branch(update: int, *options: str) -> list[str]:
    return [one.format(update) for one in BRANCH] + list(options)


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("first", "then", "expected"),
    [
        ([], _branch(2, "--num-updates=4", "trainer.gamma=0.5"), [[1, 2, 3, 4], [3, 4, 5, 6]]),
        ([], _branch(2, "--num-updates=2", "--seed=7"), [[1, 2, 3, 4], [3, 4]]),
        ([], _branch(2, "--num-updates=1"), [[1, 2, 3, 4], [3]]),  # the run has one too many
        ([], _branch(4, "--num-updates=2", "--seed=7"), [[1, 2, 3, 4], [5, 6]]),  # none goes back
        ([], _branch(4, "--num-updates=2"), [[1, 2, 3, 4, 5, 6]]),
        ([], _branch(2, "--num-updates=4"), [[1, 2, 3, 4, 5, 6]]),  # 3 and 4 are the same again
        (DECAY, _branch(4, "--num-updates=2"), [[1, 2, 3, 4, 5, 6]]),
        (DECAY, _branch(2, "--num-updates=4"), [[1, 2, 3, 4], [3, 4, 5, 6]]),  # decays over 6
        ([], [*TRAINING, "trainer.updates=6"], [[1, 2, 3, 4, 5, 6]]),
        ([], [*TRAINING, "trainer.gamma=0.5"], [[1, 2, 3, 4], [1, 2, 3, 4]]),
        ([], [*TRAINING, "model.checkpoint_interval=3", "trainer.updates=6"], [[*range(1, 7)]]),
    ],
)
def test_a_run_has_the_updates_of_one_training(first, then, expected, runs, door):
    assert door("ntrain", [*TRAINING, *first]).status == 0
    done = door("ntrain", then)
    assert done.status == 0, done.err
    assert runs == expected


@pytest.mark.usefixtures("tiny")
def test_a_branch_that_goes_on_goes_on_in_its_run(runs, door):
    """Alone or by the same command, but another branch of the same config has another run."""
    assert door("ntrain", TRAINING).status == 0
    options = ["--seed=7", "trainer.gamma=0.5"]
    assert door("ntrain", _branch(2, "--num-updates=2", *options)).status == 0
    assert runs == [[1, 2, 3, 4], [3, 4]]
    branch = [*TRAINING, "seed=7", "trainer.gamma=0.5", "trainer.updates=6"]
    assert door("ntrain", branch).status == 0
    assert runs == [[1, 2, 3, 4], [3, 4, 5, 6]]
    assert door("ntrain", _branch(2, "--num-updates=4", *options)).status == 0
    assert runs == [[1, 2, 3, 4], [3, 4, 5, 6]]
    other = [one.replace("checkpoints/", "checkpoints.0/") for one in _branch(4, *options)]
    assert door("ntrain", [*other, "--num-updates=2"]).status == 0
    assert runs == [[1, 2, 3, 4], [3, 4, 5, 6], [5, 6]]
