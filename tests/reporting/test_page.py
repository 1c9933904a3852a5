"""Tests the page as a file: what it says, and that no user's text becomes markup or code."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from neroRL.records.results import FAILED, JobResult
from neroRL.reporting.ranking import rank
from neroRL.reporting.ranking_files import Written
from neroRL.reporting.report_files import write_report
from tests.reporting.landscapes import grid, jobs, sweep_of

EVIL = "</script><script>window.evil=1</script><b onclick='x'>\"&amp;${evil}$x_1$"


def page_of(sweep, out, confirmation=None):
    ranking = rank(sweep.results, sweep.jobs_a_lap)
    written = Written(out / "ranking.csv", out / "best.yaml")
    return write_report(out, sweep, ranking, written, confirmation).read_text()


class _Reader(HTMLParser):
    """Collects elements, text and references to other places."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.references, self.ids = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        self.elements.append((tag, told))
        self.references += [
            told[name] for name in ("src", "href", "srcset", "action") if name in told
        ]
        self.ids += [told["id"]] if "id" in told else []


@pytest.fixture(scope="module")
def evil(tmp_path_factory):
    """Makes a sweep whose values, errors and names could break the page."""
    directory = tmp_path_factory.mktemp("evil") / "<i>run"
    directory.mkdir()
    failed = [JobResult(3, 1, 1, FAILED, error=EVIL, directory="3/1")]
    values = np.array([[1.0, 2.0], [2.0, 3.0], [2.5, 3.5], [1.0, np.nan]])
    axes = {"trainer.note": [EVIL, "plain"], f"x.{EVIL}": [1, 2]}
    sweep = sweep_of(directory, axes, values, failed, command=EVIL, versions={EVIL: EVIL})
    return page_of(sweep, directory / "report")


def test_no_text_of_a_user_becomes_markup(evil):
    reader = _Reader(evil)
    scripts = [told for tag, told in reader.elements if tag == "script"]
    assert len(scripts) == 4
    assert not any("onclick" in told for _, told in reader.elements)
    assert "<script>window.evil" not in evil
    # Plotly would render tags in its texts, so they must arrive as entities.
    charts = re.search(r'id="charts">(.*?)</script>', evil, re.S)[1]
    assert "<" not in charts
    assert "\\u003cscript" not in charts
    assert "\\u0026lt;/script" in charts
    assert "&lt;/script&gt;&lt;script&gt;" in evil


def test_the_page_refers_to_nothing_outside(evil):
    reader = _Reader(evil)
    assert reader.references
    assert all(one.startswith(("#", "data:")) for one in reader.references)
    assert all(one[1:] in reader.ids for one in reader.references if one.startswith("#"))
    assert len(set(reader.ids)) == len(reader.ids)
    policy = [told["content"] for _, told in reader.elements if "http-equiv" in told]
    assert policy[0].startswith("default-src 'none'")
    assert "url(" not in re.search(r"<style>(.*?)</style>", evil, re.S)[1]


def test_a_table_stands_behind_every_chart(evil):
    reader = _Reader(evil)
    charts = [told for tag, told in reader.elements if told.get("class") == "chart"]
    assert len(charts) >= 7
    for told in charts:
        assert told["role"] == "img"
        assert told["aria-label"]
        assert f"{told['id']}-table" in reader.ids


def test_the_headline_is_the_confirmation_if_there_is_one(tmp_path):
    values = np.array([[1.0, 1.2, 1.1], [5.0, 5.2, 5.1]])
    (tmp_path / "run").mkdir()
    sweep = sweep_of(tmp_path / "run", {"a.b": [1, 2]}, values)
    text = page_of(sweep, tmp_path / "report")
    assert "<h1>Permutation 1 won</h1>" in text
    assert "over 3 repetitions." in text
    assert "Intervals of fewer than 5 repetitions" in text
    assert "too good by selection" in text
    fresh = rank(jobs(grid({"a.b": [1, 2]}), np.array([[4.0] * 6, [3.0] * 6])), 2)
    text = page_of(sweep, tmp_path / "confirmed", fresh)
    assert "<h1>Permutation 1 won, but permutation 0 did better on fresh seeds</h1>" in text
    assert "interquartile mean 3, 95 % interval 3 to 3, over 6 fresh repetitions." in text
    assert "too good by selection" not in text


@pytest.mark.parametrize("values", [np.full((2, 1), np.nan), np.array([[1.0], [1.0]])])
def test_sweeps_without_numbers_have_a_page(tmp_path, values):
    """No job has completed, or all have the same objective."""
    (tmp_path / "run").mkdir()
    text = page_of(sweep_of(tmp_path / "run", {"a.b": [1, 2]}, values), tmp_path / "report")
    assert "Run it again" in text
    assert ("No permutation is ranked yet." in text) == bool(np.isnan(values).all())


def test_the_page_says_what_it_leaves_out(tmp_path):
    (tmp_path / "run").mkdir()
    values = np.random.default_rng(0).normal(size=(600, 2))
    sweep = sweep_of(tmp_path / "run", {"a.many": list(range(600))}, values)
    text = page_of(sweep, tmp_path / "report")
    assert "570 of 600 permutations are not shown here; ranking.csv has all." in text
    assert "the 20 choices with the largest effect are drawn" in text
    assert len(re.findall("<tr>", text)) < 1200


def test_figures_are_vector_and_raster(tmp_path):
    (tmp_path / "run").mkdir()
    values = np.random.default_rng(0).normal(size=(6, 3))
    sweep = sweep_of(tmp_path / "run", {"a.b": [1, 2, 3], "c.d": ["$x", "_{"]}, values)
    page_of(sweep, tmp_path / "report")
    for name in ("ranking", "curves", "marginals"):
        pdf = (tmp_path / f"report/figures/{name}.pdf").read_bytes()
        assert pdf.startswith(b"%PDF")
        assert b"/Type3" not in pdf
        png = (tmp_path / f"report/figures/{name}.png").read_bytes()
        assert png.startswith(b"\x89PNG")
