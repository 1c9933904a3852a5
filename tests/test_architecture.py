"""Tests that dependencies point one way, light modules stay light, and modules stay small."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
PACKAGE = PROJECT / "neroRL"
MODULES = sorted([*PACKAGE.rglob("*.py"), *(PROJECT / "hydra_plugins").rglob("*.py")])
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 320, 60
# The parts of neroRL that each package, or low module, may import besides itself.
WORDS = {"errors", "texts"}
FOUNDATION = WORDS | {
    "files",
    "locks",
    "patching",
    "seeds",
    "signals",
    "streams",
    "cores",
    "config",
    "records",
}
ALLOWED = {
    "records": WORDS | {"files", "cores", "config", "__init__"},
    "config": WORDS | {"files"},
    "environments": WORDS | {"config", "leases", "seeds", "signals"},
    "models": WORDS | {"config", "environments"},
    "acting": WORDS | {"config", "environments", "models"},
    "training": FOUNDATION | {"environments", "models", "acting"},
    "evaluation": FOUNDATION
    | {"composition", "environments", "models", "acting", "training", "ranking", "reporting"},
    "viewing": WORDS | {"files", "pages", "environments", "acting", "evaluation"},
    "ranking": FOUNDATION,
    "reporting": FOUNDATION | {"composition", "ranking", "pages"},
    "composition": FOUNDATION | {"environments"},
    "sweep": FOUNDATION | {"composition", "ranking", "reporting"},
    "files": WORDS,
    "leases": WORDS,
    "locks": WORDS,
    "devices": {"leases"},
    "signals": {"patching"},
    **{
        name: set()
        for name in ("cores", "errors", "pages", "patching", "seeds", "streams", "texts")
    },
}


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "neroRL":
            parts = str(node.module).split(".")
            found |= {parts[1]} if len(parts) > 1 else {a.name for a in node.names}
        elif isinstance(node, ast.Import):
            parts = [a.name.split(".") for a in node.names]
            found |= {of[1] for of in parts if of[0] == "neroRL" and len(of) > 1}
    return {"__init__" if name.startswith("__") else name for name in found}


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_dependencies_point_one_way(package):
    paths = [*(PACKAGE / package).rglob("*.py"), *PACKAGE.glob(f"{package}.py")]
    assert paths
    for path in paths:
        surplus = _imports(path) - ALLOWED[package] - {package}
        assert not surplus, f"{path.relative_to(PACKAGE)} imports {surplus}"


def test_models_know_environments_by_their_specification_only():
    for path in (PACKAGE / "models").rglob("*.py"):
        for line in path.read_text().splitlines():
            if line.startswith("from neroRL.environments"):
                assert line.startswith("from neroRL.environments.specification"), path


LIGHT = [
    "neroRL.flags",
    "neroRL.enjoy",
    "neroRL.eval",
    "neroRL.sweep.engine",
    "neroRL.environments.registry",
    "neroRL.environments.trial",
    "neroRL.records.sweeps",
]


def test_light_modules_do_not_import_torch():
    """In one process, which names the first that does."""
    code = (
        "import importlib, sys\n"
        "for module in sys.argv[1:]:\n"
        "    importlib.import_module(module)\n"
        "    if 'torch' in sys.modules: sys.exit(module)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *LIGHT], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("door", ["tune", "train", "report", "eval", "eval_checkpoints", "enjoy"])
def test_what_takes_long_to_import_is_imported_where_an_interrupt_is_handled(door):
    code = (
        f"import sys, neroRL.{door}\n"
        "print(*{'numpy', 'pydantic', 'omegaconf', 'hydra', 'yaml'}.intersection(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []


def test_a_sweep_does_without_plotting_libraries():
    code = (
        "import sys, neroRL.tune, neroRL.sweep.conclusion, neroRL.report\n"
        "sys.exit(any(name in sys.modules for name in ('plotly', 'matplotlib', 'jinja2')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_hydras_discovery_of_the_sweeper_stays_light():
    """Every Hydra command imports the plugin, also those of other applications."""
    code = (
        "import sys; from hydra.core.plugins import Plugins; Plugins.instance()\n"
        "assert 'NeroRLSweeper' in str(Plugins.instance().discover())\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'pydantic', 'ruamel.yaml')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_modules_and_functions_stay_small(path):
    text = path.read_text()
    assert len(text.splitlines()) <= MOST_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < MOST_LINES_OF_A_FUNCTION, node.name


def test_no_module_is_named_like_the_standard_library():
    names = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    assert not names & set(sys.stdlib_module_names)
