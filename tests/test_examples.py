"""Runs the examples in docstrings."""

from __future__ import annotations

import doctest
import importlib

import pytest

# Functions whose docstrings have an example, by module.
EXAMPLES = {
    "neroRL.composition.choices": ["settled"],
    "neroRL.config.counterparts": ["counterpart"],
    "neroRL.config.convolutions": ["allowed_sizes"],
    "neroRL.environments.specification": ["MixedSpace"],
    "neroRL.environments.vector.moments": ["RunningMoments"],
    "neroRL.models.distributions.bernoulli": ["Bernoullis"],
    "neroRL.models.distributions.categorical": ["Categoricals"],
    "neroRL.models.distributions.gaussian": ["Gaussian"],
    "neroRL.models.distributions.mixed": ["SideBySide"],
    "neroRL.models.memory.interface": ["Memory"],
    "neroRL.records.job_progress": ["read_progress"],
    "neroRL.records.results": ["read_result"],
    "neroRL.records.sweep_record": ["read_record"],
    "neroRL.records.sweeps": ["read_sweep"],
    "neroRL.reporting.cells": ["cells", "run_name"],
    "neroRL.reporting.page.parts": ["distinct", "number"],
    "neroRL.sweep.grid": ["Grid"],
    "neroRL.training.rollout": ["collect"],
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples(name):
    module = importlib.import_module(name)
    found = {test.name.rpartition(".")[2] for test in doctest.DocTestFinder().find(module)
             if test.examples}  # fmt: skip
    assert found >= set(EXAMPLES[name])
    assert found
    assert not doctest.testmod(module).failed
