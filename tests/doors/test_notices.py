"""Tests warnings about axes that make objectives incomparable."""

from __future__ import annotations

import importlib.util
import re

import pytest

BASE = """\
environment:
  type: MinigridVec
  name: MiniGrid-Empty-5x5-v0
evaluation:
  evaluate: {evaluate}
  seeds: [7, 100000]
"""
NOTICE = re.compile(
    r"^warning: (?P<where>[^ ]+|command line): (?P<key>[^ :]+): its choices change what the "
    r"objective measures; objectives of permutations that differ in it are not comparable$",
    re.MULTILINE,
)
SPACES = {
    "task": (
        "hyperparameters:\n"
        "  frame_skip: [1, 2]\n"
        "  environment.name: [MiniGrid-Empty-5x5-v0, MiniGrid-Empty-6x6-v0]\n"
        "  max-episode-steps: [20, 30]\n",
        {"frame_skip": 2, "environment.name": 3, "max-episode-steps": 4},
        {"frame_skip": 2, "environment.name": 3, "max-episode-steps": 4},
    ),
    "type": (
        "hyperparameters:\n  type: [Minigrid, MinigridVec]\n",
        {"type": 2},
        {"type": 2},
    ),
    "training seeds": (
        "hyperparameters:\n  start-seed: [0, 50]\n  num-seeds: [5, 6]\n",
        {},
        {"start-seed": 2, "num-seeds": 3},
    ),
    "evaluation": (
        "hyperparameters:\n  evaluation.seeds: [[1, 2], [3]]\n",
        {"evaluation.seeds": 2},
        {},
    ),
    "whether there is one": (
        "hyperparameters:\n  evaluation.evaluate: [true, false]\n  evaluation.seeds: [[1], [2]]\n",
        {"evaluation.evaluate": 2, "evaluation.seeds": 3},
        {"evaluation.evaluate": 2, "evaluation.seeds": 3},
    ),
    "what is seen, what is learned with, and choices that are one": (
        "hyperparameters:\n"
        "  view-size: [3, 5]\n"
        "  gamma: [0.9, 0.99]\n"
        "  reward_normalization: [0, 2]\n"
        "  max-episode-steps: [20, 20]\n",
        {},
        {},
    ),
}


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("evaluate", [True, False])
def test_axes_that_change_what_the_objective_measures(space, evaluate, door, tmp_path):
    text, evaluated, trained = SPACES[space]
    (tmp_path / "base.yaml").write_text(BASE.format(evaluate=evaluate))
    (tmp_path / "space.yaml").write_text(text)
    outcome = door("ntune", ["--config=base.yaml", "--tune=space.yaml", "--cfg=job"])
    assert outcome.status == 0, outcome.err
    told = {match["key"]: match["where"] for match in NOTICE.finditer(outcome.err)}
    expected = evaluated if evaluate else trained
    assert told == {key: f"space.yaml:{line}" for key, line in expected.items()}


@pytest.mark.skipif(importlib.util.find_spec("ale_py") is None, reason="ale-py is not installed")
def test_axes_that_leave_the_reward_of_an_atari_game_as_it_is(door, tmp_path):
    """More actions do what some of the few do, and a lost life ends no game."""
    (tmp_path / "space.yaml").write_text(
        "hyperparameters:\n"
        "  full-action-space: [false, true]\n"
        "  terminal-on-life-loss: [true, false]\n"
        "  noop-max: [30, 0]\n"
    )
    outcome = door("ntune", ["--config=./configs/atari.yaml", "--tune=space.yaml", "--cfg=job"])
    assert outcome.status == 0, outcome.err
    assert [match["key"] for match in NOTICE.finditer(outcome.err)] == ["noop-max"]


def test_a_group_of_environments_on_the_command_line(door):
    axes = ["environment=minigrid_vec,cartpole", "model/memory=none,gru", "trainer.gamma=0.9,0.99"]
    outcome = door("train", ["-m", "--cfg", "job", *axes])
    assert outcome.status == 0, outcome.err
    told = [(match["where"], match["key"]) for match in NOTICE.finditer(outcome.err)]
    assert told == [("command line", "environment")]


def test_a_sweep_with_such_an_axis_trains(door, tiny, tmp_path):
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  frame_skip: [1, 2]\n")
    outcome = door("ntune", [f"--config={tiny}", "--tune=space.yaml", "--out=out"])
    assert outcome.status == 0, outcome.err
    assert [match["key"] for match in NOTICE.finditer(outcome.err)] == ["frame_skip"]
    assert (tmp_path / "out/default/1/0/result.json").exists()
