"""Runs benchmarks of neroRL and its peers in turn, and writes the tables.

python -m benchmarks                  everything, 5 rounds
python -m benchmarks W2 W4 --rounds 9
"""

from __future__ import annotations

import argparse
import datetime
import json
import shlex
import sys
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

from benchmarks import (
    ablation,
    busy,
    curves,
    environments,
    grid,
    learning,
    overhead,
    precision,
    raced,
    racing,
    report,
    scaling,
    start,
    ties,
    training,
)
from benchmarks.measuring import ROOT, machine, versions
from benchmarks.workloads import WORKLOADS

RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- results -->", "<!-- /results -->"
SECTIONS: dict[str, ModuleType] = {
    "W6": overhead,
    "W7": grid,
    "raced": raced,
    "environments": environments,
    "ablation": ablation,
    "curves": curves,
    "learning": learning,
    "scaling": scaling,
    "report": report,
    "racing": racing,
    "busy": busy,
    "precision": precision,
    "start": start,
    "ties": ties,
}
RUNS: dict[str, Callable[[int], dict[str, Any]]] = {
    **{name: partial(training.run, name) for name in WORKLOADS},
    **{name: module.run for name, module in SECTIONS.items()},
}


def markdown(results: dict[str, Any]) -> str:
    """Returns the tables of everything that was measured."""
    values = {name: results[name]["values"] for name in RUNS if name in results}
    parts = [training.table({name: values[name] for name in WORKLOADS if name in values})]
    parts += [module.table(values[name]) for name, module in SECTIONS.items() if name in values]
    return "\n".join([*parts, *_measured_with(results)])


def _measured_with(results: dict[str, Any]) -> list[str]:
    """Returns a line for each machine and set of versions, with the names of what it measured."""
    names: dict[str, list[str]] = {}
    for name in RUNS:
        if name in results:
            told = results[name] if "machine" in results[name] else results
            of = ", ".join(f"{package} {version}" for package, version in told["versions"].items())
            line = f"{told['machine']['cpu']}, {told['machine']['cores']} cores; {of}.\n"
            names.setdefault(line, []).append(name)
    if len(names) == 1:
        return list(names)
    return [f"{', '.join(measured)}: {line}" for line, measured in names.items()]


def write(results: dict[str, Any]) -> None:
    """Writes the results as JSON and Markdown, and the tables into the documentation."""
    (RESULTS / "latest.json").write_text(json.dumps(results, indent=2) + "\n")
    text = markdown(results)
    (RESULTS / "latest.md").write_text(text)
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def main() -> None:
    """Measures the chosen benchmarks; results of others stay as they were."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(RUNS)} [all]")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(RUNS)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(RUNS)}")
    RESULTS.mkdir(exist_ok=True)
    latest = RESULTS / "latest.json"
    results: dict[str, Any] = json.loads(latest.read_text()) if latest.is_file() else {}
    command = shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])
    for name in arguments.names or RUNS:
        measured = RUNS[name](arguments.rounds)
        day = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
        about = {"rounds": arguments.rounds, "command": command, "date": day}
        results[name] = {"values": measured, **about, "versions": versions(), "machine": machine()}
        write(results)
    print(markdown(results))


if __name__ == "__main__":
    main()
