"""Follows the page on adding an environment in a copy of the project."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.copies import copy_project, run_in

PAGE = (PROJECT / "docs/add_environment.md").read_text()
FILES = re.findall(r"^`(\S+)`\n\n```\w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
(LINE,) = re.findall(r'^```python\n(    "\w+": ".*?)^```', PAGE, re.MULTILINE | re.DOTALL)
TRAIN, SWEEP = re.findall(r"^```\n(python train.py .*)\n```", PAGE, re.MULTILINE)
(REFUSED,) = re.findall(r"^```\n\$ (python train.py .*\n.*)\n```", PAGE, re.MULTILINE)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy with the environment added."""
    copy_project(tmp_path)
    assert [name for name, _ in FILES] == [
        "neroRL/environments/corridor.py",
        "conf/environment/corridor.yaml",
    ]
    for name, content in FILES:
        (tmp_path / name).write_text(content)
    registry = tmp_path / "neroRL/environments/registry.py"
    registry.write_text(registry.read_text().replace("TYPES = {\n", f"TYPES = {{\n{LINE}"))
    return tmp_path


def _results(project: Path) -> list[dict]:
    return [json.loads(path.read_text()) for path in project.glob("**/result.json")]


@pytest.mark.slow
def test_the_added_environment_is_learned(project):
    done = run_in(project, f"{TRAIN} seed=1 threads=1")
    assert done.returncode == 0, done.stderr
    (result,) = _results(project)
    assert (result["status"], result["updates"]) == ("completed", 15)
    assert result["reward_mean"] > 0.6  # at random it is 0.5
    command, message = REFUSED.split("\n")
    refused = run_in(project, command)
    assert refused.returncode == 2
    assert message in refused.stderr


@pytest.mark.slow
def test_its_parameters_are_tuned(project):
    done = run_in(project, SWEEP)
    assert done.returncode == 0, done.stderr
    assert [result["status"] for result in _results(project)] == ["completed"] * 4
