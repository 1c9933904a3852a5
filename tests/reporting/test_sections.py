"""Tests that the sections of the page say what is true of the sweep at hand."""

from __future__ import annotations

import numpy as np
import pytest

from neroRL.ranking.ranking import rank
from neroRL.reporting.analysis.analysis import analyse
from neroRL.reporting.page.sections import sections
from tests.reporting.landscapes import sweep_of


def _sections(directory, axes, values):
    sweep = sweep_of(directory, axes, np.asarray(values))
    found = sections(analyse(sweep, rank(sweep.results, sweep.jobs_a_lap)))
    return {section.id: section for section in found}


@pytest.mark.parametrize(("count", "has"), [(41, "; the table has all"), (251, "")])
def test_what_is_left_out_is_where_the_page_says(tmp_path, count, has):
    values = np.random.default_rng(0).normal(size=(count, 1))
    found = _sections(tmp_path, {"a.b": list(range(count))}, values)["improvement"]
    left = f"{count - 31} of {count - 1} permutations are not shown here"
    assert found.notes == [f"{left}{has}."]
    (chart,) = found.charts
    if has:
        assert len(chart.table.rows) == count - 1
        assert chart.table.note == ""
    else:
        assert chart.table.note == "50 of 250 permutations are not shown here."
