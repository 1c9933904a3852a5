"""Tests races of real sweeps: who stops, under every runner, after kills, and what goes on."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util import tensor_util

from neroRL.ranking.ranking import rank
from neroRL.records.rungs import read_rungs
from neroRL.records.sweeps import read_sweep
from neroRL.reporting.analysis.analysis import analyse
from neroRL.reporting.race import at_first_rung
from tests.doors.sweeps import (
    ARGUMENTS,
    assert_same_trainings,
    checkpoints,
    jobs_of,
    start,
    table,
)
from tests.doors.test_launchers import LAUNCHERS
from tests.patience import PATIENCE, wait_for

# A rate of 0 learns nothing, and one of 1 destroys the policy.
SPACE = """
hyperparameters:
  trainer.gamma: [0.9, 0.99]
learning_rate_schedule:
  initial: [0.0, 0.003, 1.0]
"""
RACE = (
    "hydra.sweeper.race=true",
    "hydra.sweeper.race_rungs=[0.25,0.5]",
    "hydra.sweeper.race_keep=0.3",
    "hydra.sweeper.race_min_permutations=1",
    "hydra.sweeper.race_confidence=0.6",
    "hydra.sweeper.num_repetitions=2",
    "trainer.updates=8",
)
UPDATES = {"0.25": "2", "0.5": "4", "": "8"}


def _run(directory: Path, *arguments: str, space: str = SPACE, **variables: str) -> str:
    (directory / "space.yaml").write_text(space)
    process = start(directory, *ARGUMENTS, *arguments, **variables)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    return output


@pytest.fixture
def raced(tiny, tmp_path, undisturbed):
    """Gives the directory of a race that all tests share: it is to be read only."""
    (tmp_path / "space.yaml").write_text(SPACE)
    return undisturbed(*RACE).parents[1]


def _standing(sweep: Path) -> dict[str, tuple[str, str, str]]:
    rows = table(sweep)
    return {row["directory"]: (row["status"], row.get("rung", ""), row["updates"]) for row in rows}


def test_a_race_stops_losers_and_tells_it_everywhere(raced):
    output = (raced / "output.txt").read_text()
    sweep = raced / "out/run"
    rows = table(sweep)
    assert len(rows) == 12
    stopped = [row for row in rows if row["status"] == "stopped"]
    assert stopped
    assert len(stopped) < 12
    for row in rows:
        job = sweep / row["directory"]
        assert row["updates"] == UPDATES[row["rung"]]
        assert (row["status"] == "stopped") == bool(row["rung"])
        assert checkpoints(job)[-1] == int(row["updates"])
        result = json.loads((job / "result.json").read_text())
        assert (result["status"], result["objective"]) == (row["status"], float(row["objective"]))
        assert result["rung"] == (float(row["rung"]) if row["rung"] else None)
    # All repetitions of a permutation stop at the same rung.
    assert len({(row["permutation"], row["rung"]) for row in rows}) == 6
    missing = [8 - int(row["updates"]) for row in stopped]
    steps = int(stopped[0]["env_steps"]) // int(stopped[0]["updates"])
    saved = steps * sum(missing)
    assert f"{saved:,} steps saved so far" in output
    share = f"{saved / (12 * 8 * steps):.0%} of the whole sweep"
    told = f"a race stopped {len(stopped)} jobs: {saved:,} environment steps saved, {share}"
    assert told in output
    assert not read_sweep(sweep).has_jobs_left


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
def test_a_race_of_trainings_that_begin_late_has_no_rung_before(tmp_path):
    """They train the last six of eight updates, and the first rung would be after the second."""
    output = _run(tmp_path, *RACE, "trainer.resume_at=2")
    told = "hydra.sweeper.race_rungs: trainings begin after 2 updates, no earlier than 0.25 of them"
    assert told in output
    # One or two of six go on after two of six updates.
    assert f"as a race between {(4 / 6) * (2 / 6) + 2 / 6:.0%} of these steps" in output
    rows = table(tmp_path / "out/run")
    stopped = [row for row in rows if row["rung"] == "0.5"]
    assert {row["rung"] for row in rows} == {"", "0.5"}
    steps = {int(row["env_steps"]) for row in stopped}
    assert steps == {2 * 2 * 16}
    saved, whole = len(stopped) * 4 * 2 * 16, 12 * 6 * 2 * 16
    told = f"{saved:,} environment steps saved, {saved / whole:.0%} of the whole sweep"
    assert told in output


@pytest.mark.parametrize("swept", ["trainer.updates=40,60", "trainer.resume_at=0,20"])
def test_the_least_of_a_race_is_that_of_its_shortest_training(door, tiny, swept):
    begin = ["trainer.resume_at=20"] if "updates" in swept else ["trainer.updates=40"]
    race = ["hydra.sweeper.race=true", "hydra.sweeper.race_rungs=[0.75]", "--cfg=job"]
    outcome = door("train", ["--config-path=.", "--config-name=tiny", "-m", swept, *begin, *race])
    assert outcome.status == 0, outcome.err
    # Both of two permutations go on by rank.
    assert "# as a race between 100% of these steps and all of them" in outcome.out


def _last_value(events: Path, tag: str) -> float:
    """Returns the value of a tag at its last update, from all event files of a job."""
    found = [
        (event.step, tensor_util.make_ndarray(value.tensor).item())
        for path in events.rglob("events.out.tfevents.*")
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
        if value.tag == tag
    ]
    return max(found)[1]


@pytest.mark.slow
def test_axes_are_compared_at_the_first_rung_and_only_where_all_stood_there(raced, tmp_path):
    shutil.copytree(raced, tmp_path, dirs_exist_ok=True)
    sweep = read_sweep(tmp_path / "out/run")
    there = at_first_rung(sweep)
    assert [(one.permutation, one.repetition) for one in there] == [
        (one.permutation, one.repetition) for one in sweep.results
    ]
    for one in there:
        noted = read_rungs(sweep.job_directory(one.permutation, one.repetition))
        assert one.objective == next(rung.objective for rung in noted if rung.updates == 2)
    # A job that came to nothing does not take its repetition from the others.
    failed = sweep.job_directory(0, 0) / "result.json"
    lost = {**json.loads(failed.read_text()), "status": "failed", "objective": None}
    failed.write_text(json.dumps(lost))
    sweep = read_sweep(sweep.directory)
    compared = analyse(sweep, rank(sweep.results, sweep.jobs_a_lap)).compared
    assert compared.values.shape == (6, 2)
    assert np.isnan(compared.values).sum() == 1
    for repetition in (0, 1):  # nothing tells of a permutation's first rung
        (sweep.job_directory(0, repetition) / "rungs.json").unlink()
    assert at_first_rung(read_sweep(sweep.directory)) == []


@pytest.mark.usefixtures("failing")
def test_a_race_that_a_failure_ends_is_not_over(door, tmp_path):
    """All jobs have a result, but those at the rung still wait for its decision."""
    (tmp_path / "space.yaml").write_text(
        "hyperparameters:\n  environment.reset_params.how: [none, nothing, raise]\n"
    )
    options = ("race=true", "race_rungs=[0.5]", "fail_fast=true", "confirm=1", "n_jobs=1")
    outcome = door("ntune", [*ARGUMENTS, *(f"hydra.sweeper.{option}" for option in options)])
    assert outcome.status == 1, outcome.err
    sweep = read_sweep(tmp_path / "out/run")
    assert [one.status for one in sweep.results] == ["stopped", "stopped", "failed"]
    assert sweep.has_jobs_left
    assert "the race is not over; jobs at a rung: 2" in outcome.out
    assert "saved" not in outcome.out
    assert not (tmp_path / "out/run/confirmation").exists()


@pytest.mark.slow
def test_tensorboard_marks_how_far_a_race_let_each_job_go(raced):
    sweep = raced / "out/run"
    columns = next(sweep.glob("events.out.tfevents.*")).read_bytes()
    assert b"race/rung" in columns
    for row in table(sweep):
        last = _last_value(sweep / row["directory"] / "summaries", "race/rung")
        assert last == (float(row["rung"]) if row["rung"] else 1.0)


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    "runner",
    [["hydra.sweeper.n_jobs=1"], LAUNCHERS["joblib"], LAUNCHERS["submitit_local"]],
    ids=["one worker", "joblib", "submitit"],
)
def test_the_same_permutations_stop_under_every_runner(tmp_path, undisturbed, runner):
    _run(tmp_path, *RACE, *runner, space=SPACE.replace("[0.9, 0.99]", "[0.99]"))
    two_workers = undisturbed(*RACE, "hydra.sweeper.n_jobs=2")
    assert any(row["rung"] for row in table(tmp_path / "out/run"))
    assert _standing(tmp_path / "out/run") == _standing(two_workers)
    assert_same_trainings(tmp_path / "out/run", two_workers)


@pytest.mark.slow
def test_ten_kills_change_nothing_and_without_the_race_all_is_as_if_there_had_been_none(
    raced, tmp_path
):
    _run(tmp_path, *RACE, "hydra.sweeper.race=false", "--out=never")
    chance = random.Random(0)
    sweep, kills = tmp_path / "out/run", 0
    while kills < 10:
        process = start(tmp_path, *ARGUMENTS, *RACE)
        if not _comes_further(process, sweep, chance.randrange(3)):
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        kills += 1
    assert kills >= 4
    _run(tmp_path, *RACE)
    assert _standing(sweep) == _standing(raced / "out/run")
    assert_same_trainings(sweep, raced / "out/run")
    # One permutation that was out goes on alone, then all do.
    out = next(row for row in table(sweep) if row["rung"])
    _run(tmp_path, *RACE, f"hydra.sweeper.only=[{out['permutation']}]")
    ended = {row["permutation"] for row in table(sweep) if row["status"] == "completed"}
    assert out["permutation"] in ended
    assert any(row["rung"] for row in table(sweep))
    # It was no part of the race, which is over as before.
    record = read_sweep(sweep).record
    assert record.race
    assert record.race_is_over
    _run(tmp_path, *RACE, "hydra.sweeper.race=false")
    assert {row["status"] for row in table(sweep)} == {"completed"}
    assert_same_trainings(sweep, tmp_path / "never/run")
    for row in table(sweep):  # TensorBoard's column says so, too
        assert _last_value(sweep / row["directory"] / "summaries", "race/rung") == 1.0


def _comes_further(process: subprocess.Popen[str], sweep: Path, steps: int) -> bool:
    """Waits until jobs have written some files more; false if the sweep ends before."""
    wanted = sum(map(_is_known, jobs_of(sweep))) + steps
    wait_for(lambda: process.poll() is not None or sum(map(_is_known, jobs_of(sweep))) > wanted)
    return process.poll() is None


def _is_known(job: Path) -> int:
    """Counts the files that tell how far a job came."""
    return len(read_rungs(job)) + (job / "result.json").exists()


@pytest.mark.slow
def test_a_race_may_be_extended(raced, tmp_path):
    """Further repetitions race anew from the first rung: decisions take all of them."""
    shutil.copytree(raced, tmp_path, dirs_exist_ok=True)
    more = [text for text in RACE if "num_repetitions" not in text]
    more.append("hydra.sweeper.num_repetitions=3")
    _run(tmp_path, *more)
    _run(tmp_path, *more, "--out=at_once")
    grown, at_once = _standing(tmp_path / "out/run"), _standing(tmp_path / "at_once/run")
    assert grown.keys() == at_once.keys()
    further = {"": 8, "0.5": 4, "0.25": 2}
    for job, (status, rung, _) in at_once.items():
        # What two repetitions let go on may have trained further than three would.
        assert further[grown[job][1]] >= further[rung], (job, status)
    wider = SPACE.replace("[0.9, 0.99]", "[0.9, 0.99, 0.999]")
    (tmp_path / "space.yaml").write_text(wider)
    process = start(tmp_path, *ARGUMENTS, *more, "hydra.sweeper.extend=true")
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    assert len(table(tmp_path / "out/run")) == 27


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
def test_with_more_updates_a_race_goes_on_and_rungs_lie_elsewhere(tmp_path):
    """What stood at a quarter of 8 updates stands at the first rung of 16, a tenth."""
    fixed = SPACE + "  final: [0.0]\n  max_decay_steps: [100]\n"
    arguments = [text for text in RACE if not text.startswith(("hydra.sweeper.race_rungs", "tr"))]
    (tmp_path / "space.yaml").write_text(fixed)
    for updates in (8, 16):
        more = [f"trainer.updates={updates}", "hydra.sweeper.extend=true"]
        process = start(tmp_path, *ARGUMENTS, *arguments, *more)
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, output
    sweep = tmp_path / "out/run"
    at = {"0.1": 2, "0.25": 4, "0.5": 8, "": 16}
    rows = table(sweep)
    assert {row["status"] for row in rows} == {"stopped", "completed"}
    for row in rows:
        assert int(row["updates"]) == at[row["rung"]]
        planned = json.loads((sweep / row["directory"] / "result.json").read_text())
        assert planned["planned_updates"] == (16 if row["rung"] else None)


@pytest.mark.slow
@pytest.mark.usefixtures("tiny")
def test_with_evaluation_a_rung_compares_evaluations_and_training_stays_the_same(tmp_path):
    evaluated = (
        "evaluation.evaluate=true",
        "evaluation.interval=3",
        "evaluation.n_workers=1",
        "evaluation.seeds={start-seed:1000,num-seeds:2}",
    )
    _run(tmp_path, *RACE, *evaluated)
    _run(tmp_path, *RACE, *evaluated, "hydra.sweeper.race=false", "--out=never")
    stopped = [row for row in table(tmp_path / "out/run") if row["rung"]]
    assert stopped
    # An evaluation after every update shows the same at the first rung.
    always = ("evaluation.interval=1", "hydra.sweeper.race=false", "trainer.updates=2")
    _run(tmp_path, *RACE, *evaluated, *always, "--out=always")
    shown = {row["directory"]: row["objective"] for row in table(tmp_path / "always/run")}
    at_first = [row for row in stopped if row["rung"] == "0.25"]
    assert at_first
    assert {row["directory"]: row["objective"] for row in at_first}.items() <= shown.items()
    for row in stopped:  # TensorBoard shows what the race compared, also between evaluations
        job = tmp_path / "out/run" / row["directory"]
        assert _last_value(job, "evaluation/reward_mean") == pytest.approx(float(row["objective"]))
    _run(tmp_path, *RACE, *evaluated, "hydra.sweeper.race=false")
    assert_same_trainings(tmp_path / "out/run", tmp_path / "never/run")


@pytest.mark.usefixtures("tiny")
@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("race_rungs=[0.5,0.2]", "[0.5, 0.2] is not allowed; expected shares between 0 and 1"),
        ("race_rungs=[]", "[] is not allowed; expected shares between 0 and 1, ascending"),
        ("race_rungs=[0.5,1.0]", "[0.5, 1.0] is not allowed"),
        ("race_keep=0", "0.0 is not allowed; expected a share between 0 and 1"),
        ("race_min_permutations=0", "0 is not allowed; expected a number from 1"),
        ("race_confidence=95", "95.0 is not allowed; expected a share between 0 and 1"),
    ],
)
def test_options_that_make_no_race_are_refused(door, tmp_path, option, told):
    outcome = door("ntune", [*ARGUMENTS, f"hydra.sweeper.{option}"])
    assert outcome.status == 2
    assert f"hydra.sweeper.{option.split('=')[0]}: {told}" in outcome.err
    assert not (tmp_path / "out").exists()
