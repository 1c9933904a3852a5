"""Sweeps whose choices are sections of the config, as maps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.doors.sweeps import ARGUMENTS, last_checkpoint, printed, table, write_space

SECTIONS = {
    "model": "{num_hidden_units: 16},{num_hidden_units: 32,activation: gelu},{recurrence: {}}",
    "environment": "{type: CartPole,reset_params: {mask-velocity: true}},"
    "{type: Minigrid,name: MiniGrid-Empty-6x6-v0},minigrid_vec",
}


@pytest.mark.parametrize("section", SECTIONS)
def test_choices_of_sections_are_those_of_the_command_line(section, door, tiny, tmp_path):
    choices = SECTIONS[section]
    write_space(tmp_path, f"hyperparameters: {{gamma: [0.9], {section}: [{choices}]}}")
    heads, configs = printed(door("ntune", [*ARGUMENTS, "--cfg", "job"]))
    write_space(tmp_path, "hyperparameters: {gamma: [0.9]}")
    typed = f"{section}={choices}".replace(": ", ":")
    assert printed(door("ntune", [*ARGUMENTS, "--cfg", "job", typed])) == (heads, configs)
    found = [config[section] for config in configs]
    assert len(found) == 3
    if section == "model":
        assert [model["num_hidden_units"] for model in found[:2]] == [16, 32]
        assert found[1]["activation"] == "gelu"
        assert found[2]["recurrence"] is not None
        assert found[0] == {**found[1], "num_hidden_units": 16, "activation": "relu"}
    else:
        assert [one["type"] for one in found] == ["CartPole", "Minigrid", "MinigridVec"]
        assert found[0]["reset_params"] == {
            "start-seed": 0,
            "num-seeds": 100,
            "mask-velocity": True,
        }
        assert found[1]["reset_params"]["view-size"] == 3


@pytest.mark.slow
@pytest.mark.parametrize("base", ["tiny.yaml", "./configs/cartpole.yaml"])
def test_rows_of_sections_say_what_was_trained(base, door, tiny, tmp_path):
    """Also where the base config has chosen an environment's config, and after an extension."""
    axes = {
        "environment": [
            {"type": "CartPole", "name": "CartPole-v1", "reset_params": {"mask-velocity": True}},
            {"type": "MinigridVec", "name": "MiniGrid-Empty-5x5-v0"},
            "minigrid_vec",
        ],
        "model": [{"num_hidden_units": 6}],
        "trainer.gamma": [0.9, "${trainer.lamda}"],
    }
    write_space(tmp_path, yaml.safe_dump({"hyperparameters": axes}))
    small = ["trainer.updates=1", "sampler.worker_steps=16", "sampler.n_workers=2", "threads=1"]
    command = [f"--config={base}", *ARGUMENTS[1:], *small, "seed=1"]
    assert door("ntune", command).status == 0
    sweep = tmp_path / "out/run"
    _assert_rows_are_true(sweep, 6)
    axes["trainer.gamma"].insert(0, 0.8)
    axes["model"].append({"num_hidden_units": 7})
    write_space(tmp_path, yaml.safe_dump({"hyperparameters": axes}))
    outcome = door("ntune", [*command, "hydra.sweeper.extend=true"])
    assert outcome.status == 0, outcome.err
    assert "6 of 18 jobs are done already" in outcome.err
    _assert_rows_are_true(sweep, 18)
    ranking = (sweep / "report/ranking.csv").read_text()
    assert all(f",{choice}," in ranking for choice in ("0.8", "0.9", "0.95"))
    assert "lamda" not in ranking


def _assert_rows_are_true(sweep: Path, count: int) -> None:
    rows = table(sweep)
    assert len({(row["environment"], row["model"], row["trainer.gamma"]) for row in rows}) == count
    assert len(rows) == count
    ids = {"minigrid_vec": ("MinigridVec", None)}
    for row in rows:
        told = row["environment"]
        trained = last_checkpoint(sweep / row["directory"])
        config = trained["config"]
        environment = {} if told in ids else json.loads(told)
        kind, name = ids.get(told) or (environment["type"], environment["name"])
        assert config["environment"]["type"] == kind
        assert name in (None, config["environment"]["name"])
        for key, value in environment.get("reset_params", {}).items():
            assert config["environment"]["reset_params"][key] == value
        assert json.loads(row["model"]) == {
            "num_hidden_units": len(trained["model"]["hidden.0.bias"])
        }
        assert float(row["trainer.gamma"]) == config["trainer"]["gamma"]


def test_a_sweep_of_sections_is_continued(door, tiny, tmp_path):
    write_space(
        tmp_path, "hyperparameters: {model: [{num_hidden_units: 8}, {num_hidden_units: 16}]}"
    )
    assert door("ntune", ARGUMENTS).status == 0
    again = door("ntune", ARGUMENTS)
    assert again.status == 0
    assert "2 of 2 jobs are done already" in again.err
    for number, units in enumerate([8, 16]):
        made = yaml.safe_load((tmp_path / f"out/run/{number}/0/.hydra/config.yaml").read_text())
        assert made["model"]["num_hidden_units"] == units
