"""Tests what a sweep and ``nreport`` say and write about the winner."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from scipy import stats

from neroRL import report
from neroRL.config.documents import read_document
from tests.doors.sweeps import ARGUMENTS, PROJECT, table
from tests.patience import PATIENCE

SPACE = """\
hyperparameters:
  worker_steps: [32, 64]
  model/memory: [none, gru]
learning_rate_schedule:
  initial: [0.003]
"""
FIGURES = [
    f"figures/{name}.{kind}"
    for name in ("ranking", "curves", "marginals")
    for kind in ("pdf", "png")
]


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """Runs a real sweep of four permutations with five repetitions; returns what it printed."""
    from tests.conftest import TINY
    from tests.doors.sweeps import start

    directory = tmp_path_factory.mktemp("ended")
    (directory / "tiny.yaml").write_text(TINY)
    (directory / "space.yaml").write_text(SPACE)
    process = start(directory, *ARGUMENTS, "--num-repetitions=5")
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    return directory, output


@pytest.fixture
def sweep(ended, tmp_path) -> Path:
    """Copies the ended sweep."""
    shutil.copytree(ended[0], tmp_path, dirs_exist_ok=True)
    return tmp_path / "out/run"


@pytest.fixture
def nreport(monkeypatch, capfd):
    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nreport", *map(str, arguments)])
        try:
            status = report.main()
        except SystemExit as end:
            status = int(end.code or 0)
        captured = capfd.readouterr()
        return status, captured.out, captured.err

    return call


def _ranking(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_sweep_ends_with_its_ranking(ended, sweep):
    rows = _ranking(sweep / "report/ranking.csv")
    assert list(rows[0]) == [
        "rank", "permutation", "sampler.worker_steps", "model/memory",
        "trainer.learning_rate_schedule.initial", "runs", "iqm", "ci_low", "ci_high", "mean",
        "std", "tied_with_best", "completed", "failed", "diverged", "stopped", "env_steps",
        "wall_seconds",
    ]  # fmt: skip
    jobs: dict[str, list[dict[str, str]]] = {}
    for job in table(sweep):
        jobs.setdefault(job["permutation"], []).append(job)
    assert {row["permutation"] for row in rows} == set(jobs)
    iqms = [float(row["iqm"]) for row in rows]
    assert iqms == sorted(iqms, reverse=True)
    for position, row in enumerate(rows):
        of = jobs[row["permutation"]]
        objectives = [float(job["objective"]) for job in of]
        assert row["rank"] == str(position + 1)
        assert row["model/memory"] == of[0]["model/memory"]
        assert (row["runs"], row["completed"], row["failed"]) == ("5", "5", "0")
        assert float(row["iqm"]) == pytest.approx(stats.trim_mean(objectives, 0.25))
        assert float(row["mean"]) == pytest.approx(sum(objectives) / 5)
        assert float(row["std"]) == pytest.approx(stats.tstd(objectives))
        assert min(objectives) <= float(row["ci_low"]) <= float(row["iqm"])
        assert float(row["iqm"]) <= float(row["ci_high"]) <= max(objectives)
        assert int(row["env_steps"]) == sum(int(job["env_steps"]) for job in of)
    assert rows[0]["tied_with_best"] == "true"
    assert len(list(sweep.glob("*/*/summaries/*/*~interval"))) == 20  # for TensorBoard's table
    output = ended[1]
    assert f"best {iqms[0]:.3g} in permutation {rows[0]['permutation']}, 5 runs" in output
    assert "ranking: out/run/report/ranking.csv" in output
    assert "best:    ntrain --config=out/run/best.yaml\nreport:  nreport out/run\n" in output


def test_the_best_config_trains_what_the_best_permutation_trained(door, sweep, tmp_path):
    """With the first repetition's seed, the weights are equal bit for bit."""
    best = _ranking(sweep / "report/ranking.csv")[0]["permutation"]
    config = read_document(sweep / "best.yaml").data
    assert config["seed"] == 5
    assert config == read_document(sweep / best / "0/.hydra/config.yaml").data
    trained = door("ntrain", ["--config=out/run/best.yaml", "hydra.run.dir=alone"])
    assert trained.status == 0, trained.err
    ours, theirs = (
        torch.load(job / "checkpoints/run-2.pt", weights_only=True)["model"]
        for job in (tmp_path / "alone", sweep / best / "0")
    )
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def _rewrite(*changes: tuple[Path, str, str]) -> None:
    """Replaces a text in each file, which has to be there."""
    for path, was, now in changes:
        text = path.read_text()
        assert was in text
        path.write_text(text.replace(was, now))


def test_the_best_config_has_what_auto_chose(nreport, sweep):
    """What it chooses for the same training alone, or on another machine, may be something else."""
    best = sweep / _ranking(sweep / "report/ranking.csv")[0]["permutation"]
    _rewrite(
        (best / "0/.hydra/config.yaml", "precision: float32", "precision: auto"),
        (best / "0/.hydra/config.yaml", "threads: 1", "threads: auto"),
        (best / "0/result.json", '"precision": "float32"', '"precision": "bfloat16"'),
        (best / "0/result.json", '"threads": 1', '"threads": 3'),
        (best / "0/result.json", '"processes": 0', '"processes": 2'),
    )
    assert nreport(sweep)[0] == 0
    config = read_document(sweep / "best.yaml").data
    assert (config["precision"], config["threads"]) == ("bfloat16", 3)
    assert config["environment"]["processes"] == 2


def test_the_best_config_keeps_what_was_asked_for(nreport, sweep):
    """A job's number of processes is at most that of its environments."""
    best = sweep / _ranking(sweep / "report/ranking.csv")[0]["permutation"]
    _rewrite(
        (best / "0/.hydra/config.yaml", "processes: auto", "processes: 8"),
        (best / "0/result.json", '"threads": 1', '"threads": 3'),
        (best / "0/result.json", '"processes": 0', '"processes": 2'),
    )
    assert nreport(sweep)[0] == 0
    config = read_document(sweep / "best.yaml").data
    assert (config["threads"], config["environment"]["processes"]) == (1, 8)


@pytest.mark.parametrize("damaged", ["", "[]", "trainer: {"])
def test_a_damaged_config_of_the_best_job_is_told_and_keeps_the_report(nreport, sweep, damaged):
    best = _ranking(sweep / "report/ranking.csv")[0]["permutation"]
    before = (sweep / "best.yaml").read_bytes()
    (sweep / best / "0/.hydra/config.yaml").write_text(damaged)
    status, out, err = nreport(sweep)
    assert status == 0
    assert f"{best}/0/.hydra/config.yaml" in err
    assert "Traceback" not in err
    assert "ranking: " in out
    assert (sweep / "best.yaml").read_bytes() == before


def test_a_report_of_a_copied_sweep_is_the_same(nreport, sweep, tmp_path):
    before = {name: (sweep / name).read_bytes() for name in ("report/ranking.csv", "best.yaml")}
    shutil.rmtree(sweep / "report")
    sweep.rename(tmp_path / "copied")
    status, out, err = nreport(tmp_path / "copied")
    assert (status, err) == (0, "")
    assert "20 of 20 jobs have ended" in out
    assert {name: (tmp_path / "copied" / name).read_bytes() for name in before} == before


def test_a_report_has_a_page_and_figures_which_the_end_of_a_sweep_does_without(nreport, sweep):
    assert {path.name for path in (sweep / "report").iterdir()} == {"ranking.csv"}
    status, out, err = nreport(sweep)
    assert (status, err) == (0, "")
    assert f"report:  {sweep / 'report/report.html'}" in out
    assert all((sweep / "report" / name).stat().st_size > 1000 for name in FIGURES)
    page = (sweep / "report/report.html").read_text()
    best = _ranking(sweep / "report/ranking.csv")[0]["permutation"]
    assert f"<h1>Permutation {best} " in page
    assert f"ntrain --config={sweep / 'best.yaml'}" in page
    assert page.count('"role": "line"') == 4  # a learning curve for each permutation
    assert "hardware: cpu" in page


def test_a_report_of_an_unfinished_sweep(nreport, sweep):
    """Later repetitions are missing, one result is damaged, and one is being written."""
    for job in sweep.glob("*/[1234]"):
        if job != sweep / "3/1":
            shutil.rmtree(job)
    (sweep / "2/0/result.json").write_text("{")
    status, out, err = nreport(sweep)
    assert status == 0
    assert "4 of 20 jobs have ended" in out
    assert f"warning: {sweep / '2/0/result.json'} is damaged" in err
    assert "One repetition cannot tell" in out
    rows = _ranking(sweep / "report/ranking.csv")
    assert sorted(row["permutation"] for row in rows) == ["0", "1", "3"]
    assert {row["runs"] for row in rows} == {"1"}
    assert {row["ci_low"] for row in rows} == {""}


@pytest.mark.slow
def test_reports_go_where_they_are_asked_to(nreport, sweep, tmp_path):
    shutil.rmtree(sweep / "report")
    (sweep / "best.yaml").unlink()
    shutil.copytree(sweep, tmp_path / "other")
    status, _, _ = nreport(sweep, tmp_path / "other", f"--out={tmp_path / 'both'}")
    assert status == 0
    found = {
        str(path.relative_to(tmp_path / "both"))
        for path in (tmp_path / "both").rglob("*")
        if path.is_file()
    }
    names = ["best.yaml", "ranking.csv", "report.html", *FIGURES]
    assert found == {f"{sweep}/{name}" for sweep in ("run", "other") for name in names}
    assert not (sweep / "report").exists()
    assert not (sweep / "best.yaml").exists()
    status, _, err = nreport(sweep, sweep / "../run", f"--out={tmp_path / 'both'}")
    assert status == 2
    assert "two of the sweeps would be written to" in err


@pytest.mark.slow
def test_the_metric_and_the_confidence_can_be_chosen(nreport, sweep):
    best = (sweep / "best.yaml").read_text()
    status, out, _ = nreport(sweep, "--metric=wall_seconds")
    assert status == 0
    assert "wall_seconds of the best permutations" in out
    assert "best:    " not in out
    assert (sweep / "best.yaml").read_text() == best  # it is the best by the objective
    assert nreport(sweep, "--metric=length_mean", "--confidence=0.5")[0] == 0
    first = _ranking(sweep / "report/ranking.csv")
    lengths = [float(job["length_mean"]) for job in table(sweep)
               if job["permutation"] == first[0]["permutation"]]  # fmt: skip
    assert float(first[0]["iqm"]) == pytest.approx(stats.trim_mean(lengths, 0.25))
    assert nreport(sweep, "--metric=length_mean", "--confidence=0.99")[0] == 0
    for narrow, wide in zip(first, _ranking(sweep / "report/ranking.csv"), strict=True):
        assert float(wide["ci_low"]) <= float(narrow["ci_low"])
        assert float(wide["ci_high"]) >= float(narrow["ci_high"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["missing"], "missing ("),
        (["."], "is no sweep: it has no sweep.yaml"),
        (["out/run", "--metric=objektive"], "did you mean objective?"),
        (["out/run", "--metirc=objective"], "unknown flag --metirc; did you mean --metric?"),
        (["out/run", "--confidence=95"], "expected a number between 0 and 1"),
        (["out/run", "--confidence=high"], "expected a number between 0 and 1"),
        (["out/run", "--out=tiny.yaml"], "tiny.yaml is a file"),
        ([], "<sweep>"),
    ],
)
def test_bad_input_gets_a_line_and_status_2(nreport, sweep, monkeypatch, tmp_path, arguments, told):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    status, _, err = nreport(*arguments)
    assert status == 2
    assert told in err
    assert "Traceback" not in err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.slow
def test_a_reader_that_stops_early_causes_no_error(sweep):
    command = f"{sys.executable} -m neroRL.report {sweep} {sweep}"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | head -1"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("20 of 20 jobs have ended\n")


@pytest.mark.slow
def test_without_a_known_best_an_earlier_best_config_is_removed(nreport, sweep):
    best = _ranking(sweep / "report/ranking.csv")[0]["permutation"]
    shutil.rmtree(sweep / best / "0/.hydra")
    status, out, err = nreport(sweep)
    assert status == 0
    assert f"warning: {sweep / 'best.yaml'} stays as it was: " in err
    assert "best:    " not in out
    kept = (sweep / "best.yaml").read_text()
    (sweep / "best.yaml").write_text(kept.replace("permutation", "permutation 1000", 1))
    status, _, err = nreport(sweep)
    assert status == 0
    assert f"warning: no {sweep / 'best.yaml'}: " in err
    assert not (sweep / "best.yaml").exists()
