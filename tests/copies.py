"""Copies the project, so that tests can add to it as the docs describe."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import PROJECT
from tests.patience import PATIENCE


def copy_project(directory: Path) -> Path:
    """Copies the code and configs that a training needs to a directory."""
    for name in ("neroRL", "hydra_plugins", "conf", "train.py"):
        source = PROJECT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, directory / name)
    return directory


def run_in(project: Path, command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command that starts with ``python`` in a copy, with the copy's packages."""
    return subprocess.run(
        [sys.executable, *command.removeprefix("python ").split()],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
