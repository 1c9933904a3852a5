"""Other sweepers of Hydra train neroRL's jobs, and nreport reads what they leave."""

from __future__ import annotations

import csv
import itertools
import json
import logging
import os
import shutil
import sys
from pathlib import Path

import optuna
import pytest
import yaml

from neroRL.composition.other_sweepers import overrides_for_sweeper
from neroRL.errors import OutputError
from neroRL.records.results import FAILED, JobResult
from neroRL.records.sweeps import RecordedSweep, read_sweep
from neroRL.train import main
from tests.conftest import TINY

GAMMA, MEMORY = "trainer.gamma", "model/memory"
BATCHES, STEPS = "trainer.n_mini_batches", "sampler.worker_steps"
OPTUNA = [
    "hydra/sweeper=optuna", "hydra.sweeper.n_trials=8", "hydra.sweeper.sampler.seed=2",
    "hydra.sweeper.n_jobs=2", "hydra.sweeper.max_failure_rate=1", f"{GAMMA}=interval(0.9,0.999)",
    f"{MEMORY}=none,gru", f"{BATCHES}=choice(4,3)", f"{STEPS}=choice(64,96)", "trainer.epochs=2",
]  # fmt: skip
BASIC = ["hydra/sweeper=basic", f"{GAMMA}=0.95,0.9", f"{MEMORY}=none,gru", "trainer.epochs=2"]


def _train(directory: Path, *arguments: str) -> int:
    """Calls ``train.py -m`` with the tiny config, in a directory."""
    (directory / "tiny.yaml").write_text(TINY.replace("worker_steps: 16", "worker_steps: 64"))
    argv, start = sys.argv, Path.cwd()
    sys.argv = ["train.py", "-m", "--config-dir=.", "--config-name=tiny", *arguments]
    os.chdir(directory)
    try:
        return main()
    finally:
        sys.argv = argv
        os.chdir(start)
        logging.getLogger().handlers.clear()


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """Two sweeps that were run: ``optuna`` with failed trials, and ``basic``."""
    directory = tmp_path_factory.mktemp("trained")
    assert _train(directory, *OPTUNA, "hydra.sweep.dir=optuna") == 0
    assert _train(directory, *BASIC, "hydra.sweep.dir=basic") == 0
    return directory


@pytest.fixture
def sweeps(trained, tmp_path) -> Path:
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return tmp_path


def _overrides(sweep: RecordedSweep, number: int) -> dict[str, str]:
    texts = yaml.safe_load((sweep.directory / f"{number}/.hydra/overrides.yaml").read_text())
    return dict(text.split("=", 1) for text in texts)


def test_optunas_sweeper_looks_for_the_highest_objective(sweeps):
    told = yaml.safe_load((sweeps / "optuna/optimization_results.yaml").read_text())
    sweep = read_sweep(sweeps / "optuna")
    completed = [result for result in sweep.results if result.status != FAILED]
    best = max(completed, key=lambda result: (result.objective, -result.permutation))
    assert told["best_value"] == best.objective > min(r.objective for r in completed)
    assert told["best_params"] == best.overrides


def test_a_sweep_of_optunas_is_read_as_its_jobs_were_run(sweeps):
    sweep = read_sweep(sweeps / "optuna")
    assert (sweep.sweeper, sweep.damaged, sweep.has_jobs_left) == ("optuna", [], False)
    assert [result.permutation for result in sweep.results] == list(range(8))
    assert list(sweep.record.axes) == [GAMMA, MEMORY, BATCHES, STEPS]
    for result in sweep.results:
        written = _overrides(sweep, result.permutation)
        assert written.pop("trainer.epochs") == "2"
        assert {key: str(value) for key, value in result.overrides.items()} == written
        steps, batches = result.overrides[STEPS], result.overrides[BATCHES]
        assert (result.status == FAILED) == (2 * steps % batches != 0)
        assert "divisible" in (result.error or "divisible")
    gammas = sweep.record.axes[GAMMA]
    assert gammas == sorted(gammas)
    assert len(gammas) == 8
    assert 0.9 <= gammas[0] < gammas[-1] <= 0.999
    assert sweep.record.base["trainer"]["epochs"] == 2
    assert not {"gamma", "n_mini_batches"} & set(sweep.record.base["trainer"])
    assert sweep.record.base["sampler"] == {"n_workers": 2}


def test_a_sweep_of_hydras_basic_sweeper_is_read_as_its_jobs_were_run(sweeps):
    sweep = read_sweep(sweeps / "basic")
    assert sweep.sweeper == "basic"
    assert dict(sweep.record.axes) == {GAMMA: [0.9, 0.95], MEMORY: ["none", "gru"]}
    grid = itertools.product([0.95, 0.9], ["none", "gru"])
    assert [tuple(result.overrides.values()) for result in sweep.results] == list(grid)
    assert sweep.has_jobs_left  # it does not say that it has ended


def test_nreport_ranks_them_and_claims_nothing_else(sweeps, door):
    outcome = door("nreport", ["optuna", "basic", "--out=reports"])
    assert outcome.status == 0, outcome.err
    assert outcome.err == ""
    assert "8 jobs of Hydra's sweeper optuna have ended" in outcome.out
    assert "same command again" not in outcome.out
    sweep = read_sweep(sweeps / "optuna")
    with (sweeps / "reports/optuna/ranking.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    told = yaml.safe_load((sweeps / "optuna/optimization_results.yaml").read_text())
    assert float(rows[0]["iqm"]) == told["best_value"]
    assert float(rows[0][GAMMA]) == told["best_params"][GAMMA]
    assert sorted(int(row["permutation"]) for row in rows) == list(range(8))
    failed = [row for row in rows if row["failed"] == "1"]
    assert failed
    assert {(row[BATCHES], row[STEPS]) for row in failed} == {("3", "64")}
    best = yaml.safe_load((sweeps / "reports/optuna/best.yaml").read_text())
    assert best["trainer"]["gamma"] == told["best_params"][GAMMA]
    assert (best["model"]["recurrence"] is None) == (told["best_params"][MEMORY] == "none")
    page = (sweeps / "reports/optuna/report.html").read_text().split("<script")[0]
    assert f"8 ({len(failed)} failed)" in page
    assert "8 of" not in page
    assert "No two jobs agree in all but " in page
    assert "What all jobs share" in page
    for wrong in ("repetitions</dt>", "base seed", "Difference to the base", "sweep.yaml"):
        assert wrong not in page
    assert {result.permutation for result in sweep.results} == set(range(8))


def test_frames_have_results_and_curves(sweeps):
    import neroRL

    sweep = neroRL.read_sweep(sweeps / "basic")
    assert list(sweep.results[GAMMA]) == [0.95, 0.95, 0.9, 0.9]
    numbers = sweep.curves.index.get_level_values("permutation")
    assert sorted(set(numbers)) == [0, 1, 2, 3]
    assert len(numbers) == 8  # two updates each


def test_they_are_played(sweeps, door):
    """The basic sweeper never says that it has ended, and all of its jobs have."""
    played = ["--start-seed=70", "--num-seeds=1", "--repetitions=1"]
    best = door("neval", ["--sweep=basic", *played])
    assert best.status == 0, best.err
    assert "so far" not in best.out
    outcome = door("neval-checkpoints", ["--checkpoints=basic", *played, "--name=all.csv"])
    assert outcome.status == 0, outcome.err
    with (sweeps / "all.csv").open(newline="") as file:
        rows = [(row["permutation"], row["repetition"]) for row in csv.DictReader(file)]
    assert rows == [(str(number), "0") for number in range(4)]


def test_a_job_is_played_although_others_are_missing(sweeps, door):
    shutil.rmtree(sweeps / "basic/0")
    played = ["--sweep=basic", "--start-seed=70", "--num-seeds=1", "--repetitions=1"]
    outcome = door("neval", [*played, "--permutation=3"])
    assert outcome.status == 0, outcome.err
    refused = door("neval", [*played, "--permutation=4"])
    assert "basic has no permutation 4; its permutations are 0 to 3" in refused.err


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher", [["hydra/launcher=joblib"], ["hydra/launcher=submitit_local"]], ids=str
)
def test_optunas_trials_run_by_a_launcher(tmp_path, command, launcher):
    (tmp_path / "tiny.yaml").write_text(TINY)
    optuna = ["hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=2"]
    swept = ["trainer.gamma=interval(0.9,0.99)", "hydra.sweep.dir=out", *launcher]
    done = command("train", "-m", "--config-dir=.", "--config-name=tiny", *optuna, *swept)
    assert done.returncode == 0, done.stderr
    assert [one.status for one in read_sweep(tmp_path / "out").results] == ["completed"] * 2


PENDULUM = ["environment.type=Gymnasium", "environment.name=Pendulum-v1"]


RATES = "trainer.learning_rate_schedule.initial=choice(1e-3,1e30)"
GRID = "hydra/sweeper/sampler=grid"


# Pendulum's episodes have 200 steps, and these trainings 128.
@pytest.mark.parametrize(
    ("more", "statuses", "told"),
    [
        ([RATES, "hydra.sweeper.sampler.seed=8"], {"completed", "diverged"}, ""),
        ([f"{GAMMA}=choice(0.9,0.99)", *PENDULUM], {"completed"}, "all trials failed"),
        ([f"{GAMMA}=0.9,0.99", *PENDULUM, GRID], {"completed"}, "the grid is done, and its last"),
    ],
    ids=["diverged", "no episode", "no episode of a grid"],
)
def test_a_trial_without_an_objective_fails_alone(tmp_path, capfd, more, statuses, told):
    options = ("n_trials=2", "n_jobs=1", "max_failure_rate=1")
    optuna = ["hydra/sweeper=optuna", *(f"hydra.sweeper.{option}" for option in options)]
    assert _train(tmp_path, *optuna, "hydra.sweep.dir=out", *more) == (1 if told else 0)
    results = read_sweep(tmp_path / "out").results
    assert len(results) == 2
    assert {one.status for one in results} == statuses
    out, err = capfd.readouterr()
    assert "no objective: " in out + err
    assert "nobody foresaw this" not in err
    assert told in err
    assert (tmp_path / "out/optimization_results.yaml").exists() != bool(told)


def test_an_optuna_study_knows_drawn_numbers_as_numbers(sweeps, door):
    assert door("nreport", ["optuna", "--optuna=study.db"]).status == 0
    study = optuna.load_study(study_name="optuna", storage=f"sqlite:///{sweeps}/study.db")
    distributions = study.trials[0].distributions
    assert isinstance(distributions[GAMMA], optuna.distributions.FloatDistribution)
    assert set(distributions[MEMORY].choices) == {"none", "gru"}
    told = yaml.safe_load((sweeps / "optuna/optimization_results.yaml").read_text())
    assert study.best_trial.params == told["best_params"]


def test_unfinished_and_damaged_jobs(sweeps):
    (sweeps / "optuna/optimization_results.yaml").unlink()
    (sweeps / "optuna/5/result.json").unlink()
    (sweeps / "optuna/4/.hydra/overrides.yaml").write_text("- [")
    (sweeps / "optuna/3/result.json").write_text("{")
    shutil.copy(sweeps / "optuna/1/result.json", sweeps / "optuna/2/result.json")
    sweep = read_sweep(sweeps / "optuna")
    assert [result.permutation for result in sweep.results] == [0, 1, 6, 7]
    assert sweep.has_jobs_left
    first, second, third = sweep.damaged
    assert "4/.hydra/overrides.yaml is damaged" in first
    assert "holds the result of another job" in second
    assert "3/result.json is damaged" in third


def test_directories_of_single_trainings_are_no_sweep(tmp_path):
    job = tmp_path / "0"
    (job / ".hydra").mkdir(parents=True)
    (job / ".hydra/overrides.yaml").write_text("[]\n")
    told = {"mode": "RUN", "runtime": {"version": "1", "choices": {"hydra/sweeper": "nerorl"}}}
    (job / ".hydra/hydra.yaml").write_text(json.dumps({"hydra": told}))
    JobResult(0, 0, 1, "completed", objective=1.0).write(job)
    with pytest.raises(OutputError, match="is no sweep"):
        read_sweep(tmp_path)


def test_jobs_that_are_there_are_never_overwritten(sweeps, capfd):
    before = {path: path.read_bytes() for path in (sweeps / "basic").rglob("result.json")}
    assert _train(sweeps, *OPTUNA, "hydra.sweep.dir=basic") == 2
    assert "nothing there is overwritten" in capfd.readouterr().err
    assert before == {path: path.read_bytes() for path in (sweeps / "basic").rglob("result.json")}
    assert len(before) == 4


def test_a_direction_that_is_given_is_kept_and_warned_of(tmp_path, capfd):
    few = [text for text in OPTUNA if "n_trials" not in text]
    minimum = ["hydra.sweeper.direction=minimize", "hydra.sweeper.n_trials=0"]
    _train(tmp_path, *few, *minimum, "hydra.sweep.dir=out")
    assert "warning: hydra.sweeper.direction=minimize looks for" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("# of the wind's direction: north\n", ["hydra.sweeper.direction=maximize"]),
        ("hydra:\n  sweeper:\n    direction: minimize\n", []),
    ],
)
def test_a_direction_is_one_that_the_config_has_not_one_that_it_mentions(
    tmp_path, config, expected
):
    path = tmp_path / "tiny.yaml"
    path.write_text(f"defaults: [default, _self_]\n{TINY}{config}")
    assert overrides_for_sweeper(path, ["hydra/sweeper=optuna"], dry_run=False) == expected


def test_a_dry_run_of_another_sweeper_is_refused(tmp_path, capfd):
    assert _train(tmp_path, "--cfg=job", *BASIC) == 2
    assert "this one chooses them as it runs" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]
