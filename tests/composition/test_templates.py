"""Compares jobs that are composed from templates with those that Hydra composes from scratch."""

from __future__ import annotations

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from neroRL.composition.overrides import parse
from neroRL.composition.source import shipped_conf
from neroRL.composition.templates import TemplateLoader

SWEEP = ["hydra.sweeper.job.sweep='a1'", "hydra.sweeper.job.shown_as_text=['trainer.epochs']"]
MASTER = ["trainer.epochs=2", "hydra/sweeper=nerorl"]
KEYS = "hydra.sweeper.job.keys=['trainer.gamma','trainer.epochs']"
JOBS = [
    ["trainer.gamma=0.9", *SWEEP, "hydra.sweeper.job.permutation=0", KEYS],
    ["trainer.gamma=0.99", *SWEEP, "hydra.sweeper.job.permutation=1", KEYS],
    ["model/memory=gru", "trainer.gamma=0.9", *SWEEP, "hydra.sweeper.job.keys=['trainer.gamma']"],
    ["trainer.gamma=0.5", "hydra.sweeper.job.sweep='b2'", "hydra.sweep.subdir=7/1"],
    ["seed=3"],
]


@pytest.mark.parametrize("order", [1, -1])
def test_a_job_of_a_template_equals_one_from_scratch(order):
    with initialize_config_dir(str(shipped_conf()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        master = loader.load_configuration("minigrid", MASTER, RunMode.MULTIRUN)
        fast = TemplateLoader(loader, parse)
        for overrides in JOBS[::order]:
            expected = loader.load_sweep_config(master, list(overrides))
            composed = fast.load_sweep_config(master, overrides)
            assert OmegaConf.to_yaml(composed) == OmegaConf.to_yaml(expected)
            recorded = composed.hydra.overrides.hydra
            assert list(recorded)[1:] == [text for text in overrides if text.startswith("hydra.")]
            recorded.append("hydra.verbose=true")  # the list goes on working as OmegaConf's
            assert recorded[len(recorded) - 1] == "hydra.verbose=true"
