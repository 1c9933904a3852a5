"""Tests training a sweep's best permutations again on seeds that no tuning job had."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from neroRL.records.sweep_record import SweepRecord
from neroRL.records.sweeps import directory_of, read_sweep
from neroRL.sweep.confirmation import extended
from neroRL.sweep.extension import Move
from tests.doors.sweeps import ARGUMENTS, table

CONFIRM = ["hydra.sweeper.confirm=1", "hydra.sweeper.confirm_repetitions=2"]
SPACE = "hyperparameters:\n  gamma: [0.9, 0.99]\n"


def _weights(job: Path) -> dict[str, torch.Tensor]:
    (last,) = job.glob("checkpoints/*-2.pt")
    return torch.load(last, weights_only=True)["model"]


JOBLIB = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=1"]


@pytest.mark.parametrize("launcher", [[], pytest.param(JOBLIB, marks=pytest.mark.slow)])
def test_the_best_is_confirmed_on_other_seeds(door, tiny, tmp_path, launcher):
    (tmp_path / "space.yaml").write_text(SPACE)
    outcome = door("ntune", [*ARGUMENTS, "--num-repetitions=2", *CONFIRM, *launcher])
    assert outcome.status == 0, outcome.err
    sweep = tmp_path / "out/run"
    tuning, confirmed = table(sweep), table(sweep / "confirmation")
    assert len(tuning) == 4
    (best,) = {row["permutation"] for row in confirmed}
    assert best == (sweep / "report/ranking.csv").read_text().splitlines()[1].split(",")[1]
    assert [row["repetition"] for row in confirmed] == ["0", "1"]
    assert {row["status"] for row in confirmed} == {"completed"}
    assert not {row["seed"] for row in confirmed} & {row["seed"] for row in tuning}
    assert "on seeds 1000005 to 1000006, which no tuning job had" in outcome.out
    assert f"confirmation of permutation {best} on seeds 1000005 to 1000006" in outcome.err
    recorded = read_sweep(sweep)
    assert (recorded.record.confirm, recorded.record.confirm_repetitions) == (1, 2)
    assert not recorded.has_jobs_left
    # It trained the permutation's config with that seed.
    row = confirmed[1]
    job = sweep / "confirmation" / row["directory"]
    gamma = f"trainer.gamma={row['trainer.gamma']}"
    alone = door("ntrain", ["--config=tiny.yaml", f"--seed={row['seed']}", gamma, "--out=alone"])
    assert alone.status == 0, alone.err
    (single,) = (tmp_path / "alone").glob("*/*")
    trained, expected = _weights(job), _weights(single)
    assert all(torch.equal(trained[name], expected[name]) for name in expected)
    # Nothing is trained twice, and nreport shows both results.
    before = {path: path.stat().st_mtime_ns for path in sweep.rglob("result.json")}
    again = door("ntune", [*ARGUMENTS, "--num-repetitions=2", *CONFIRM])
    assert again.status == 0
    assert {path: path.stat().st_mtime_ns for path in sweep.rglob("result.json")} == before
    reported = door("nreport", ["out/run"])
    assert f"for permutation {best}, the best of the sweep" in reported.out
    mean = sum(float(row["objective"]) for row in confirmed) / 2
    assert f"Report {mean:.4g} (" in reported.out
    without = door("ntune", [*ARGUMENTS, "--num-repetitions=2"])
    assert f"Report {mean:.4g} (" in without.out
    record = (sweep / "confirmation/sweep.yaml").read_text()
    (sweep / "confirmation/sweep.yaml").write_text("{")
    damaged = door("ntune", [*ARGUMENTS, "--num-repetitions=2"])
    assert damaged.status == 0
    assert "warning: out/run/confirmation/sweep.yaml" in damaged.err
    (sweep / "confirmation/sweep.yaml").write_text(record)
    # While one of its jobs has not ended, it does not say so.
    last = sweep / "confirmation" / best / "1/result.json"
    last.unlink()
    unfinished = door("nreport", ["out/run"])
    assert "1 job of the confirmation has not ended." in unfinished.out
    assert "Report " not in unfinished.out
    assert "1 job of the confirmation has not ended." in (sweep / "report/report.html").read_text()


@pytest.mark.slow
def test_a_confirmation_of_shorter_trainings_is_none_of_longer_ones(door, tiny, tmp_path):
    (tmp_path / "space.yaml").write_text(SPACE)
    assert door("ntune", [*ARGUMENTS, *CONFIRM]).status == 0
    longer = ("trainer.updates=4", "hydra.sweeper.extend=true")
    assert door("ntune", [*ARGUMENTS, *longer]).status == 0
    reported = door("nreport", ["out/run"])
    assert "Report " not in reported.out
    assert "out/run/confirmation: 2 results have 2 updates" in reported.err
    assert not read_sweep(tmp_path / "out/run").has_jobs_left
    again = door("ntune", [*ARGUMENTS, *CONFIRM, *longer])
    assert again.status == 0, again.err
    assert {row["updates"] for row in table(tmp_path / "out/run/confirmation")} == {"4"}
    assert "Report " in door("nreport", ["out/run"]).out


@pytest.mark.slow
def test_a_confirmation_follows_its_permutations_into_a_larger_grid(door, tiny, tmp_path):
    space = tmp_path / "space.yaml"
    space.write_text(SPACE)
    assert door("ntune", [*ARGUMENTS, *CONFIRM]).status == 0
    sweep = tmp_path / "out/run"
    (before, _) = table(sweep / "confirmation")
    space.write_text(SPACE.replace("[0.9", "[0.5, 0.9"))
    extended = door("ntune", [*ARGUMENTS, *CONFIRM, "hydra.sweeper.extend=true"])
    assert extended.status == 0, extended.err
    assert not read_sweep(sweep).has_jobs_left
    confirmation = read_sweep(sweep).confirmation
    assert confirmation is not None
    assert not confirmation.damaged
    number = int(before["permutation"]) + 1
    rows = [row for row in confirmation.results if row.permutation == number]
    assert [row.overrides["trainer.gamma"] for row in rows] == [float(before["trainer.gamma"])] * 2
    assert rows[0].objective == float(before["objective"])
    assert rows[0].wall_seconds == float(before["wall_seconds"])  # it was not trained again
    tuned = [row for row in read_sweep(sweep).results if row.permutation == number]
    assert tuned[0].overrides == rows[0].overrides


def test_a_confirmation_keeps_its_rows_and_jobs_as_permutations_go_and_return(door, tiny, tmp_path):
    (tmp_path / "space.yaml").write_text(SPACE)
    assert door("ntune", [*ARGUMENTS, "hydra.sweeper.confirm=2", CONFIRM[1]]).status == 0
    sweep = tmp_path / "out/run"
    before = {(row["trainer.gamma"], row["seed"]): row for row in table(sweep / "confirmation")}
    for choices, places in (("[0.99]", {"0.99": "0", "0.9": "dropped/1"}),
                            ("[0.99, 0.9]", {"0.99": "0", "0.9": "1"})):  # fmt: skip
        (tmp_path / "space.yaml").write_text(SPACE.replace("[0.9, 0.99]", choices))
        changed = door("ntune", [*ARGUMENTS, "hydra.sweeper.extend=true"])
        assert changed.status == 0, changed.err
        assert "not ended" not in changed.out
        rows = table(sweep / "confirmation")
        assert len(rows) == len(before) == 4
        for row in rows:
            known = before[row["trainer.gamma"], row["seed"]]
            assert row["objective"] == known["objective"]
            assert row["directory"] == f"{places[row['trainer.gamma']]}/{row['repetition']}"
        confirmation = read_sweep(sweep).confirmation
        assert confirmation is not None
        counted = [row for row in rows if "dropped" not in row["directory"]]
        assert (confirmation.record.jobs, confirmation.jobs_left) == (len(counted), 0)
    swept = ["seed=5,1000005", "hydra.sweeper.extend=true"]
    refused = door("ntune", [*ARGUMENTS, *swept])
    assert refused.status == 2
    assert "confirmation confirms a sweep on seeds of its own, and seed is swept" in refused.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["seed=1,2"], "hydra.sweeper.confirm: seed is swept"),
        (["seed=9223372036854775807"], "leaves no seeds for hydra.sweeper.confirm"),
        (["hydra.sweeper.confirm=-1"], "expected a number from 0"),
        (["hydra.sweeper.confirm_repetitions=0"], "expected a number from 1"),
    ],
)
def test_a_confirmation_without_seeds_of_its_own_is_refused(
    door, tiny, tmp_path, arguments, message
):
    (tmp_path / "space.yaml").write_text(SPACE)
    outcome = door("ntune", [*ARGUMENTS, *CONFIRM, *arguments])
    assert outcome.status == 2
    assert message in outcome.err
    assert not (tmp_path / "out").exists()


def test_an_extended_confirmation_has_the_race_and_the_jobs_of_its_own(tmp_path):
    sweep = SweepRecord({}, {"a": [1, 2, 3]}, 5, None, 2, 3, 6, id="x", race={"rungs": [0.5]})
    again = replace(sweep, id="x-confirmation", seed=1_000_005, repetitions=4, jobs=99, race={})
    for number in (0, 2, -1):
        (tmp_path / directory_of(number)).mkdir(parents=True)
    moves = [Move(0, 1, {}), Move(1, 0, {}), Move(2, -2, {}), Move(-1, 2, {})]
    found = extended(again, sweep, tmp_path, moves)
    assert (found.race, found.seed, found.repetitions) == ({}, 1_000_005, 4)
    assert found.jobs == 2 * 4  # permutation 1 was never confirmed, and 2 is dropped


def test_a_confirmation_of_more_than_there_are_takes_all_and_says_so(door, tiny, tmp_path):
    (tmp_path / "space.yaml").write_text(SPACE)
    told = "hydra.sweeper.confirm: 7 are asked for, and 2 can train; all of them are confirmed"
    for asked, says in ((7, True), (2, False)):
        option = f"hydra.sweeper.confirm={asked}"
        outcome = door("ntune", [*ARGUMENTS, "--cfg", "job", option])
        assert outcome.status == 0, outcome.err
        assert (told in outcome.err) == says
