"""Tests that the tables of a sweep keep numbers and values whole on terminals of any width."""

from __future__ import annotations

import io

import numpy as np
import pytest

from neroRL.ranking.ranking import rank
from neroRL.reporting.comparison import Reported, print_comparison
from neroRL.reporting.summary import print_summary
from tests.reporting.landscapes import sweep_of

AXES = {
    "model/memory": ["gru"],
    "trainer.learning_rate_schedule.initial": [0.0003, 0.003],
}
VALUES = np.array([[10.125, 11.25, 12.5], [-1020.5, -1021.25, -1022.75]])
NUMBERS = ["permutation", "runs", "iqm", "95 % interval", "tied"]
ALL = [*NUMBERS[:4], "mean", "std", "tied", "values"]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _columns(text: str) -> dict[str, list[str]]:
    """Returns the cells of a table's columns; those of further lines are joined to them."""
    lines = text.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()
    (head,) = [line for line in lines if line.startswith("┃")]
    names = [name.strip() for name in head.strip("┃").split("┃")]
    rows: list[list[str]] = []
    for line in [line for line in lines if line.startswith("│")]:
        cells = [cell.strip() for cell in line.strip("│").split("│")]
        if cells[names.index("iqm")]:
            rows.append(cells)
        else:
            rows[-1] = [a + b for a, b in zip(rows[-1], cells, strict=True)]
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


@pytest.fixture
def printed(tmp_path, monkeypatch):
    sweep = sweep_of(tmp_path, AXES, VALUES)
    ranking = rank(sweep.results, 2)

    monkeypatch.setenv("TERM", "xterm")  # rich takes a dumb terminal to have 80 columns

    def tables(width):
        monkeypatch.setenv("COLUMNS", str(width))
        found = []
        for stream in [io.StringIO() if width is None else _Terminal() for _ in range(2)]:
            if found:
                print_comparison([Reported(sweep, ranking)] * 2, stream)
            else:
                print_summary(sweep.results, ranking, "out", stream)
            found.append(_columns(stream.getvalue()))
        return found

    return tables


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (None, ALL),
        (160, ALL),
        (80, [*NUMBERS, "values"]),
        (50, ["permutation", "iqm", "values"]),
        (20, ["permutation", "iqm", "values"]),
    ],
)
def test_a_ranking_has_whole_numbers_and_values_at_any_width(printed, width, shown):
    full, (columns, _) = printed(None)[0], printed(width)
    assert list(columns) == shown
    for name in shown:
        told = [cell.replace(" ", "") if name == "values" else cell for cell in full[name]]
        found = [cell.replace(" ", "") if name == "values" else cell for cell in columns[name]]
        assert found == told
    values = "model/memory=grutrainer.learning_rate_schedule.initial=0.0003"
    assert columns["values"][0].replace(" ", "") == values


@pytest.mark.parametrize("width", [20, 50, 80])
def test_a_comparison_has_whole_paths_numbers_and_values_at_any_width(printed, width, tmp_path):
    _, columns = printed(width)
    assert columns["sweep"] == [str(tmp_path)] * 2
    assert columns["iqm"] == ["11.29"] * 2
    values = "model/memory=grutrainer.learning_rate_schedule.initial=0.0003"
    assert [cell.replace(" ", "") for cell in columns["values"]] == [values] * 2
    assert ("interval" in columns) == (width == 80)
    assert "permutation" not in columns


def test_a_file_has_the_width_of_160_whatever_the_terminal_has(printed):
    assert list(printed(None)[1]) == [
        "sweep", "permutation", "runs", "seeds", "iqm", "interval", "values"
    ]  # fmt: skip
