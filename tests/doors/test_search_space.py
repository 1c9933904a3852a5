"""Search spaces that are more than a product, through the doors."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import torch
import yaml

from tests.doors.sweeps import (
    ARGUMENTS,
    assert_same_trainings,
    printed,
    processes_of,
    start,
    table,
    write_space,
)
from tests.patience import PATIENCE, wait_for

SPACE = """\
hyperparameters:
  model/memory: [none, gru]
  hidden_state_size: [8, 16]
  gamma: {from: 0.9, to: 0.99, count: 2}
together:
  - n_workers: [2, 4]
    n_mini_batches: [2, 4]
exclude:
  - {model/memory: gru, n_workers: [4], hidden_state_size: 16}
grids:
  - hyperparameters: {activation: [relu]}
  - hyperparameters: {activation: [relu, gelu], num_hidden_units: [16]}
"""
COUNT = (3 * 2 * 2 - 2) * 3


def test_a_dry_run_shows_what_a_file_means(door, tiny, tmp_path):
    write_space(tmp_path, SPACE)
    _, configs = printed(door("ntune", [*ARGUMENTS, "--cfg", "job"]))
    assert len(configs) == COUNT
    for config in configs:
        model, workers = config["model"], config["sampler"]["n_workers"]
        assert config["trainer"]["n_mini_batches"] == workers
        assert (model["activation"] == "relu") or model["num_hidden_units"] == 16
        if model["recurrence"] is not None:
            assert (workers, model["recurrence"]["hidden_state_size"]) != (4, 16)
    seen = {yaml.safe_dump(config) for config in configs}
    assert len(seen) == COUNT


@pytest.mark.slow
def test_generated_configs_are_those_of_the_dry_run(door, tiny, tmp_path):
    write_space(tmp_path, SPACE)
    heads, configs = printed(door("ntune", [*ARGUMENTS, "--cfg", "job", "--resolve"]))
    assert door("ntune", [*ARGUMENTS, "--generate-only"]).status == 0
    for number, config in enumerate(configs):
        written = yaml.safe_load((tmp_path / f"out/configs/{number}.yaml").read_text())
        for section, values in config.items():
            shown = values.items() if isinstance(values, dict) else ()
            assert all(written[section][key] == value for key, value in shown if value is not None)
    assert len((tmp_path / "out/info.txt").read_text().splitlines()) == len(heads)


def test_the_command_line_means_the_same_as_the_file(door, tiny, tmp_path):
    write_space(
        tmp_path,
        "together: [{n_workers: [2, 4], n_mini_batches: [2, 4]}]\n"
        "exclude: [{n_workers: 4, activation: gelu}]\n"
        "grids: [{hyperparameters: {activation: [relu]}},\n"
        "        {hyperparameters: {activation: [gelu], gamma: [0.9, 0.99]}}]\n",
    )
    of_file, _ = printed(door("ntune", [*ARGUMENTS, "--cfg", "job"]))
    options = [
        "hydra.sweeper.together=[{n_workers:[2,4],n_mini_batches:[2,4]}]",
        "hydra.sweeper.exclude=[{n_workers:4,activation:gelu}]",
        "hydra.sweeper.grids=[{hyperparameters:{activation:[relu]}},"
        "{hyperparameters:{activation:[gelu],gamma:[0.9,0.99]}}]",
    ]
    own = ["-m", f"--config-path={tmp_path}", "--config-name=tiny.yaml", "--cfg", "job"]
    of_options, _ = printed(door("train", [*own, *options]))
    mine = [text.replace("run_id=run worker_id=2 ", "") for text in of_file]
    assert mine == of_options
    assert len(mine) == 2 + 2


def test_a_schedule_can_be_named_as_a_whole(door, tiny, tmp_path):
    write_space(
        tmp_path,
        "hyperparameters:\n"
        "  learning_rate_schedule: [{initial: 1.0e-3}, {initial: 1.0e-4}]\n"
        "together:\n"
        "  - beta_schedule: [{initial: 0.1}, {initial: 0.2}]\n"
        "    gamma: [0.9, 0.95]\n"
        "exclude:\n"
        "  - {learning_rate_schedule: {initial: 1.0e-3}, beta_schedule: {initial: 0.1}}\n",
    )
    _, configs = printed(door("ntune", [*ARGUMENTS, "--cfg", "job"]))
    assert [
        (trainer["learning_rate_schedule"]["initial"], trainer["beta_schedule"]["initial"])
        for trainer in (config["trainer"] for config in configs)
    ] == [(1e-3, 0.2), (1e-4, 0.1), (1e-4, 0.2)]


@pytest.mark.parametrize(
    ("sizes", "count"),
    [("[8]", ""), ("[8, 16]", "; the grid has 5 permutations instead of 6")],
)
def test_a_notice_counts_permutations_if_some_are_missing(sizes, count, door, tiny, tmp_path):
    write_space(
        tmp_path,
        f"hyperparameters: {{model/memory: [none, gru, lstm], hidden_state_size: {sizes}}}",
    )
    outcome = door("ntune", [*ARGUMENTS, "--cfg", "job"])
    assert f"has no place beside model/memory=none and is not set there{count}\n" in outcome.err


PARAMETER = "environment.reset_params.sutton_barto_reward"
CARTPOLES = "[{type: Gymnasium, name: CartPole-v1}, {type: CartPole, name: CartPole-v1}]"


def _parameters(configs):
    return [
        config["environment"]["reset_params"].get("sutton_barto_reward", "absent")
        for config in configs
    ]


@pytest.mark.slow
def test_a_type_that_takes_any_reset_parameter_takes_it_from_everywhere(door, tiny, tmp_path):
    """Those of another type are not set."""
    chosen = "environment.type=Gymnasium"
    dry = [*ARGUMENTS, "--cfg", "job"]
    write_space(tmp_path, f"hyperparameters: {{{PARAMETER}: [false, true]}}")
    assert _parameters(printed(door("ntune", [*dry, chosen]))[1]) == [False, True]
    write_space(
        tmp_path, f"hyperparameters: {{environment: {CARTPOLES}, {PARAMETER}: [false, true]}}"
    )
    outcome = door("ntune", dry)
    assert _parameters(printed(outcome)[1]) == [False, True, "absent"]
    assert "the grid has 3 permutations instead of 4" in outcome.err
    write_space(tmp_path, f"hyperparameters: {{environment: {CARTPOLES}}}")
    for sweep, expected in (
        (f"{PARAMETER}=false,true", [False, True, "absent"]),
        (f"{PARAMETER}=true", [True, "absent"]),
    ):
        assert _parameters(printed(door("ntune", [*dry, sweep]))[1]) == expected
    write_space(
        tmp_path, "hyperparameters: {environment.reset_params: [{sutton_barto_reward: true}]}"
    )
    assert _parameters(printed(door("ntune", [*dry, chosen]))[1]) == [True]
    arguments = ["--config=tiny.yaml", "--out=alone", chosen, f"{PARAMETER}=true"]
    assert door("ntrain", arguments).status == 0
    (file,) = (tmp_path / "alone").glob("**/.hydra/config.yaml")
    assert _parameters([yaml.safe_load(file.read_text())]) == [True]


@pytest.mark.slow
def test_a_sweep_trains_what_the_dry_run_shows(door, tiny, tmp_path):
    write_space(
        tmp_path,
        "hyperparameters:\n  model/memory: [gru, none]\n  hidden_state_size: [8, 16]\n"
        "together: [{n_workers: [2, 4], n_mini_batches: [2, 4]}]\n"
        "exclude: [{model/memory: none, n_workers: 4}]\n",
    )
    _, configs = printed(door("ntune", [*ARGUMENTS, "--cfg", "job"]))
    assert door("ntune", ARGUMENTS).status == 0
    rows = table(tmp_path / "out/run")
    assert len(rows) == len(configs) == 5
    for row, config in zip(rows, configs, strict=True):
        content = torch.load(next((tmp_path / "out/run" / row["directory"]).rglob("*.pt")))
        weights = content["model"]
        sizes = {w.shape[1] for name, w in weights.items() if "recurrents.0.weight" in name}
        recurrence = config["model"]["recurrence"]
        assert sizes == ({recurrence["hidden_state_size"]} if recurrence else set())
        cell = row["model.recurrence.hidden_state_size"]
        assert cell == (str(recurrence["hidden_state_size"]) if recurrence else "")
        assert row["sampler.n_workers"] == str(config["sampler"]["n_workers"])
        assert content["config"]["sampler"]["n_workers"] == config["sampler"]["n_workers"]
    again = door("ntune", ARGUMENTS)
    assert "5 of 5 jobs are done already" in again.err


def test_one_factor_at_a_time(door, tiny, tmp_path):
    write_space(
        tmp_path,
        "hyperparameters:\n  model/memory: [none, gru]\n  hidden_state_size: [128, 64]\n"
        "  gamma: [0.99, 0.5]\n",
    )
    dry = [*ARGUMENTS, "--cfg", "job", "hydra.sweeper.design=one_at_a_time"]

    def shown(*overrides):
        outcome = door("ntune", [*dry, *overrides])
        sizes = (config["model"]["recurrence"] for config in printed(outcome)[1])
        gammas = [config["trainer"]["gamma"] for config in printed(outcome)[1]]
        units = [memory and memory["hidden_state_size"] for memory in sizes]
        return list(zip(units, gammas, strict=True)), outcome.err

    without, told = shown()
    assert "hidden_state_size has no place in the base config" in told
    assert without == [(None, 0.99), (128, 0.99), (None, 0.5)]
    # A single value on the command line is the base config's.
    beside_gru, told = shown("model/memory=gru")
    assert "no place in the base config" not in told
    assert beside_gru == [(128, 0.99), (None, 0.99), (64, 0.99), (128, 0.5)]


def test_a_value_on_the_command_line_counts_where_not_every_permutation_sweeps_it(
    door, tiny, tmp_path
):
    write_space(
        tmp_path,
        "grids:\n- hyperparameters: {gamma: [0.9]}\n- hyperparameters: {epochs: [1], gamma: [0.8]}",
    )
    outcome = door("ntune", [*ARGUMENTS, "--cfg", "job", "trainer.epochs=3", "trainer.gamma=0.5"])
    _, configs = printed(outcome)
    assert [(c["trainer"]["gamma"], c["trainer"]["epochs"]) for c in configs] == [
        (0.9, 3), (0.8, 1),
    ]  # fmt: skip
    assert "trainer.gamma: is swept here, so the value on the command line has no effect" in (
        outcome.err
    )
    assert "trainer.epochs: is swept here" not in outcome.err
    alone = door("ntune", [*ARGUMENTS, "--cfg", "job", "hydra.sweeper.design=one_at_a_time",
                           "trainer.gamma=0.5"])  # fmt: skip
    _, configs = printed(alone)
    assert [config["trainer"]["gamma"] for config in configs] == [0.5, 0.9, 0.5, 0.8]
    assert "has no effect" not in alone.err


def test_rows_of_one_factor_at_a_time_have_all_values(door, tiny, tmp_path):
    write_space(tmp_path, "hyperparameters:\n  gamma: [0.99, 0.5]\n  epochs: [1]\n")
    assert door("ntune", [*ARGUMENTS, "hydra.sweeper.design=one_at_a_time"]).status == 0
    rows = table(tmp_path / "out/run")
    base = yaml.safe_load((tmp_path / "out/run/sweep.yaml").read_text())["base_config"]["trainer"]
    found = [(float(row["trainer.gamma"]), int(row["trainer.epochs"])) for row in rows]
    assert found == [(0.99, base["epochs"]), (0.5, base["epochs"]), (0.99, 1)]
    assert base["epochs"] != 1
    grid = door("ntune", ARGUMENTS)
    assert grid.status == 2
    assert "hydra.sweeper.design: there one_at_a_time, now grid" in grid.err
    more = door("ntune", [*ARGUMENTS, "hydra.sweeper.extend=true"])
    assert more.status == 0, more.err
    assert "1 of 2 jobs are done already" in more.err  # gamma 0.5 with one epoch is new
    kept = {row["permutation"]: row["dropped"] for row in table(tmp_path / "out/run")}
    assert kept == {"0": "false", "1": "false", "-1": "true", "-2": "true"}


def test_only_some_permutations_train_and_train_again(door, tiny, tmp_path):
    write_space(tmp_path, "hyperparameters:\n  gamma: [0.9, 0.95, 0.99]\n")
    some = door("ntune", [*ARGUMENTS, "hydra.sweeper.only=[2,0]"])
    assert some.status == 0, some.err
    assert [row["permutation"] for row in table(tmp_path / "out/run")] == ["0", "2"]
    first = torch.load(tmp_path / "out/run/2/0/checkpoints/run-2.pt")
    written = (tmp_path / "out/run/0/0/result.json").read_bytes()
    again = door("ntune", [*ARGUMENTS, "hydra.sweeper.only=[2]", "hydra.sweeper.rerun=true"])
    assert again.status == 0, again.err
    kept = torch.load(tmp_path / "out/run/2/0.before-1/checkpoints/run-2.pt")
    rerun = torch.load(tmp_path / "out/run/2/0/checkpoints/run-2.pt")
    for content in (kept, rerun):
        assert all(torch.equal(content["model"][k], v) for k, v in first["model"].items())
    assert (tmp_path / "out/run/0/0/result.json").read_bytes() == written
    assert not list((tmp_path / "out/run/2/0.before-1").rglob("*tfevents*"))
    assert list((tmp_path / "out/run/2/0.before-1").rglob("*events-before*"))
    whole = door("ntune", ARGUMENTS)
    assert "2 of 3 jobs are done already" in whole.err
    assert [row["permutation"] for row in table(tmp_path / "out/run")] == ["0", "1", "2"]


@pytest.mark.slow
def test_choices_that_go_stay_on_disk_and_may_come_back(door, tiny, tmp_path):
    write_space(tmp_path, "hyperparameters:\n  gamma: [0.9, 0.99]\n  epochs: [1, 2]\n")
    assert door("ntune", ARGUMENTS).status == 0
    before = {
        (row["trainer.gamma"], row["trainer.epochs"]): row["wall_seconds"]
        for row in table(tmp_path / "out/run")
    }
    write_space(tmp_path, "hyperparameters:\n  epochs: [2, 1]\n  gamma: [0.99, 0.95]\n")
    assert door("ntune", ARGUMENTS).status == 2
    fewer = door("ntune", [*ARGUMENTS, "hydra.sweeper.extend=true"])
    assert fewer.status == 0, fewer.err
    assert "2 of 4 jobs are done already" in fewer.err
    assert "no part of the sweep any more: 2 permutations, kept in dropped/" in fewer.err
    rows = table(tmp_path / "out/run")
    assert list(rows[0])[4:6] == ["trainer.epochs", "trainer.gamma"]
    dropped = [row for row in rows if row["dropped"] == "true"]
    assert [(r["permutation"], r["trainer.gamma"], r["directory"]) for r in dropped] == [
        ("-1", "0.9", "dropped/1/0"), ("-2", "0.9", "dropped/2/0"),
    ]  # fmt: skip
    assert "0.9" not in (tmp_path / "out/run/report/ranking.csv").read_text().split(",")
    for row in rows:
        known = before.get((row["trainer.gamma"], row["trainer.epochs"]))
        assert known in (None, row["wall_seconds"])
        assert (tmp_path / "out/run" / row["directory"] / "result.json").is_file()
    write_space(tmp_path, "hyperparameters:\n  gamma: [0.9, 0.95, 0.99]\n  epochs: [1, 2]\n")
    back = door("ntune", [*ARGUMENTS, "hydra.sweeper.extend=true"])
    assert "6 of 6 jobs are done already" in back.err, back.err
    rows = table(tmp_path / "out/run")
    assert "dropped" not in rows[0]
    for row in rows:
        known = before.get((row["trainer.gamma"], row["trainer.epochs"]))
        assert known in (None, row["wall_seconds"])


@pytest.mark.slow
def test_a_finished_sweep_trains_on(door, tiny, tmp_path):
    """Its weights equal those of a sweep that had as many updates from the start."""
    write_space(tmp_path, "hyperparameters:\n  gamma: [0.9, 0.99]\n")
    schedule = ["trainer.beta_schedule.final=1e-5", "trainer.beta_schedule.max_decay_steps=3"]
    assert door("ntune", [*ARGUMENTS, *schedule]).status == 0
    longer = [*ARGUMENTS, *schedule, "trainer.updates=4"]
    refused = door("ntune", longer)
    assert refused.status == 2
    assert "hydra.sweeper.extend=true, which trains them longer" in refused.err
    more = door("ntune", [*longer, "hydra.sweeper.extend=true"])
    assert more.status == 0, more.err
    assert "2 jobs to go on, up to 4 updates" in more.err
    log = (tmp_path / "out/run/1/0/train.log").read_text()
    assert "continuing from run-2.pt after 2 updates" in log
    assert door("ntune", [*longer, "--out=whole"]).status == 0
    for number in range(2):  # the first sweep also has a checkpoint after two updates
        (tmp_path / f"out/run/{number}/0/checkpoints/run-2.pt").unlink()
    assert_same_trainings(tmp_path / "out/run", tmp_path / "whole/run")
    fewer = door("ntune", [*ARGUMENTS, *schedule, "hydra.sweeper.extend=true"])
    assert fewer.status == 2
    assert "trainer.updates: there 4, now 2" in fewer.err
    assert "extend" not in fewer.err  # no option makes trainings shorter
    further = door("ntune", [*longer, "--num-repetitions=2", "--out=whole"])
    assert further.status == 0
    more_laps = [*longer[:-1], "trainer.updates=6", "--out=whole", "hydra.sweeper.extend=true"]
    assert door("ntune", more_laps).status == 0  # one repetition is asked for, all train on
    assert {row["updates"] for row in table(tmp_path / "whole/run")} == {"6"}


@pytest.mark.slow
def test_more_updates_are_refused_where_a_schedule_would_have_been_another(door, tiny, tmp_path):
    write_space(tmp_path, "hyperparameters:\n  gamma: [0.9]\n")
    decaying = [*ARGUMENTS, "trainer.beta_schedule.final=1e-5"]
    assert door("ntune", decaying).status == 0
    longer = [*decaying, "trainer.updates=4", "hydra.sweeper.extend=true"]
    refused = door("ntune", longer)
    assert refused.status == 2
    assert "trainer.beta_schedule.max_decay_steps=2 and hydra.sweeper.extend=true" in refused.err
    fixed = door("ntune", [*longer, "trainer.beta_schedule.max_decay_steps=2"])
    assert fixed.status == 0, fixed.err
    assert "1 job to go on" in fixed.err
    assert "continuing from run-2.pt" in (tmp_path / "out/run/0/0/train.log").read_text()


@pytest.mark.slow
def test_the_repetitions_of_one_config_train_on(door, tiny, tmp_path):
    """A sweep without a swept key goes on as others do."""
    base = ["--config-path=.", "--config-name=tiny", "run_id=run", "hydra.sweep.dir=out"]
    begun = ["-m", *base, "trainer.beta_schedule.final=1e-5", "hydra.sweeper.num_repetitions=2"]
    assert door("train", begun).status == 0
    longer = ["trainer.updates=4", "trainer.beta_schedule.max_decay_steps=2"]
    more = door("train", [*begun, *longer, "hydra.sweeper.extend=true"])
    assert "2 jobs to go on" in more.err
    for repetition in range(2):
        log = (tmp_path / f"out/0/{repetition}/train.log").read_text()
        assert "continuing from run-2.pt after 2 updates" in log


@pytest.mark.slow
def test_more_updates_are_refused_where_a_swept_schedule_follows_them(door, tiny, tmp_path):
    schedule = "initial: [1e-2], final: [1e-3], max_decay_steps: ['${trainer.updates}']"
    write_space(tmp_path, f"hyperparameters: {{gamma: [0.9]}}\nbeta_schedule: {{{schedule}}}\n")
    assert door("ntune", ARGUMENTS).status == 0
    refused = door("ntune", [*ARGUMENTS, "trainer.updates=4", "hydra.sweeper.extend=true"])
    assert refused.status == 2
    assert "set trainer.beta_schedule.max_decay_steps to the updates so far" in refused.err


@pytest.mark.slow
def test_jobs_that_become_others_count_as_whole_ones(door, tiny, tmp_path):
    write_space(tmp_path, "hyperparameters: {epochs: ['${trainer.updates}', 1]}\n")
    assert door("ntune", ARGUMENTS).status == 0
    longer = door("ntune", [*ARGUMENTS, "trainer.updates=5", "hydra.sweeper.extend=true"])
    assert "results of 1 job are of another config or version; these run again" in longer.err
    assert "2 permutations, 2 jobs, 256 environment steps" in longer.err  # 5 + 3 updates of 32


def test_an_interpolation_may_have_arguments_in_quotes(door, tiny, tmp_path):
    text = """hyperparameters:\n  n_workers: ["${oc.decode:'4'}", 2]\n"""
    write_space(tmp_path, text)
    assert door("ntune", ARGUMENTS).status == 0
    assert [row["env_steps"] for row in table(tmp_path / "out/run")] == ["128", "64"]
    both = """hyperparameters:\n  model_path: ["${oc.env:NO,'a'} ${oc.env:NO,\\"b\\"}"]\n"""
    write_space(tmp_path, both)
    refused = door("ntune", ARGUMENTS)
    assert refused.status == 2
    assert "space.yaml:2: hyperparameters.model_path" in refused.err
    assert "an interpolation with both kinds of quotes cannot be passed" in refused.err


def test_a_base_config_that_some_permutations_use_must_not_change(door, tiny, tmp_path):
    """The second grid alone sweeps the key; permutations of the first have the base config's."""
    write_space(
        tmp_path,
        "grids:\n- hyperparameters: {gamma: [0.9]}\n"
        "- hyperparameters: {gamma: [0.99], epochs: [1]}",
    )
    assert door("ntune", ARGUMENTS).status == 0
    other = door("ntune", [*ARGUMENTS, "trainer.epochs=2"])
    assert other.status == 2
    assert "trainer.epochs: there 4, now 2" in other.err


ERRORS = {
    "together of unequal length": (
        "together: [{n_workers: [2, 4], epochs: [1, 2, 3]}]",
        ["space.yaml:1", "lists 3 choices, but n_workers lists 2"],
    ),
    "together that is no list": (
        "together: {n_workers: [2, 4]}",
        ["space.yaml:1: together: is a map; expected a list of maps"],
    ),
    "exclude of what is not swept": (
        "hyperparameters: {gamma: [0.9]}\nexclude: [{epochs: 2}]",
        ["space.yaml:2: exclude.trainer.epochs: is not swept"],
    ),
    "exclude of an unknown key": (
        "hyperparameters: {gamma: [0.9]}\nexclude: [{gama: 0.9}]",
        ["space.yaml:2: exclude.gama: unknown key; did you mean gamma"],
    ),
    "exclude of a value that is no choice": (
        "hyperparameters: {model/memory: [gru, none]}\nexclude: [{model/memory: gruu}]",
        ["space.yaml:2", "'gruu' is no choice of it; they are gru, none", "did you mean gru?"],
    ),
    "exclude that matches nothing": (
        "hyperparameters: {model/memory: [gru, none], hidden_state_size: [8, 16]}\n"
        "exclude: [{model/memory: none, hidden_state_size: 8}]",
        ["space.yaml:2: exclude: no permutation has these values together"],
    ),
    "exclude of everything": (
        "hyperparameters: {gamma: [0.9]}\nexclude: [{gamma: 0.9}]",
        ["space.yaml:2: exclude: leaves no permutation"],
    ),
    "a range without count": (
        "hyperparameters: {gamma: {from: 0.9, to: 0.99}}",
        ["space.yaml:1: hyperparameters.gamma: count is missing"],
    ),
    "a range with an unknown key": (
        "hyperparameters: {gamma: {from: 0.9, to: 0.99, counts: 2}}",
        ["space.yaml:1", "a range has no 'counts'", "did you mean count?"],
    ),
    "a range from 0 on a log scale": (
        "hyperparameters: {gamma: {from: 0, to: 0.99, count: 3, scale: log}}",
        ["space.yaml:1", "a log scale needs numbers above 0"],
    ),
    "a range of integers that are none": (
        "hyperparameters: {epochs: {from: 1, to: 4, count: 3}}",
        ["space.yaml:1", "gives 1.0, but the key takes integers"],
    ),
    "empty grids": ("grids: []", ["space.yaml:1: grids: is empty; expected a list of maps"]),
    "grids in grids": (
        "grids: [{grids: [{hyperparameters: {gamma: [0.9]}}]}]",
        ["space.yaml:1", "grids cannot hold grids"],
    ),
    "a key inside and outside of grids": (
        "hyperparameters: {gamma: [0.9]}\ngrids: [{hyperparameters: {gamma: [0.99]}}]",
        ["space.yaml:2: trainer.gamma: is swept twice, also as gamma (space.yaml:1)"],
    ),
    "a key twice in together": (
        "hyperparameters: {gamma: [0.9]}\ntogether: [{gamma: [0.9], epochs: [1]}]",
        ["space.yaml:2: trainer.gamma: is swept twice"],
    ),
    "a key in a choice of its section": (
        "hyperparameters: {model: [{num_hidden_units: 8}], num_hidden_units: [8, 16]}",
        ["space.yaml:1: model.num_hidden_units: is swept twice, also as model"],
    ),
    "an unknown key in a choice of a section": (
        "hyperparameters: {model: [{num_hiden_units: 8}]}",
        ["space.yaml:1", "the map in the base config has no 'num_hiden_units'"],
    ),
    "a choice of a section that is no map": (
        "hyperparameters: {model: [gru]}",
        ["space.yaml:1: hyperparameters.model: 'gru' is no map of its keys"],
    ),
    "a reset parameter of another type": (
        "hyperparameters: {environment.reset_params.mask_velocity: [true]}",
        ["space.yaml:1", "unknown key; did you mean environment.reset_params.mask-velocity"],
    ),
    "an unknown section": (
        "togethr: [{gamma: [0.9]}]",
        ["space.yaml:1: togethr: unknown section", "did you mean together?"],
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_bad_search_spaces(case, door, tiny, tmp_path):
    text, told = ERRORS[case]
    write_space(tmp_path, text)
    outcome = door("ntune", ARGUMENTS)
    assert outcome.status == 2
    assert "Traceback" not in outcome.err
    for part in told:
        assert part in outcome.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["hydra.sweeper.only=[3]"], "3 is no permutation; there are 0 to 1"),
        (["hydra.sweeper.only=[]"], "hydra.sweeper.only: names no permutation"),
        (["hydra.sweeper.rerun=true"], "hydra.sweeper.rerun: needs hydra.sweeper.only"),
        (["hydra.sweeper.sample=0"], "hydra.sweeper.sample: 0 is not allowed"),
        (["hydra.sweeper.sample=1", "seed=-1"], "hydra.sweeper.sample: draws from seed"),
        (["hydra.sweeper.design=grit"], "hydra.sweeper.design: 'grit' is not allowed"),
    ],
)
def test_bad_options(options, told, door, tiny, tmp_path):
    write_space(tmp_path, "hyperparameters: {gamma: [0.9, 0.99]}")
    outcome = door("ntune", [*ARGUMENTS, *options])
    assert outcome.status == 2
    assert told in outcome.err
    assert not (tmp_path / "out").exists()


def test_a_wrong_choice_is_not_blamed_on_what_changes_with_it(door, tiny, tmp_path):
    write_space(tmp_path, "together: [{model/memory: [none, grru], gamma: [0.9, 0.99]}]")
    told = door("ntune", ARGUMENTS).err
    assert "'grru' is none of its configs" in told
    assert "lists" not in told


def test_a_key_without_its_part_of_the_network_says_what_brings_it(door, tiny, tmp_path):
    write_space(tmp_path, "hyperparameters: {hidden_state_size: [8, 16]}")
    told = door("ntune", ARGUMENTS).err
    assert "choose that part of it first, e.g. by model/memory: [gru]" in told


def test_a_sample_larger_than_the_space_takes_all_and_says_so(door, tiny, tmp_path):
    write_space(tmp_path, "hyperparameters: {gamma: [0.9, 0.99]}")
    outcome = door("ntune", [*ARGUMENTS, "--cfg", "job", "hydra.sweeper.sample=5"])
    heads, _ = printed(outcome)
    assert len(heads) == 2
    assert "5 are asked for, and the search space has 2; all of them train" in outcome.err


def test_a_preview_measures_and_leaves_nothing(door, tiny, tmp_path):
    """Its counts are those of the jobs; the speed is that of this machine."""
    write_space(tmp_path, "hyperparameters: {worker_steps: [16, 32], gamma: [0.9, 0.99]}")
    common = [*ARGUMENTS, "--num-repetitions=3", "trainer.updates=5"]
    outcome = door("ntune", [*common, "--preview"])
    assert outcome.status == 0, outcome.err
    steps = 3 * 2 * (16 + 32) * 2 * 5
    assert f"4 permutations, 12 jobs, {steps:,} environment steps" in outcome.out
    assert re.search(r"about \d+s, \d at a time, and [\d.]+ [KM]iB of disk, by 3 upd", outcome.out)
    assert not (tmp_path / "out").exists()
    head = door("ntune", [*common, "--cfg", "job"]).out.splitlines()
    assert head[0] == f"# 4 permutations, 12 jobs, {steps:,} environment steps"
    assert "not known yet" in head[1]
    assert head[2] == "---"


def test_a_preview_measures_on_this_machine_whatever_launches_the_jobs(door, tiny, tmp_path):
    """The nodes of a cluster may not see the directory of the measurement."""
    write_space(tmp_path, "hyperparameters: {gamma: [0.9, 0.99]}")
    outcome = door("ntune", [*ARGUMENTS, "--preview", "hydra/launcher=joblib"])
    assert outcome.status == 0, outcome.err
    assert "2 permutations, 2 jobs, 128 environment steps" in outcome.out
    assert re.search(r"about \d+s, one job after another, and .* by 3 updates", outcome.out)
    assert "Joblib" not in outcome.err


def test_a_preview_measures_trainings_that_count_from_a_later_update(door, tiny, tmp_path):
    write_space(tmp_path, "hyperparameters: {gamma: [0.9, 0.99]}")
    outcome = door("ntune", [*ARGUMENTS, "--preview", "trainer.resume_at=6", "trainer.updates=8"])
    assert outcome.status == 0, outcome.err
    assert "2 permutations, 2 jobs, 128 environment steps" in outcome.out
    assert "by 3 updates of 2 permutations" in outcome.out


@pytest.mark.slow
def test_of_jobs_that_go_on_only_the_rest_is_told(door, tiny, tmp_path):
    write_space(tmp_path, "hyperparameters: {gamma: [0.9, 0.99]}")
    common = [*ARGUMENTS, "model.checkpoint_interval=1"]
    assert door("ntune", common).status == 0
    (tmp_path / "out/run/1/0/result.json").unlink()
    (tmp_path / "out/run/1/0/checkpoints/run-2.pt").unlink()
    again = door("ntune", common)
    assert "1 permutation, 1 job, 32 environment steps" in again.err, again.err
    longer = door("ntune", [*common, "trainer.updates=5", "hydra.sweeper.extend=true"])
    assert longer.status == 0, longer.err
    assert "2 permutations, 2 jobs, 192 environment steps" in longer.err
    assert {row["env_steps"] for row in table(tmp_path / "out/run")} == {"160"}


@pytest.mark.slow
def test_the_cost_is_estimated_from_jobs_that_are_done(door, tiny, tmp_path):
    write_space(tmp_path, "hyperparameters: {gamma: [0.9]}")
    assert door("ntune", ARGUMENTS).status == 0
    more = door("ntune", [*ARGUMENTS, "--num-repetitions=2"])
    assert "1 permutation, 1 job, 64 environment steps" in more.err
    assert "by the jobs that are done" in more.err
    again = door("ntune", [*ARGUMENTS, "--num-repetitions=2", "--cfg", "job"])
    assert "# 1 permutation, 2 jobs, 128 environment steps" in again.out
    assert "by the jobs that are done" in again.out


def test_only_some_of_the_cost_is_that_of_the_jobs_asked_for(door, tiny, tmp_path):
    write_space(tmp_path, "hyperparameters: {worker_steps: [16, 32, 64]}")
    dry = door("ntune", [*ARGUMENTS, "--cfg", "job", "hydra.sweeper.only=[0,2]"])
    assert f"# 2 permutations, 2 jobs, {(16 + 64) * 2 * 2} environment steps" in dry.out


@pytest.mark.slow
def test_a_sweep_changed_five_times_and_killed_in_between_loses_nothing(tiny, tmp_path):
    """A choice is added, one dropped, a key added, repetitions raised, the order changed."""
    tiny.write_text(tiny.read_text().replace("updates: 2", "updates: 12"))
    changes = [
        ("hyperparameters: {gamma: [0.9, 0.99]}", 1),
        ("hyperparameters: {gamma: [0.9, 0.95, 0.99]}", 1),
        ("hyperparameters: {gamma: [0.95, 0.99]}", 1),
        ("hyperparameters: {gamma: [0.95, 0.99], epochs: [4, 1]}", 1),
        ("hyperparameters: {gamma: [0.95, 0.99], epochs: [4, 1]}", 2),
        ("hyperparameters: {epochs: [1, 4], gamma: [0.9, 0.99, 0.95]}", 2),
    ]
    sweep = tmp_path / "out/run"
    trained: dict[tuple[str, ...], str] = {}
    for text, laps in changes:
        write_space(tmp_path, text)
        command = [*ARGUMENTS, f"--num-repetitions={laps}", "hydra.sweeper.extend=true"]
        killed = start(tmp_path, *command)
        before = len(list(sweep.glob("*/*/result.json")))
        wait_for(lambda before=before, killed=killed: _has_begun(sweep, before, killed))
        killed.kill()
        killed.wait()
        wait_for(lambda killed=killed: not processes_of(killed.pid))
        process = start(tmp_path, *command)
        output, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, output
        rows = table(sweep)
        for row in rows:
            key = (row["trainer.gamma"], row.get("trainer.epochs") or "4", row["seed"])
            # A job that trained again would have taken another time.
            assert trained.setdefault(key, row["wall_seconds"]) == row["wall_seconds"]
        listed = [row for row in rows if row.get("dropped") != "true"]
        permutations = [int(row["permutation"]) for row in listed]
        assert sorted(set(permutations)) == list(range(len(listed) // laps))
    assert len(trained) == 2 * 6
    assert {row["status"] for row in table(sweep)} == {"completed"}
    assert "dropped" not in table(sweep)[0]


def _has_begun(sweep: Path, before: int, process: subprocess.Popen[str]) -> bool:
    """Whether a sweep has more results than before, or is being extended."""
    try:
        results = len(list(sweep.glob("*/*/result.json")))
    except FileNotFoundError:  # a directory moves just now
        return True
    return process.poll() is not None or results > before or any(sweep.glob(".extension*"))


def test_choices_that_do_nothing_are_told_at_their_line(door, tiny, tmp_path):
    (tmp_path / "space.yaml").write_text(
        "hyperparameters:\n  gamma: [0.9, 0.99]\n  evaluation.interval: [5, 10]\n"
        "  vis_encoder: [cnn, rescnn]\n"
    )
    outcome = door("ntune", ["--config=tiny.yaml", "--tune=space.yaml", "--cfg", "job"])
    assert outcome.status == 0
    told = [line for line in outcome.err.splitlines() if "no effect" in line]
    assert len(told) == 2
    assert "space.yaml:3: evaluation.interval: has no effect where evaluate is false" in told[0]
    assert "space.yaml:4: model.vis_encoder: has no effect since CartPole-v1 obs" in told[1]


@pytest.mark.slow
def test_failed_jobs_that_a_command_does_not_ask_for_are_tried_again_without_only(door, failing):
    failing.write_text("hyperparameters:\n  environment.reset_params.how: ['', raise]\n")
    assert "Run the same command again to try" in door("ntune", ARGUMENTS).out
    others = door("ntune", [*ARGUMENTS, "hydra.sweeper.only=[0]"])
    assert "Run it without hydra.sweeper.only to try the failed jobs again." in others.out
    retry = "hydra.sweeper.retry_failed"
    others = door("ntune", [*ARGUMENTS, "hydra.sweeper.only=[0]", f"{retry}=false"])
    assert f"Run it without hydra.sweeper.only and with {retry}=true to try" in others.out
    failed = door("ntune", [*ARGUMENTS, "hydra.sweeper.only=[1]"])
    assert "Run the same command again to try" in failed.out


@pytest.mark.slow
def test_a_value_beside_some_choices_may_not_change_as_a_sweep_is_extended(door, tiny, tmp_path):
    """Those permutations would have other trainings than they say."""
    tiny.write_text(tiny.read_text().replace("updates: 2", "updates: 1"))
    write_space(tmp_path, "hyperparameters:\n  model/memory: [none, gru]\n")
    size = "model.recurrence.hidden_state_size"
    assert door("ntune", [*ARGUMENTS, f"{size}=4"]).status == 0
    write_space(tmp_path, "hyperparameters:\n  model/memory: [none, gru, lstm]\n")
    extend = "hydra.sweeper.extend=true"
    refused = door("ntune", [*ARGUMENTS, extend, f"{size}=8"])
    assert refused.status == 2
    assert f"{size}: there 4, now 8" in refused.err
    assert "You can use another --run-id or --out; or remove it.\n" in refused.err
    more = door("ntune", [*ARGUMENTS, extend, f"{size}=4"])
    assert more.status == 0, more.err
    assert "2 of 3 jobs are done already" in more.err
