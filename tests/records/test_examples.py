"""The examples in the docstrings run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import neroRL.records

MODULES = [module.name for module in pkgutil.iter_modules(neroRL.records.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(f"neroRL.records.{name}")).failed == 0


def test_there_are_examples():
    modules = [importlib.import_module(f"neroRL.records.{name}") for name in MODULES]
    documented = {test.name.rpartition(".")[2] for module in modules
                  for test in doctest.DocTestFinder().find(module) if test.examples}  # fmt: skip
    assert {"read_result", "read_progress", "read_record", "read_sweep"} <= documented
