"""Tests real sweeps through the doors: order, directories, results, failures, continuation."""

from __future__ import annotations

import csv
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from neroRL.records.results import read_result

SPACE = """\
hyperparameters:
  gamma: [0.9, 0.99]
  num_workers: [2, 4]
"""
ARGUMENTS = ["--config=tiny.yaml", "--tune=space.yaml", "--run-id=run", "--out=out"]


@pytest.fixture
def space(tiny, tmp_path) -> Path:
    path = tmp_path / "space.yaml"
    path.write_text(SPACE)
    return path


def _table(sweep: Path) -> list[dict[str, str]]:
    with (sweep / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def _weights(job: Path) -> dict[str, torch.Tensor]:
    (path,) = (job / "checkpoints").glob("*-2.pt")
    return torch.load(path, weights_only=True)["model"]


def _same(a: Path, b: Path) -> bool:
    ours, theirs = _weights(a), _weights(b)
    return all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.usefixtures("space")
def test_a_sweep_leaves_what_is_documented(door, tmp_path):
    outcome = door("ntune", [*ARGUMENTS, "--num-repetitions=2"])
    assert outcome.status == 0, outcome.err
    sweep = tmp_path / "out/run"
    assert {"multirun.yaml", "sweep.yaml", "results.csv"} <= {p.name for p in sweep.iterdir()}
    rows = _table(sweep)
    told = [(row["permutation"], row["repetition"], row["seed"]) for row in rows]
    laps = [(str(p), str(r), str(5 + r)) for r in range(2) for p in range(4)]
    assert told == laps
    values = [(row["trainer.gamma"], row["sampler.n_workers"]) for row in rows[:4]]
    assert values == [("0.9", "2"), ("0.9", "4"), ("0.99", "2"), ("0.99", "4")]
    assert list(rows[0]) == [
        "permutation", "repetition", "seed", "status", "trainer.gamma", "sampler.n_workers",
        "objective", "reward_mean", "reward_std", "length_mean", "success_mean", "updates",
        "env_steps", "wall_seconds", "steps_per_second", "directory", "error",
    ]  # fmt: skip
    for row in rows:
        job = sweep / row["permutation"] / row["repetition"]
        assert row["directory"] == f"{row['permutation']}/{row['repetition']}"
        result = json.loads((job / "result.json").read_text())
        assert result["overrides"] == {
            "trainer.gamma": float(row["trainer.gamma"]),
            "sampler.n_workers": int(row["sampler.n_workers"]),
        }
        for key in ("status", "objective", "reward_mean", "env_steps", "steps_per_second"):
            assert str(result[key]) == row[key] or (result[key] is None and row[key] == "")
        assert result["env_steps"] == 2 * 16 * int(row["sampler.n_workers"])
        assert (job / "train.log").stat().st_size > 0
        assert list((job / "summaries").glob("*/events.out.tfevents.*"))
        assert [p.name for p in (job / "checkpoints").iterdir()] == ["run-2.pt"]
        assert {p.name for p in (job / ".hydra").iterdir()} == {
            "config.yaml", "overrides.yaml", "hydra.yaml"
        }  # fmt: skip
        config = yaml.safe_load((job / ".hydra/config.yaml").read_text())
        assert config["trainer"]["gamma"] == float(row["trainer.gamma"])
    record = yaml.safe_load((sweep / "sweep.yaml").read_text())
    assert (record["permutations"], record["repetitions"], record["jobs"]) == (4, 2, 8)
    assert record["axes"][0] == {"key": "trainer.gamma", "choices": [0.9, 0.99]}
    assert record["versions"]["torch"].startswith("2.")


@pytest.mark.slow
def test_statistics_that_an_environment_reports_are_columns(door, tmp_path):
    outcome = door(
        "train",
        [
            "-m",
            "environment=minigrid_vec,memory_gym",
            "environment.resize_vis_obs=[36,36]",
            "model.num_hidden_units=8",
            "sampler.n_workers=2",
            "sampler.worker_steps=128",
            "trainer.updates=1",
            "threads=1",
            "hydra.sweep.dir=out",
        ],
    )
    assert outcome.status == 0, outcome.err
    rows = _table(tmp_path / "out")
    columns = list(rows[0])
    first = columns.index("length_mean")
    assert columns[first : first + 4] == [
        "length_mean", "success_mean", "commands_completed_mean", "updates",
    ]  # fmt: skip
    for row, tells in zip(rows, (False, True), strict=True):
        result = json.loads((tmp_path / "out" / row["directory"] / "result.json").read_text())
        told = row["commands_completed_mean"]
        assert (told != "") is tells
        assert result["statistics"] == ({"commands_completed_mean": float(told)} if tells else {})
        (run,) = (tmp_path / "out" / row["directory"] / "summaries").iterdir()
        curves = EventAccumulator(str(run)).Reload()
        assert ("episode/commands_completed_max" in curves.Tags()["tensors"]) is tells
        assert 0.0 <= result["success_mean"] == float(row["success_mean"]) <= 1.0


@pytest.mark.usefixtures("space")
def test_the_printed_command_does_the_same(door, tmp_path):
    outcome = door("ntune", ARGUMENTS)
    (line,) = [line for line in outcome.out.splitlines() if line.startswith("python train.py -m")]
    (tmp_path / "out").rename(tmp_path / "first")
    again = door("train", shlex.split(line)[2:])
    assert again.status == 0, again.err
    for job in ("0/0", "3/0"):
        assert _same(tmp_path / "first/run" / job, tmp_path / "out/run" / job)


@pytest.mark.slow
@pytest.mark.usefixtures("space")
def test_alone_in_a_sweep_and_under_joblib_the_same_seed_gives_the_same_weights(door, tmp_path):
    assert door("ntune", ARGUMENTS).status == 0
    joblib = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    outcome = door("ntune", [*ARGUMENTS[:-1], "--out=parallel", *joblib])
    assert outcome.status == 0, outcome.err
    alone = ["trainer.gamma=0.99", "sampler.n_workers=4", "hydra.run.dir=alone"]
    assert door("ntrain", ["--config=tiny.yaml", *alone]).status == 0
    for job in ("0/0", "1/0", "2/0", "3/0"):
        assert _same(tmp_path / "out/run" / job, tmp_path / "parallel/run" / job)
    assert _same(tmp_path / "out/run/3/0", tmp_path / "alone")
    assert not _same(tmp_path / "out/run/1/0", tmp_path / "alone")
    assert (
        _table(tmp_path / "out/run")[2]["objective"]
        == (_table(tmp_path / "parallel/run")[2]["objective"])
    )


@pytest.mark.usefixtures("space")
def test_the_same_command_again_runs_only_what_is_missing(door, tmp_path):
    door("ntune", ARGUMENTS)
    sweep = tmp_path / "out/run"
    before = {path: path.stat().st_mtime_ns for path in sweep.glob("*/*/result.json")}
    (sweep / "1/0/result.json").write_text('{"permutation": 1, "repet')
    outcome = door("ntune", ARGUMENTS)
    assert outcome.status == 0, outcome.err
    assert "3 of 4 jobs are done already" in outcome.err
    after = {path: path.stat().st_mtime_ns for path in sweep.glob("*/*/result.json")}
    changed = [str(path.relative_to(sweep)) for path in after if after[path] != before.get(path)]
    assert changed == ["1/0/result.json"]
    assert len(_table(sweep)) == 4


@pytest.mark.usefixtures("space")
def test_a_different_grid_or_base_is_refused_with_the_difference(door, tmp_path):
    door("ntune", ARGUMENTS)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    outcome = door("ntune", [*ARGUMENTS, "trainer.epochs=3"])
    assert outcome.status == 2
    assert "trainer.epochs: there 4, now 3" in outcome.err
    (tmp_path / "space.yaml").write_text(SPACE.replace("0.99", "0.8"))
    outcome = door("ntune", ARGUMENTS)
    assert outcome.status == 2
    assert "trainer.gamma: there [0.9, 0.99], now [0.9, 0.8]" in outcome.err
    after = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert before == after
    other = [text.replace("run-id=run", "run-id=other") for text in ARGUMENTS]
    assert door("ntune", other).status == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["other", "run"]


def test_batches_smaller_than_the_grid(door, tiny, space, tmp_path):
    outcome = door("ntune", [*ARGUMENTS, "hydra.sweeper.max_batch_size=3", "trainer.lamda=0.9,1"])
    assert outcome.status == 0, outcome.err
    rows = _table(tmp_path / "out/run")
    assert len(rows) == 8
    fastest = [row["trainer.lamda"] for row in rows]
    assert fastest == ["0.9", "1"] * 4  # axes of the command line follow the file's


def test_generated_configs_train(door, tiny, space, tmp_path):
    arguments = [*ARGUMENTS, "--generate-only"]
    assert door("ntune", arguments).status == 0
    files = sorted(path.name for path in (tmp_path / "out/configs").iterdir())
    assert files == ["0.yaml", "1.yaml", "2.yaml", "3.yaml"]
    assert not (tmp_path / "out/run").exists()
    info = (tmp_path / "out/info.txt").read_text().splitlines()
    assert len(info) == 4
    assert info[2] == "configs/2.yaml: trainer.gamma=0.99 sampler.n_workers=2"
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    assert door("ntune", arguments).status == 0
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    space.write_text(SPACE + "  epochs: [1, 2]\n")
    refused = door("ntune", arguments)
    assert refused.status == 2
    assert "different grid" in refused.err
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    outcome = door("ntrain", ["--config=out/configs/2.yaml", "--out=trained", "--run-id=a/b"])
    assert outcome.status == 0, outcome.err
    (job,) = (tmp_path / "trained/a/b").iterdir()
    result = read_result(job)
    assert result is not None
    assert (result.status, result.env_steps, result.seed) == ("completed", 64, 5)
    assert [path.name for path in (job / "checkpoints").iterdir()] == ["b-2.pt"]


def test_training_can_be_continued_for_longer(door, tiny, tmp_path):
    whole = ["--config=tiny.yaml", "--num-updates=4", "hydra.run.dir=whole"]
    assert door("ntrain", whole).status == 0
    assert door("ntrain", ["--config=tiny.yaml", "hydra.run.dir=half"]).status == 0
    # Two updates more, with the checkpoint's own config.
    rest = ["--checkpoint=half/checkpoints/default-2.pt", "hydra.run.dir=rest"]
    outcome = door("ntrain", ["--num-updates=2", *rest])
    assert outcome.status == 0, outcome.err
    ends = [torch.load(tmp_path / run / "checkpoints/default-4.pt", weights_only=True)
            for run in ("whole", "rest")]  # fmt: skip
    assert all(
        torch.equal(ends[0]["model"][key], ends[1]["model"][key]) for key in ends[0]["model"]
    )


def test_a_drawn_seed_is_recorded_and_kept(door, tiny, space, tmp_path):
    tiny.write_text(re.sub("seed: 5", "seed: -1", tiny.read_text()))
    assert door("ntune", [*ARGUMENTS, "--num-repetitions=2"]).status == 0
    seeds = [int(row["seed"]) for row in _table(tmp_path / "out/run")]
    assert len(set(seeds[:4])) == 1
    assert seeds[4:] == [seeds[0] + 1] * 4
    (tmp_path / "out/run/0/0/result.json").unlink()
    assert door("ntune", [*ARGUMENTS, "--num-repetitions=2"]).status == 0
    assert [int(row["seed"]) for row in _table(tmp_path / "out/run")] == seeds


def test_hydra_discovers_the_sweeper():
    """Runs the first test of every Hydra plugin.

    Hydra's own test suites for sweepers and launchers use configs that neroRL refuses, because
    they are not its own. So real trainings check the same things here.
    """
    found = Plugins.instance().discover(Sweeper)
    assert "NeroRLSweeper" in [plugin.__name__ for plugin in found]


def test_third_party_sweepers_work_on_the_training_function(door, tiny, tmp_path):
    outcome = door(
        "train",
        ["--config-path=.", "--config-name=tiny", "-m", "hydra/sweeper=basic",
         "trainer.gamma=0.9,0.8", "hydra.sweep.dir=out"],
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    results = [read_result(tmp_path / "out" / str(number)) for number in range(2)]
    assert [result.overrides["trainer.gamma"] for result in results] == [0.9, 0.8]


def test_a_single_training_goes_to_runs(door, tiny, tmp_path):
    assert door("train", ["--config-path=.", "--config-name=tiny", "run_id=solo"]).status == 0
    (job,) = (tmp_path / "runs/solo").iterdir()
    assert (job / "result.json").is_file()
    assert (job / "train.log").is_file()
    assert list(job.glob("summaries/events*"))


@pytest.mark.parametrize("arguments", [["--help"], ["--generate-only", "--out=out"]])
def test_light_commands_do_not_import_torch(arguments, tiny):
    code = (
        "import sys; from neroRL import tune; sys.argv = ['ntune', *sys.argv[1:]]\n"
        "try: status = tune.main()\nexcept SystemExit as end: status = end.code\n"
        "sys.exit(status or ('torch was imported' if 'torch' in sys.modules else 0))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tiny.parent,
        env={"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        check=False,
        capture_output=True,
    )
    assert ran.returncode == 0, ran.stderr


@pytest.mark.slow
def test_tune_runs_as_a_file(tmp_path):
    script = Path(__file__).resolve().parents[2] / "neroRL/tune.py"
    done = subprocess.run(
        [sys.executable, script, "--generate-only", "--out=out"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={},
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out/configs").iterdir())) == 48
