"""Tests sweeps that are copied, and sweeps inside or beside others: each row stays its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from neroRL.records.results import load_result
from neroRL.records.sweep_record import read_record
from neroRL.records.sweeps import read_sweep
from neroRL.sweep import extension
from tests.doors.sweeps import ARGUMENTS, write_space

COPY = [*ARGUMENTS[:2], "--run-id=copy", "--out=out"]
EXTEND = "hydra.sweeper.extend=true"


@pytest.fixture
def sweep(door, tiny, tmp_path):
    """Runs a sweep of two jobs, and confirms the better one."""
    write_space(tmp_path, "hyperparameters: {gamma: [0.9, 0.95]}\n")
    confirm = ["hydra.sweeper.confirm=1", "hydra.sweeper.confirm_repetitions=1"]
    assert door("ntune", [*ARGUMENTS, *confirm]).status == 0
    return tmp_path / "out/run"


def _rows(sweep: Path) -> dict[str, dict[str, float]]:
    """Returns the rows of TensorBoard's table: each one's name and choices."""
    rows = {}
    for file in sweep.glob("**/summaries/**/events.*"):
        events = EventAccumulator(str(file.parent)).Reload()
        content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
        start = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
        values = {key: value.number_value for key, value in start.hparams.items()}
        assert rows.setdefault(start.group_name, values) == values
    return rows


def test_a_copied_sweep_that_changes_has_rows_of_its_own(door, sweep, tmp_path):
    original, copy = sweep, tmp_path / "out/copy"
    shutil.copytree(original, copy)
    there = _rows(original)
    write_space(tmp_path, "hyperparameters: {gamma: [0.8, 0.95]}\n")
    outcome = door("ntune", [*COPY, EXTEND])
    assert outcome.status == 0, outcome.err
    told = "out/copy is a copy of the sweep beside it, and a sweep of its own from now on"
    assert told in outcome.err
    ours, theirs = read_record(copy), read_record(original)
    assert ours.id.startswith("copy-")
    assert theirs.id.startswith("run-")
    assert _rows(original) == there
    rows = _rows(copy)
    assert not rows.keys() & there.keys()
    gammas = {name: row["trainer.gamma"] for name, row in rows.items() if "conf" not in name}
    assert gammas == {f"{ours.id}/0": 0.8, f"{ours.id}/1": 0.95, f"{ours.id}/-1": 0.9}
    for result in read_sweep(copy).results:
        trained = yaml.safe_load((copy / result.directory / ".hydra/config.yaml").read_text())
        assert trained["trainer"]["gamma"] == result.overrides["trainer.gamma"]
    confirmation = read_sweep(copy).confirmation
    assert confirmation is not None
    assert confirmation.record.id == f"{ours.id}-confirmation"
    assert door("nreport", ["out/copy"]).status == 0


def test_a_copied_sweep_that_goes_on_trains_nothing_again(door, sweep, tmp_path):
    copy = tmp_path / "out/copy"
    shutil.copytree(sweep, copy)
    before = {path: path.read_bytes() for path in copy.glob("*/*/checkpoints/*.pt")}
    outcome = door("ntune", [*COPY, "--num-repetitions=2"])
    assert outcome.status == 0, outcome.err
    assert all(path.read_bytes() == content for path, content in before.items())
    assert len(read_sweep(copy).results) == 4
    assert not _rows(copy).keys() & _rows(sweep).keys()
    record = read_record(copy)
    again = door("ntune", [*COPY, "--num-repetitions=2"])
    assert "copy of" not in again.err
    assert read_record(copy) == record
    original = door("ntune", ARGUMENTS)  # it stays what it was
    assert "2 of 2 jobs are done already" in original.err
    assert "copy of" not in original.err


@pytest.mark.parametrize("name", ["run/", "link"])
def test_a_sweep_is_no_copy_of_itself(door, sweep, tmp_path, name):
    shutil.copytree(sweep, tmp_path / "out/copy")
    (tmp_path / "out/latin").mkdir()
    (tmp_path / "out/latin/sweep.yaml").write_bytes(b"\xe4")
    (tmp_path / "out/odd/sweep.yaml").mkdir(parents=True)
    if name == "link":
        shutil.rmtree(tmp_path / "out/copy")
        (tmp_path / "out/link").symlink_to("run")
    before = read_record(sweep)
    outcome = door("ntune", [*ARGUMENTS[:2], f"--run-id={name}", "--out=out"])
    assert outcome.status == 0, outcome.err
    assert "2 of 2 jobs are done already" in outcome.err
    assert read_record(sweep).id == before.id


def test_a_copy_whose_change_was_interrupted_is_changed_once(door, sweep, tmp_path, monkeypatch):
    """Between its confirmation, which has been renumbered, and itself."""
    copy = tmp_path / "out/copy"
    shutil.copytree(sweep, copy)
    write_space(tmp_path, "hyperparameters: {gamma: [0.95, 0.9]}\n")
    finish = extension.finish

    def interrupted(place):
        finish(place)
        if place.name == "confirmation":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(extension, "finish", interrupted)
        assert door("ntune", [*COPY, EXTEND]).status == 130
    assert door("ntune", [*COPY, EXTEND]).status == 0
    found = read_sweep(copy)
    assert found.confirmation is not None
    results = [*found.results, *found.confirmation.results]
    assert len(results) == 3
    for result in results:
        place = copy / "confirmation" if result in found.confirmation.results else copy
        trained = yaml.safe_load((place / result.directory / ".hydra/config.yaml").read_text())
        assert trained["trainer"]["gamma"] == result.overrides["trainer.gamma"]


@pytest.mark.parametrize("place", ["run/confirmation", "run/1", "run/dropped", "run/a/b"])
def test_a_sweep_inside_another_is_refused(door, sweep, tmp_path, place):
    before = sorted(sweep.rglob("*"))
    outcome = door("ntune", [*ARGUMENTS[:2], f"--run-id={place}", "--out=out"])
    assert outcome.status == 2
    told = f"out/{place} is inside the sweep {tmp_path}/out/run; use another --out or --run-id"
    assert told in outcome.err
    assert sorted(sweep.rglob("*")) == before


def test_another_file_of_the_name_is_no_sweep_around_it(door, tiny, tmp_path):
    (tmp_path / "sweep.yaml").write_text("program: train.py\nmethod: grid\n")  # as of W&B
    write_space(tmp_path, "hyperparameters: {gamma: [0.9]}\n")
    assert door("ntune", ARGUMENTS).status == 0
    assert load_result(tmp_path / "out/run/0/0").status == "completed"


def test_a_foreign_sweep_in_the_place_of_a_confirmation_is_none(door, sweep, tmp_path):
    assert read_sweep(sweep).confirmation is not None
    assert door("ntune", [*ARGUMENTS[:2], "--run-id=other", "--out=out"]).status == 0
    shutil.rmtree(sweep / "confirmation")
    (tmp_path / "out/other").rename(sweep / "confirmation")
    assert read_sweep(sweep).confirmation is None
    assert "onfirmation" not in door("nreport", ["out/run"]).out
    foreign = (sweep / "confirmation/sweep.yaml").read_bytes()
    write_space(tmp_path, "hyperparameters: {gamma: [0.95, 0.9]}\n")
    assert door("ntune", [*ARGUMENTS, EXTEND]).status == 0
    assert (sweep / "confirmation/sweep.yaml").read_bytes() == foreign
    assert read_sweep(sweep).confirmation is None
    before = sorted(sweep.rglob("*"))
    outcome = door("ntune", [*ARGUMENTS, "hydra.sweeper.confirm=1"])
    assert outcome.status == 2
    assert "out/run/confirmation holds another sweep; move it away" in outcome.err
    assert sorted(sweep.rglob("*")) == before
