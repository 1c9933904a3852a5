"""What docs/coming_from_other_tools.md translates is the same on both sides."""

from __future__ import annotations

import ast
import itertools
import math
import re
import shlex
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf

from neroRL.config.counterparts import COUNTERPARTS
from neroRL.config.problems import leaf_paths
from neroRL.config.schema import Config
from tests.conftest import PROJECT

PAGE = (PROJECT / "docs/coming_from_other_tools.md").read_text()
# Blocks of other tools, by the word that stands before them.
ZOO, WANDB, RAY, OPTUNA = "zoo's format", "W&B:", "Ray Tune:", "Optuna:"


def _block(before: str) -> str:
    found = re.search(rf"{re.escape(before)}[^\n]*\n\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found, before
    return found[1]


@pytest.fixture
def files(tmp_path) -> Path:
    """The YAML files of the page, by the names it gives them."""
    for name in ("cartpole.yaml", "space.yaml", "random.yaml"):
        (tmp_path / name).write_text(_block(f"`{name}`"))
    return tmp_path


def _commands() -> list[str]:
    return re.findall(r"^(n(?:tune|train) .*)$", PAGE, re.MULTILINE)


def _composed(door, command: str) -> list[dict]:
    name, *arguments = shlex.split(command)
    outcome = door(name, [*arguments, "--cfg", "job"])
    assert outcome.status == 0, outcome.err
    documents = re.split(r"^---\n", outcome.out, flags=re.MULTILINE)
    configs = [OmegaConf.to_container(OmegaConf.create(document)) for document in documents]
    return [config for config in configs if config]  # what comes first is a comment


def _grid_of_wandb() -> dict[str, list]:
    return {
        key: told["values"] for key, told in yaml.safe_load(_block(WANDB))["parameters"].items()
    }


def _grid_in_python(before: str) -> dict[str, list]:
    """The lists of numbers in a block of Python, by the keys that they belong to."""
    return {
        key.value: ast.literal_eval(value.args[0] if isinstance(value, ast.Call) else value)
        for node in ast.walk(ast.parse(_block(before)))
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
    }


@pytest.mark.parametrize(
    "grid",
    [_grid_of_wandb(), _grid_in_python(RAY), _grid_in_python(OPTUNA)],
    ids=["wandb", "ray", "optuna"],
)
def test_the_grid_of_another_tool_is_the_tuning_files(door, files, grid):
    (command,) = [text for text in _commands() if "--tune=space.yaml" in text]
    jobs = _composed(door, command)
    theirs = set(itertools.product(*grid.values()))
    ours = [
        (job["trainer"]["learning_rate_schedule"]["initial"], job["trainer"]["gamma"])
        for job in jobs
    ]
    assert list(grid)[1:] == ["gamma"]
    assert COUNTERPARTS[next(iter(grid))].keys == ("trainer.learning_rate_schedule.initial",)
    assert set(ours) == theirs
    assert len(ours) == 3 * len(theirs)
    assert "num_samples=3" in _block(RAY)


def _random_of_wandb() -> tuple[list, list, list, int]:
    told = yaml.safe_load(_block("W&B draws"))
    rate, *others = told["parameters"].values()
    assert (told["method"], rate["distribution"]) == ("random", "log_uniform_values")
    return [rate["min"], rate["max"]], *(other["values"] for other in others), told["run_cap"]


def _random_in_python(before: str, interval: str, choice: str) -> tuple[list, list, list, int]:
    """The bounds, choices and number of draws of a block of Python."""
    calls = [node for node in ast.walk(ast.parse(_block(before))) if isinstance(node, ast.Call)]

    def values(name: str) -> list[list]:
        found = [call.args for call in calls if call.func.attr == name]
        return [[ast.literal_eval(one) for one in args if "lr" not in ast.dump(one)]
                for args in found]  # fmt: skip

    named = {word.arg: word.value for call in calls for word in call.keywords}
    count = named.get("num_samples", named.get("n_trials"))
    ((low, high),) = values(interval)
    return [low, high], *(one[-1] for one in values(choice)), ast.literal_eval(count)


@pytest.mark.parametrize(
    "told",
    [
        _random_of_wandb(),
        _random_in_python("Ray Tune's `num_samples`", "loguniform", "choice"),
        _random_in_python("Optuna's objective", "suggest_float", "suggest_categorical"),
    ],
    ids=["wandb", "ray", "optuna"],
)
def test_random_draws_of_another_tool_are_a_sample(told, door, files):
    bounds, memories, sizes, count = told
    space = yaml.safe_load((files / "random.yaml").read_text())
    rate = space["learning_rate_schedule"]["initial"]
    assert ([rate["from"], rate["to"]], rate["scale"]) == (bounds, "log")
    assert space["hyperparameters"] == {"model/memory": memories, "hidden_state_size": sizes}
    (command,) = [text for text in _commands() if "--tune=random.yaml" in text]
    assert f"hydra.sweeper.sample={count}" in command


@pytest.mark.slow
def test_a_sample_has_as_many_permutations_as_asked_for(door, files):
    (command,) = [text for text in _commands() if "--tune=random.yaml" in text]
    jobs = _composed(door, command)
    assert len(jobs) == 100
    sizes = [(job["model"]["recurrence"] or {}).get("hidden_state_size") for job in jobs]
    assert set(sizes) == {None, 64, 128}
    rates = [job["trainer"]["learning_rate_schedule"]["initial"] for job in jobs]
    assert len(set(zip(rates, sizes, strict=True))) == 100
    whole = door("ntune", [*shlex.split(command)[1:-1], "hydra.sweeper.max_jobs=2999"])
    assert "3,000 permutations" in whole.err
    assert "The space has 3,000 permutations" in PAGE


def test_the_zoos_entry_is_the_config(door, files):
    (command,) = [text for text in _commands() if text.startswith("ntrain")]
    (ours,) = _composed(door, command)
    ((name, theirs),) = yaml.safe_load(_block(ZOO)).items()
    sampler, trainer = ours["sampler"], ours["trainer"]
    batch = sampler["n_workers"] * sampler["worker_steps"]
    assert ours["environment"]["name"] == name
    assert (sampler["n_workers"], sampler["worker_steps"]) == (theirs["n_envs"], theirs["n_steps"])
    assert batch == trainer["n_mini_batches"] * theirs["batch_size"]
    assert trainer["updates"] == math.ceil(theirs["n_timesteps"] / batch)
    assert (trainer["gamma"], trainer["lamda"]) == (theirs["gamma"], theirs["gae_lambda"])
    assert trainer["epochs"] == theirs["n_epochs"]
    assert trainer["beta_schedule"]["initial"] == theirs["ent_coef"]
    for schedule in ("learning_rate", "clip_range"):
        decay = trainer[f"{schedule}_schedule"]
        assert f"lin_{decay['initial']}" == theirs[schedule]
        assert (decay["final"], decay["power"]) == (0.0, 1.0)


@pytest.mark.slow
def test_the_config_is_one_that_trains(door, files):
    assert door("ntrain", ["--config=cartpole.yaml", "trainer.updates=1"]).status == 0


def test_the_message_of_the_page_is_what_is_printed(door, files):
    command, message = re.search(r"^\$ (ntune .*)\n(error: .*)$", PAGE, re.MULTILINE).groups()
    outcome = door("ntune", shlex.split(command)[1:])
    assert outcome.status == 2
    assert message in outcome.err.splitlines()


def test_keys_that_the_page_names_exist():
    known = set(leaf_paths(Config))
    named = re.findall(r"`((?:sampler|trainer|model|environment|evaluation)\.[\w.]+)", PAGE)
    assert len(named) > 15
    assert [key for key in named if key not in known and key != "trainer.x"] == []
