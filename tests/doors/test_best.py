"""Tests what a sweep reports about its permutations while it runs and at its end."""

from __future__ import annotations

import json
import os
import re

import pytest
import yaml
from scipy import stats

from tests.doors.sweeps import ARGUMENTS, start, table
from tests.patience import PATIENCE


def _rows(out: str) -> list[list[str]]:
    """Returns the cells of the summary's table."""
    lines = [line for line in out.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_display_summary_and_table_agree_on_the_best(door, tiny, tmp_path):
    """The best single job belongs to the second permutation, since seeds matter as much."""
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  worker_steps: [16, 32]\n")
    rate = "trainer.learning_rate_schedule.initial=0.003"
    outcome = door("ntune", [*ARGUMENTS, "--num-repetitions=4", rate])
    assert outcome.status == 0, outcome.err
    objectives: dict[int, list[float]] = {}
    for row in table(tmp_path / "out/run"):
        objectives.setdefault(int(row["permutation"]), []).append(float(row["objective"]))
    means = {number: stats.trim_mean(values, 0.25) for number, values in objectives.items()}
    best = min(means, key=lambda number: (-means[number], number))
    (shown,) = re.findall(r"best (\S+) in permutation (\d+), 4 runs: sampler", outcome.err)
    assert shown == (f"{means[best]:.3g}", str(best))
    rows = _rows(outcome.out)
    assert [int(row[0]) for row in rows] == sorted(means, key=lambda one: (-means[one], one))
    for number, runs, iqm, _, mean, std, tied, values in rows:
        of = objectives[int(number)]
        assert (runs, tied) == ("4", "yes")
        assert iqm == f"{means[int(number)]:.4g}"
        assert mean == f"{sum(of) / 4:.4g}"
        assert std == f"{stats.tstd(of):.2g}"
        assert values == f"sampler.worker_steps={[16, 32][int(number)]}"


def test_jobs_without_an_objective_are_not_ranked(door, tiny, tmp_path):
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  worker_steps: [2, 4]\n")
    outcome = door("ntune", [*ARGUMENTS, "trainer.updates=1"])
    assert outcome.status == 0, outcome.err
    assert _rows(outcome.out) == []
    assert "No episode ended in the completed jobs" in outcome.out
    assert "best" not in outcome.err


def test_the_summary_says_what_it_does_not_show(door, tiny, tmp_path):
    gammas = [round(0.8 + number / 100, 2) for number in range(12)]
    (tmp_path / "space.yaml").write_text(f"hyperparameters:\n  gamma: {gammas}\n")
    outcome = door("ntune", [*ARGUMENTS, "sampler.worker_steps=32"])
    assert outcome.status == 0, outcome.err
    assert len(_rows(outcome.out)) == 10
    (named,) = re.findall(r"2 of 12 permutations are not shown; (\S+) has all", outcome.out)
    assert len((tmp_path / named).read_text().splitlines()) == 1 + 12


@pytest.mark.slow
def test_a_permutation_does_not_win_by_a_failed_job(door, failing, tmp_path):
    """Its only result is from a repetition in which all permutations got higher rewards."""
    failing.write_text("hyperparameters:\n  environment.reset_params.how: ['', once, once]\n")
    (tmp_path / "tried").touch()
    assert door("ntune", ARGUMENTS).status == 0
    (tmp_path / "tried").unlink()
    outcome = door("ntune", [*ARGUMENTS, "--num-repetitions=2"])
    assert outcome.status == 1
    rows = table(tmp_path / "out/run")
    (failed,) = [row["permutation"] for row in rows if row["status"] == "failed"]
    first, second = (float(row["objective"]) for row in rows if row["permutation"] == "0")
    assert first > second  # the first repetition alone has a higher mean than both
    shown = [(row[0], row[1], float(row[2])) for row in _rows(outcome.out)]
    assert [(number, runs) for number, runs, _ in shown][-1] == (failed, "1")
    assert [runs for _, runs, _ in shown[:-1]] == ["2", "2"]
    assert shown[-1][2] > shown[0][2]
    (best,) = re.findall(r"best \S+ in permutation (\d+)", outcome.err)
    assert best == shown[0][0] == "0"


@pytest.mark.slow
def test_a_best_config_is_what_was_trained_or_is_left_as_it_was(door, tiny, tmp_path, monkeypatch):
    """The report is made elsewhere than the jobs, with another environment."""
    text = tiny.read_text().replace("n_workers: 2", "n_workers: ${oc.decode:${oc.env:WORKERS}}")
    tiny.write_text(text)
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  trainer.gamma: [0.9, 0.99]\n")
    process = start(tmp_path, *ARGUMENTS, "sampler.worker_steps=64", WORKERS="4")
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    path = tmp_path / "out/run/best.yaml"
    best = path.read_text()
    assert yaml.safe_load(best)["sampler"]["n_workers"] == 4
    monkeypatch.setenv("WORKERS", "8")
    elsewhere = door("nreport", ["out/run"])
    assert elsewhere.status == 0, elsewhere.err
    assert "its resolvers may have other values here than they had in the job" in elsewhere.err
    assert path.read_text() == best
    monkeypatch.delenv("WORKERS")
    assert "Environment variable 'WORKERS' not found" in door("nreport", ["out/run"]).err
    assert path.read_text() == best
    path.write_bytes(b"# permutation 7: of an earlier ranking, caf\xe9\n")
    assert door("nreport", ["out/run"]).status == 0
    assert not path.exists()


def test_jobs_have_the_variables_that_their_config_sets(door, tiny, tmp_path, monkeypatch):
    monkeypatch.delenv("WORKERS", raising=False)
    text = tiny.read_text().replace("n_workers: 2", "n_workers: ${oc.decode:${oc.env:WORKERS,2}}")
    tiny.write_text(text)
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  trainer.gamma: [0.9, 0.99]\n")
    command = [*ARGUMENTS, "sampler.worker_steps=64", "+hydra.job.env_set.WORKERS=4"]
    for _ in range(2):
        outcome = door("ntune", command)
        assert outcome.status == 0, outcome.err
    assert "2 of 2 jobs are done already" in outcome.err
    best = yaml.safe_load((tmp_path / "out/run/best.yaml").read_text())
    result = json.loads((tmp_path / "out/run/0/0/result.json").read_text())
    assert (best["sampler"]["n_workers"], result["env_steps"]) == (4, 2 * 4 * 64)
    assert "WORKERS" not in os.environ
