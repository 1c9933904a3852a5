"""Compares the configs of jobs with a naive product and with Hydra's own composition."""

from __future__ import annotations

import copy
import itertools
import math

import hydra
import pytest
import yaml
from hydra import compose, initialize_config_dir
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from neroRL.composition.completion import defaults
from neroRL.composition.source import shipped_conf
from neroRL.config.documents import dump_yaml

# For each key: its names in a tuning file, and choices that are valid with all others.
CHOICES = {
    "trainer.gamma": (["gamma", "trainer.gamma"], [0.9, 0.99, 1, 0.5]),
    "trainer.epochs": (["epochs"], [1, 2, 3]),
    "sampler.worker_steps": (["worker_steps", "sampler.worker_steps"], [16, 32, 64]),
    "sampler.n_workers": (["num_workers", "sampler.n_workers"], [4, 8]),
    "model.activation": (["activation"], ["relu", "elu", "swish"]),
    "model.model_path": (["model_path"], ["a,b", "it's = {x}", "1e3", "null", "", " x "]),
    "environment.resize_vis_obs": (["resize_vis_obs"], [[84, 84], [64, 48]]),
    "environment.grayscale": (["grayscale"], [True, False]),
    "evaluation.n_workers": (["evaluation.n_workers"], [1, 2]),
    "trainer.beta_schedule.max_decay_steps": (
        ["trainer.beta_schedule.max_decay_steps", "max_decay_steps@beta_schedule"],
        [None, 10],
    ),
    "trainer.learning_rate_schedule.initial": (
        ["initial@learning_rate_schedule"],
        [3e-4, 1e-3, 3e-4],
    ),
    "run_id": (["run_id"], ["x", "y/z"]),
}


@st.composite
def tuning_files(draw):
    keys = draw(st.permutations(sorted(CHOICES)))[: draw(st.integers(1, 4))]
    sections: dict[str, dict[str, list]] = {}
    axes: list[tuple[str, list]] = []
    for key in keys:
        names, values = CHOICES[key]
        name = draw(st.sampled_from(names))
        chosen = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3))
        bare, _, section = name.partition("@")
        sections.setdefault(section or "hyperparameters", {})[bare] = chosen
    for section, content in sections.items():
        for bare, chosen in content.items():
            path = next(
                key
                for key, (names, _) in CHOICES.items()
                if (f"{bare}@{section}" if section != "hyperparameters" else bare) in names
            )
            axes.append((path, chosen))
    return sections, axes


def _with(config: dict, path: str, value) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        config = config[parent]
    config[last] = value


@pytest.mark.slow
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tuning_files())
def test_jobs_equal_an_independent_product(door, tmp_path, tuning_file):
    sections, axes = tuning_file
    (tmp_path / "tune.yaml").write_text(dump_yaml(sections))
    base = {"environment": {"type": "CartPole", "name": "CartPole-v1"}, "seed": 4}
    (tmp_path / "base.yaml").write_text(yaml.safe_dump(base))
    outcome = door(
        "train", ["--config-path=.", "--config-name=base", "-m", "--cfg=job",
                  "hydra.sweeper.tune=tune.yaml"]
    )  # fmt: skip
    assert outcome.status == 0, outcome.err

    expected_base = defaults()
    expected_base["environment"] |= base["environment"]
    expected_base["environment"]["reset_params"] = {
        "start-seed": 0, "num-seeds": 100, "mask-velocity": False
    }  # fmt: skip
    expected_base["seed"] = 4
    expected = []
    for values in itertools.product(*(choices for _, choices in axes)):
        config = copy.deepcopy(expected_base)
        for (path, _), value in zip(axes, values, strict=True):
            _with(config, path, value)
        expected.append(config)
    jobs = list(yaml.safe_load_all(outcome.out))
    assert jobs == expected
    assert len(jobs) == math.prod(len(choices) for _, choices in axes)


@pytest.mark.slow
def test_jobs_equal_hydras_own_composition(door, tmp_path):
    (tmp_path / "tune.yaml").write_text(
        "hyperparameters:\n"
        "  model/memory: [gru, none, lstm]\n"
        "  environment: [cartpole, minigrid_vec]\n"
        "  gamma: [0.9, 0.95]\n"
        "learning_rate_schedule:\n  initial: [0.001]\n"
    )
    outcome = door(
        "train",
        ["-m", "--cfg=job", "hydra.sweeper.tune=tune.yaml", "trainer.epochs=2,3", "seed=1"],
    )
    assert outcome.status == 0, outcome.err
    jobs = list(yaml.safe_load_all(outcome.out))
    grid = itertools.product(
        ["gru", "none", "lstm"], ["cartpole", "minigrid_vec"], [0.9, 0.95], [0.001], [2, 3]
    )
    hydra.core.global_hydra.GlobalHydra.instance().clear()
    with initialize_config_dir(str(shipped_conf()), version_base="1.3"):
        expected = [
            OmegaConf.to_container(
                compose(
                    "default",
                    [
                        f"model/memory={memory}",
                        f"environment={environment}",
                        f"trainer.gamma={gamma}",
                        f"trainer.learning_rate_schedule.initial={rate}",
                        f"trainer.epochs={epochs}",
                        "seed=1",
                    ],
                )
            )
            for memory, environment, gamma, rate, epochs in grid
        ]
    assert jobs == expected


@pytest.mark.parametrize("overrides", [[], ["hydra.sweeper.duplicates=drop"]])
def test_the_documented_example_has_48_permutations(door, overrides):
    outcome = door("train", ["-m", "--cfg=job", "hydra.sweeper.tune=example", *overrides])
    jobs = list(yaml.safe_load_all(outcome.out))
    assert len(jobs) == (32 if overrides else 48)
    assert {job["sampler"]["n_workers"] for job in jobs} == {8, 16}
    assert "16 of 48 permutations repeat another" in outcome.err or overrides
    fastest = [job["trainer"]["beta_schedule"]["initial"] for job in jobs[:3]]
    assert fastest == ([0.01, 0.001, 0.01] if overrides else [0.01, 0.001, 0.001])


def test_a_config_without_a_defaults_list_takes_groups(door, tiny, tmp_path):
    (tmp_path / "tune.yaml").write_text("hyperparameters:\n  model/memory: [none, lstm]\n")
    arguments = [f"--config={tiny}", "--tune=tune.yaml", "--cfg=job", "sampler.worker_steps=32"]
    outcome = door("ntune", arguments)
    assert outcome.status == 0, outcome.err
    first, second = (job["model"] for job in yaml.safe_load_all(outcome.out))
    assert first["recurrence"] is None
    assert second["recurrence"]["layer_type"] == "lstm"
    assert first["num_hidden_units"] == second["num_hidden_units"] == 8


def test_a_dry_run_creates_nothing(door, tmp_path):
    door("train", ["-m", "--cfg=job", "hydra.sweeper.tune=example"])
    door("train", ["--cfg=job"])
    assert list(tmp_path.iterdir()) == []


def test_each_config_is_headed_by_its_number_and_overrides(door, tiny):
    outcome = door(
        "train",
        ["--config-path=.", "--config-name=tiny", "-m", "--cfg", "job", "trainer.gamma=0.9,0.8"],
    )
    cost = "# 2 permutations, 2 jobs, 128 environment steps\n"
    assert outcome.out.startswith(cost)
    assert "---\n# job 0: trainer.gamma=0.9 seed=5\nenvironment:\n" in outcome.out
    assert "---\n# job 1: trainer.gamma=0.8 seed=5\n" in outcome.out
