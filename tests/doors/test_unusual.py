"""Values and command lines that are legal, and rare."""

from __future__ import annotations

import csv
import json

import pytest
import torch
import yaml

from tests.doors.sweeps import ARGUMENTS

# No markup of the summary, no interpolation, no second line of an entry.
TEXTS = ["[/x]", "[bold]b", ":smile:", "a,b=c {y}", "two\nlines", "${seed}", "\\${seed}", "\\"]


@pytest.fixture
def texts(tiny, tmp_path):
    """A space over strings, which nothing reads while ``load_model`` is off."""
    written = [text.replace("${", "\\${") for text in TEXTS[:-2]] + ["\\\\\\${seed}", TEXTS[-1]]
    tiny.write_text(tiny.read_text().replace("updates: 2", "updates: 1"))
    space = tmp_path / "space.yaml"
    space.write_text(yaml.safe_dump({"hyperparameters": {"model_path": written}}))
    return space


@pytest.mark.usefixtures("texts")
def test_texts_arrive_as_they_are_and_are_shown_so(door, tmp_path):
    outcome = door("ntune", [*ARGUMENTS, "--out=it's out", "sampler.worker_steps=64"])
    assert outcome.status == 0, outcome.err
    sweep = tmp_path / "it's out/run"
    with (sweep / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["model.model_path"] for row in rows] == TEXTS
    for number, text in enumerate(TEXTS):
        path = sweep / f"{number}/0/checkpoints/run-1.pt"
        assert torch.load(path, weights_only=True)["config"]["model"]["model_path"] == text
    best = sorted(rows, key=lambda row: -float(row["objective"]))[0]
    assert f"model.model_path={best['model.model_path'].splitlines()[0]}" in outcome.out
    assert "tensorboard --logdir 'it'\"'\"'s out/run'" in outcome.out


@pytest.mark.usefixtures("texts")
def test_generated_configs_hold_texts_as_they_are(door, tmp_path):
    assert door("ntune", [*ARGUMENTS, "--generate-only"]).status == 0
    assert len((tmp_path / "out/info.txt").read_text().splitlines()) == len(TEXTS)
    for number, text in enumerate(TEXTS):
        config = f"out/configs/{number}.yaml"
        outcome = door("ntrain", [f"--config={config}", "--cfg=job", "--resolve"])
        assert yaml.safe_load(outcome.out)["model"]["model_path"] == text


@pytest.mark.usefixtures("texts")
def test_a_dry_run_is_yaml_whatever_the_values(door):
    outcome = door("ntune", [*ARGUMENTS, "--cfg=job", "--resolve"])
    configs = list(yaml.safe_load_all(outcome.out))
    assert [config["model"]["model_path"] for config in configs] == TEXTS


def test_a_base_config_may_end_with_yml(door, tiny, tmp_path):
    tiny.rename(tmp_path / "a.tiny.yml")
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9, 0.99]\n")
    command = ["--config=a.tiny.yml", "--tune=space.yaml", "--out=out", "--run-id=run"]
    outcome = door("ntune", command)
    assert outcome.status == 0, outcome.err
    assert "2 completed" in outcome.out
    assert door("ntrain", ["--config=a.tiny.yml", "trainer.updates=1"]).status == 0


def test_seeds_can_be_swept(door, tiny, tmp_path):
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  seed: [7, 20]\n")
    assert door("ntune", [*ARGUMENTS, "--num-repetitions=2"]).status == 0
    with (tmp_path / "out/run/results.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header.count("seed") == 1
    assert [row[header.index("seed")] for row in rows] == ["7", "20", "8", "21"]
    for number, choice in enumerate([7, 20]):
        result = json.loads((tmp_path / f"out/run/{number}/1/result.json").read_text())
        assert (result["seed"], result["overrides"]) == (choice + 1, {"seed": choice})


def test_evaluation_seeds_can_be_swept(door, tiny, tmp_path):
    space = "hyperparameters:\n  evaluation.seeds.explicit-seeds: [[3], [4, 5]]\n"
    (tmp_path / "space.yaml").write_text(space)
    outcome = door("ntune", [*ARGUMENTS, "--cfg=job"])
    configs = list(yaml.safe_load_all(outcome.out))
    seeds = [config["evaluation"]["seeds"]["explicit-seeds"] for config in configs]
    assert seeds == [[3], [4, 5]]
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  evaluation.seeds: [[3], [4, 5]]\n")
    outcome = door("ntune", [*ARGUMENTS, "--cfg=job"])
    assert outcome.status == 2
    assert "space.yaml:2" in outcome.err
    assert "sweep evaluation.seeds.explicit-seeds" in outcome.err


def test_fewer_repetitions_keep_the_laps_that_were_done(door, tiny, tmp_path):
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9, 0.99]\n")
    assert door("ntune", [*ARGUMENTS, "--num-repetitions=2"]).status == 0
    table = (tmp_path / "out/run/results.csv").read_text()
    (tmp_path / "out/run/1/0/result.json").unlink()
    outcome = door("ntune", [*ARGUMENTS, "--num-repetitions=1"])
    assert outcome.status == 0
    assert "3 of 4 jobs are done already" in outcome.err
    with (tmp_path / "out/run/results.csv").open(newline="") as file:
        told = [(row["permutation"], row["repetition"]) for row in csv.DictReader(file)]
    assert told == [("0", "0"), ("1", "0"), ("0", "1"), ("1", "1")]
    assert len(table.splitlines()) == 5
    assert yaml.safe_load((tmp_path / "out/run/sweep.yaml").read_text())["repetitions"] == 2


def test_a_single_training_of_another_config_does_not_pass_for_the_first(door, tiny, tmp_path):
    command = [f"--config-path={tmp_path}", "--config-name=tiny", "hydra.run.dir=here"]
    assert door("train", [*command, "seed=1"]).status == 0
    first = torch.load(tmp_path / "here/checkpoints/default-2.pt", weights_only=True)
    assert door("train", [*command, "seed=2"]).status == 0
    second = torch.load(tmp_path / "here/checkpoints/default-2.pt", weights_only=True)
    kept = torch.load(tmp_path / "here/checkpoints.0/default-2.pt", weights_only=True)
    assert [content["config"]["seed"] for content in (first, second, kept)] == [1, 2, 1]
    assert second["update"] == 2
    log = (tmp_path / "here/train.log").read_text()
    assert "seed: 1 there, 2 here" in log


def test_a_drawn_seed_is_kept_by_a_training_that_goes_on(door, tiny, tmp_path):
    command = [f"--config-path={tmp_path}", "--config-name=tiny", "hydra.run.dir=here", "seed=-1"]
    assert door("train", command).status == 0
    drawn = json.loads((tmp_path / "here/result.json").read_text())["seed"]
    assert door("train", [*command, "trainer.updates=3"]).status == 0
    result = json.loads((tmp_path / "here/result.json").read_text())
    assert (result["seed"], result["updates"]) == (drawn, 3)
    checkpoint = tmp_path / "here/checkpoints/default-2.pt"
    command = ["--config=tiny.yaml", f"--checkpoint={checkpoint}", "--out=out", "--seed=-1"]
    assert door("ntrain", command).status == 0
    (path,) = (tmp_path / "out").rglob("result.json")
    assert json.loads(path.read_text())["seed"] == drawn


@pytest.mark.parametrize("damage", ["random", "foreign"])
def test_a_checkpoint_that_cannot_be_continued_creates_nothing(door, tiny, tmp_path, damage):
    path = tmp_path / "a.pt"
    command = ["--config=tiny.yaml", "--checkpoint=a.pt", "--out=out"]
    if damage == "random":
        path.write_bytes(bytes(range(7, 256)) * 2)
        message = "a.pt cannot be read, it may be cut off"
    else:
        first = ["--config=tiny.yaml", "--out=first", "trainer.updates=1"]
        assert door("ntrain", first).status == 0
        (found,) = (tmp_path / "first").rglob("*.pt")
        found.rename(path)
        command.append("sampler.worker_steps=8")
        message = "sampler.worker_steps: 16 there, 8 here"
    outcome = door("ntrain", command)
    assert outcome.status == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err + outcome.out
    assert not (tmp_path / "out").exists()
