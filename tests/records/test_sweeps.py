"""Tests reading sweeps that are complete, unfinished, copied, damaged or of older versions."""

from __future__ import annotations

import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from neroRL.config.documents import dump_yaml, read_document
from neroRL.errors import OutputError, RecordError
from neroRL.records.results import JobResult
from neroRL.records.sweep_record import RECORD_FILE, SweepRecord
from neroRL.records.sweeps import RENUMBERING_FILE, confirmation_of, read_sweep
from neroRL.reporting.race import under_way

SPACE = "hyperparameters:\n  gamma: [0.9, 0.99]\n  epochs: [2, 1, 3]\n"
ARGUMENTS = ["--config=tiny.yaml", "--tune=space.yaml", "--run-id=run", "--out=out"]
AXES = {"trainer.gamma": [0.9, 0.99], "odd": [None, "1e3", True]}
RECORD = SweepRecord(
    base={"trainer": {"gamma": 0.5}, "seed": 3},
    axes=AXES,
    seed=3,
    tune="space.yaml",
    repetitions=2,
    permutations=6,
    jobs=12,
    id="run-01234567",
    command="ntune --tune='my space.yaml'",
    versions={"python": "3.11"},
)


def _write(sweep: Path, permutation: int, repetition: int, **values) -> Path:
    job = sweep / f"{permutation}/{repetition}"
    job.mkdir(parents=True, exist_ok=True)
    told = {"permutation": permutation, "repetition": repetition, "seed": 3, **values}
    told = {"status": "completed", **told}
    JobResult(directory=f"{permutation}/{repetition}", **told).write(job)
    return job


@pytest.fixture
def sweep(tmp_path) -> Path:
    """Writes all jobs but the last of a grid of six permutations with two repetitions."""
    directory = tmp_path / "run"
    directory.mkdir()
    RECORD.write(directory)
    for permutation, repetition in [(p, r) for p in reversed(range(6)) for r in (1, 0)][1:]:
        _write(directory, permutation, repetition, objective=permutation + repetition / 10)
    return directory


def _jobs(directory: Path) -> list[tuple[int, int]]:
    return [(r.permutation, r.repetition) for r in read_sweep(directory).results]


@pytest.mark.slow
def test_a_real_sweep_is_read_as_it_was_run(command, tiny, tmp_path):
    (tmp_path / "space.yaml").write_text(SPACE)
    done = command("tune", *ARGUMENTS, "--num-repetitions=2", "trainer.lamda=0.8")
    assert done.returncode == 0, done.stderr
    sweep = read_sweep(tmp_path / "out/run")
    assert _jobs(tmp_path / "out/run") == [(p, r) for r in range(2) for p in range(6)]
    assert sweep.damaged == []
    for result in sweep.results:
        gamma, epochs = divmod(result.permutation, 3)
        assert result.overrides == {
            "trainer.gamma": [0.9, 0.99][gamma], "trainer.epochs": [2, 1, 3][epochs]
        }  # fmt: skip
        assert result.seed == 5 + result.repetition
        assert result.env_steps == 64
        assert (sweep.directory / result.directory / "result.json").is_file()
    record = sweep.record
    assert list(record.axes.items()) == [
        ("trainer.gamma", [0.9, 0.99]), ("trainer.epochs", [2, 1, 3])
    ]  # fmt: skip
    assert (record.seed, record.repetitions, record.permutations, record.jobs) == (5, 2, 6, 12)
    assert record.base["trainer"]["lamda"] == 0.8
    assert record.tune == "space.yaml"
    assert record.versions["torch"].startswith("2.")
    assert record.id.startswith("run-")
    assert record.command is not None
    assert shlex.split(record.command)[-3:] == [
        "--out=out", "--num-repetitions=2", "trainer.lamda=0.8"
    ]  # fmt: skip
    shutil.copytree(sweep.directory, tmp_path / "elsewhere/copied")
    shutil.rmtree(tmp_path / "out")
    copied = read_sweep(tmp_path / "elsewhere/copied")
    assert (copied.record, copied.results) == (record, sweep.results)


@pytest.mark.slow
def test_a_sweep_keeps_its_identity_when_it_is_continued(door, tiny, tmp_path):
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9]\n")
    other = [text.replace("run-id=run", "run-id=other") for text in ARGUMENTS]
    ids = []
    for arguments in (ARGUMENTS, [*ARGUMENTS, "--num-repetitions=2"], other):
        assert door("ntune", arguments).status == 0
        name = "other" if arguments is other else "run"
        ids.append(read_sweep(tmp_path / "out" / name).record.id)
    assert ids[0] == ids[1] != ids[2]


def test_the_record_survives_the_disk(sweep):
    assert read_sweep(sweep).record == RECORD


def test_results_are_in_the_order_of_the_sweep(sweep):
    assert _jobs(sweep) == [(p, r) for r in range(2) for p in range(6)][:-1]


def test_jobs_that_have_not_ended_are_left_out(sweep):
    (sweep / "2/0/result.json").unlink()
    shutil.rmtree(sweep / "3")
    assert {(2, 0), (3, 0), (3, 1)} & set(_jobs(sweep)) == set()
    assert len(_jobs(sweep)) == 8
    assert read_sweep(sweep).damaged == []


def test_damaged_and_misplaced_results_are_named(sweep):
    (sweep / "0/1/result.json").write_text('{"permutation": 0, "rep')
    shutil.copytree(sweep / "2/0", sweep / "2/1", dirs_exist_ok=True)
    _write(sweep, 6, 0)
    _write(sweep, 4, 2)
    (sweep / "confirmation/0/0").mkdir(parents=True)
    (sweep / "07").mkdir()
    read = read_sweep(sweep)
    assert {(0, 1), (2, 1), (6, 0), (4, 2)} & set(_jobs(sweep)) == set()
    assert len(read.results) == 9
    first, second, third, fourth = read.damaged
    assert first.startswith(f"{sweep / '6/0'} is no job of this sweep")
    assert second.startswith(f"{sweep / '0/1/result.json'} is damaged: no JSON")
    assert third == f"{sweep / '2/1'} holds the result of another job: permutation 2, repetition 0"
    assert fourth.startswith(f"{sweep / '4/2'} is no job of this sweep")


def test_records_of_older_versions_are_read(sweep):
    path = sweep / RECORD_FILE
    content = read_document(path).data
    for key in ("id", "command", "versions"):
        del content[key]
    path.write_text(dump_yaml(content))
    record = read_sweep(sweep).record
    assert (record.id, record.command, record.versions) == ("", None, {})
    assert dict(record.axes) == AXES


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text[: len(text) // 2], "is damaged"),
        (lambda text: text.replace("seed: 3", "seed: three"), "seed: Input should be a valid int"),
        (lambda text: text.replace("axes:", "axles:"), "incomplete: 'axes'"),
        (lambda text: "", "is damaged"),
    ],
)
def test_a_damaged_record_is_refused_with_the_reason(sweep, change, reason):
    path = sweep / RECORD_FILE
    path.write_text(change(path.read_text()))
    with pytest.raises(RecordError) as error:
        read_sweep(sweep)
    assert reason in str(error.value)
    assert str(path) in str(error.value)


def test_other_directories_are_refused_with_a_suggestion(sweep, tmp_path):
    with pytest.raises(OutputError, match=r"is no sweep: .*; did you mean") as error:
        read_sweep(tmp_path)
    assert str(sweep) in str(error.value)
    with pytest.raises(OutputError, match="is no directory"):
        read_sweep(tmp_path / "missing")
    (sweep / RENUMBERING_FILE).touch()
    with pytest.raises(OutputError, match="is being extended"):
        read_sweep(sweep)


def test_results_of_shorter_trainings_do_not_count_beside_longer_ones(tmp_path):
    """As while a sweep whose trainings get longer runs, or if its confirmation does not."""
    record = replace(RECORD, repetitions=1, permutations=3, jobs=3, confirm=0)
    record.write(tmp_path)
    for permutation, updates in enumerate((20, 20, 40)):
        _with_config(_write(tmp_path, permutation, 0, objective=1.0, updates=updates), updates)
    place = confirmation_of(tmp_path)
    place.mkdir()
    replace(record, id="-confirmation", repetitions=2, jobs=2).write(place)
    for repetition in (0, 1):
        _with_config(_write(place, 1, repetition, objective=9.0, updates=20), 20)
    assert _jobs(tmp_path) == [(0, 0), (1, 0), (2, 0)]  # nothing tells how many there should be

    def with_updates(axes, conditional=()):
        base = {**record.base, "trainer": {"updates": 40}}
        replace(record, base=base, axes=axes, conditional=conditional).write(tmp_path)
        return read_sweep(tmp_path)

    gamma = {"trainer.gamma": [0.9, 0.99]}
    sweep = with_updates(gamma)
    assert [one.permutation for one in sweep.results] == [2]
    assert sweep.has_jobs_left
    told = "have 20 updates, and the sweep has 40 by now"
    (message,) = sweep.damaged
    assert f"{tmp_path}: 2 results {told}" in message
    # The confirmation's own record has none, and it is no part of a sweep of 40 updates.
    assert sweep.confirmation.results == []
    assert f"{place}: 2 results {told}" in sweep.warnings()[1]
    for permutation in (0, 1):
        _with_config(_write(tmp_path, permutation, 0, objective=1.0, updates=40), 40)
    assert not read_sweep(tmp_path).has_jobs_left  # no command confirms any more
    _write(tmp_path, 0, 0, status="diverged", updates=13)
    assert len(read_sweep(tmp_path).results) == 3
    job = _with_config(_write(tmp_path, 0, 0, objective=1.0, updates=20), 20)
    for axes, conditional in (
        ({"trainer.updates": [20, 40]}, ()),
        ({"trainer": ["short", "long"]}, ()),  # a group of the user's
        (gamma, ("trainer.updates=20",)),
    ):
        assert len(with_updates(axes, conditional).results) == 3
    for axes in ({"model/memory": ["gru"]}, {"seed": [1, 2]}, {"environment": ["unity"]}):
        assert len(with_updates(axes).results) == 2
    _with_config(job, "${oc.decode:${oc.env:UPDATES}}")  # which may be another elsewhere
    assert len(read_sweep(tmp_path).results) == 2
    # Nothing but the job's own config tells that it was trained with fewer.
    _with_config(job, 40)
    assert len(read_sweep(tmp_path).results) == 3
    for damaged in ("", "[]", "trainer: {"):
        (job / ".hydra/config.yaml").write_text(damaged)
        assert len(read_sweep(tmp_path).results) == 3
    (job / ".hydra/config.yaml").unlink()
    assert len(read_sweep(tmp_path).results) == 3


def _with_config(job: Path, updates: int | str) -> Path:
    (job / ".hydra").mkdir(exist_ok=True)
    (job / ".hydra/config.yaml").write_text(dump_yaml({"trainer": {"updates": updates}}))
    return job


def test_jobs_that_a_race_let_go_are_left(tmp_path):
    """As after an interrupted command without the race of an earlier one."""
    record = replace(RECORD, repetitions=1, permutations=1, jobs=1)
    _write(tmp_path, 0, 0, status="stopped", objective=1.0, rung=0.5, planned_updates=8)
    for race, is_over, left in (({}, False, 1), ({"rungs": [0.5]}, True, 0)):
        replace(record, race=race, race_is_over=is_over).write(tmp_path)
        sweep = read_sweep(tmp_path)
        assert (sweep.let_go, sweep.has_jobs_left) == (left, bool(left))
        assert bool(under_way(sweep)) == bool(left)


@pytest.mark.parametrize(
    ("confirm", "confirmed", "done", "left"),
    [
        (0, None, 0, False),
        (1, None, 0, True),  # it has not begun
        (1, 2, 1, True),
        (1, 2, 2, False),
        (2, 2, 2, True),  # one more permutation than an earlier command asked for
        (9, 4, 4, False),  # there are two permutations only
    ],
)
def test_a_sweep_has_jobs_left_until_its_confirmation_is_done(
    tmp_path, confirm, confirmed, done, left
):
    record = replace(RECORD, permutations=2, repetitions=1, jobs=2)
    replace(record, confirm=confirm, confirm_repetitions=2).write(tmp_path)
    for permutation in range(2):
        _write(tmp_path, permutation, 0, objective=1.0)
    if confirmed is not None:
        place = confirmation_of(tmp_path)
        place.mkdir()
        replace(record, id="-confirmation", repetitions=2, jobs=confirmed).write(place)
        for number in range(done):
            _write(place, number // 2, number % 2, objective=1.0)
    assert read_sweep(tmp_path).has_jobs_left is left


def test_a_confirmation_without_a_best_permutation_is_not_waited_for(tmp_path):
    replace(RECORD, repetitions=1, jobs=1, confirm=1, confirm_repetitions=2).write(tmp_path)
    _write(tmp_path, 0, 0)
    assert not read_sweep(tmp_path).has_jobs_left
