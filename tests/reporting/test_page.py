"""Tests the page as a file: what it says, and that no user's text becomes markup or code."""

from __future__ import annotations

import dataclasses
import html
import itertools
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.image import imread
from scipy import stats

from neroRL.ranking.ranking import rank
from neroRL.records.results import FAILED, STOPPED, JobResult
from neroRL.records.sweep_record import SweepRecord
from neroRL.records.sweeps import read_sweep
from neroRL.reporting import figures
from neroRL.reporting.analysis.analysis import analyse
from neroRL.reporting.page.winner import difference
from neroRL.reporting.ranking_files import Written
from neroRL.reporting.report_files import write_report
from tests.reporting.landscapes import jobs, landscape, sweep_of

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
    # Plotly would render tags in its texts, so they must arrive as entities; ticks of parallel
    # coordinates it shows as they are.
    charts = re.search(r'id="charts">(.*?)</script>', evil, re.S)[1]
    assert "<" not in charts
    figures = json.loads(charts)
    (lines,) = figures["parallel-chart"]["figure"]["data"]
    ticks = [one.pop("ticktext", []) for one in lines["dimensions"]]
    assert any("</scri" in text for text in itertools.chain(*ticks))
    assert "<script" not in json.dumps(figures)
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
    assert "seeds of the confirmation" not in text
    assert "Intervals of fewer than 5 repetitions" in text
    assert "too good by selection" in text
    text = _confirmed(sweep, np.array([[4.0] * 6, [3.0] * 6]))
    won = "<h1>Permutation 1 won in the tuning, but permutation 0 did better on fresh seeds</h1>"
    assert won in text
    reached = "interquartile mean 3, 95 % interval 3 to 3, over 6 repetitions on fresh seeds."
    assert reached in text
    assert "On fresh seeds: Permutation 0 is better than all others (at 95 %)." in text
    assert "too good by selection" not in text


def test_the_page_counts_the_permutations_that_cannot_work(tmp_path):
    sweep = sweep_of(tmp_path, {"a.b": [1, 2, 3]}, np.array([[1.0], [2.0], [np.nan]]))
    record = dataclasses.replace(sweep.record, jobs=2)
    record.write(tmp_path)
    tables = _tables(page_of(read_sweep(tmp_path), tmp_path / "report"))
    told = ["grid", "3 (1 cannot work) permutations, 1 repetition"]
    assert told in tables["checklist-table"]


def test_a_permutation_that_has_the_only_result_has_not_won(tmp_path):
    failed = [
        JobResult(1, lap, 1, FAILED, {"a.b": 2}, directory=f"1/{lap}", error="no") for lap in (0, 1)
    ]
    values = np.array([[1.0, 2.0], [np.nan, np.nan]])
    sweep = sweep_of(tmp_path, {"a.b": [1, 2]}, values, failed)
    text = page_of(sweep, tmp_path / "report")
    assert "<h1>Permutation 0 is the only one with a result</h1>" in text
    assert "No other permutation has a result to compare with." in text
    assert "too good by selection" not in text


def test_a_permutation_that_comes_first_with_more_jobs_did_not_do_better(tmp_path):
    """A job of the winner's confirmation failed, so it ranks below one with a lower mean."""
    (tmp_path / "run").mkdir()
    values = np.array([[1.0, 1.2, 1.1], [5.0, 5.2, 5.1]])
    sweep = sweep_of(tmp_path / "run", {"a.b": [1, 2]}, values)
    failed = JobResult(1, 2, 3, FAILED, {"a.b": 2}, directory="1/2", error="no")
    text = _confirmed(sweep, np.array([[3.0] * 3, [4.0, 4.0, np.nan]]), [failed])
    assert "<h1>Permutation 1 won in the tuning</h1>" in text
    told = "did not choose by these seeds; what 1 job would have reached is not in the number."
    assert told in text
    assert "unbiased" not in text


def _confirmed(sweep, values, failed=()):
    """Returns the page of a sweep with a confirmation of all its permutations."""
    below = sweep.directory / "confirmation"
    below.mkdir()
    sweep_of(below, sweep.record.axes, values, failed, id="-confirmation")
    sweep = read_sweep(sweep.directory)
    fresh = rank(sweep.confirmation.results, sweep.confirmation.jobs_a_lap)
    return page_of(sweep, sweep.directory / "confirmed", fresh)


def test_a_confirmation_whose_permutations_are_gone_is_no_section(tmp_path):
    (tmp_path / "run").mkdir()
    sweep = sweep_of(tmp_path / "run", {"a.b": [1, 2]}, np.array([[1.0], [2.0]]))
    assert "trained again on seeds" in _confirmed(sweep, np.full((2, 2), np.nan))
    below = sweep.directory / "confirmation"
    record = read_sweep(below).record
    dataclasses.replace(record, jobs=0).write(below)
    again = read_sweep(sweep.directory)
    text = page_of(again, tmp_path / "gone", rank(again.confirmation.results, 1))
    assert "trained again on seeds" not in text


def test_success_is_that_of_the_runs_that_count(tmp_path):
    """Permutation 1 lacks a repetition, so that of the other does not count yet."""
    sweep = sweep_of(tmp_path, {"a.b": [1, 2]}, np.array([[1.0, 2.0], [0.5, np.nan]]))
    shares = {(0, 0): 0.25, (1, 0): 0.5, (0, 1): 1.0}
    for result in sweep.results:
        share = shares[result.permutation, result.repetition]
        dataclasses.replace(result, success_mean=share).write(tmp_path / result.directory)
    tables = _tables(page_of(read_sweep(tmp_path), tmp_path / "page"))
    assert [row[2] for row in tables["success-chart-table"]] == ["0.25", "0.5"]


def test_the_page_names_the_seeds_of_a_confirmation_and_doubts_its_few_repetitions(tmp_path):
    (tmp_path / "run").mkdir()
    sweep = sweep_of(tmp_path / "run", {"a.b": [1]}, np.array([[1.0] * 6]))
    text = _confirmed(sweep, np.array([[1.0, 1.5]]))
    assert "trained again on seeds 1 to 2, which no tuning job had." in text
    assert ["seeds of the confirmation", "1 to 2"] in _tables(text)["checklist-table"]
    assert ["grid", "1 permutation, 6 repetitions"] in _tables(text)["checklist-table"]
    assert "<h1>Permutation 0 is the only one with a result in the tuning</h1>" in text
    assert "On fresh seeds: Intervals of fewer than 5 repetitions are not to be trusted." in text


def test_the_page_names_the_precisions_that_jobs_trained_in(tmp_path):
    sweep = sweep_of(tmp_path, {"a.b": [1, 2]}, np.array([[1.0], [2.0]]))

    def told():
        text = page_of(read_sweep(tmp_path), tmp_path / "page")
        return dict(_tables(text)["checklist-table"])["precision of a job"]

    assert told() == "not recorded"  # by versions before the key
    for result, precision in zip(sweep.results, ("float32", "bfloat16"), strict=True):
        dataclasses.replace(result, precision=precision).write(tmp_path / result.directory)
    assert told() == "bfloat16, float32"


def _tables(text):
    """Returns the rows of each table by the id of its caption."""
    found = re.findall(r'<caption id="([^"]+)">.*?<tbody>(.*?)</tbody>', text, re.S)
    return {
        name: [
            [html.unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)]
            for row in re.findall(r"<tr>(.*?)</tr>", body, re.S)
        ]
        for name, body in found
    }


def test_the_tables_hold_the_numbers_of_a_known_landscape(tmp_path):
    """One axis matters by itself, two only together, and one has no effect."""
    axes = {"k.alone": [0, 1, 2], "k.one": [0, 1], "k.two": [0, 1], "k.nothing": [0, 1]}
    _, values = landscape(
        axes, lambda p: 4.0 * p["k.alone"] + 6.0 * (p["k.one"] ^ p["k.two"]), 5, noise=0.5
    )
    (tmp_path / "run").mkdir()
    tables = _tables(page_of(sweep_of(tmp_path / "run", axes, values), tmp_path / "report"))
    cells = values.reshape(3, 2, 2, 2, 5)
    for index, key in enumerate(axes):
        means = np.moveaxis(cells, index, 0).reshape(len(axes[key]), -1).mean(axis=1)
        rows = tables[f"marginal-{index}-table"]
        assert [row[0] for row in rows] == [str(choice) for choice in axes[key]]
        told = [float(row[1]) for row in rows]
        assert told == pytest.approx(means - means.mean(), rel=1e-3, abs=1e-12)
        for row, effect in zip(rows, told, strict=True):
            low, high = map(float, row[2].split(" to "))
            assert (low + high) / 2 == pytest.approx(effect, rel=1e-2, abs=1e-3)
            assert row[3] == str(values.size // len(axes[key]))
    shares = tables["importance-chart-table"]
    told = {row[0]: float(row[1].rstrip(" %")) for row in shares}
    assert sum(told.values()) == pytest.approx(100.0, abs=1.0)
    effects = cells.mean(axis=(1, 2, 3, 4))
    assert told["alone"] == pytest.approx(100 * effects.var() / values.var(), abs=0.1)
    assert told["one × two"] == pytest.approx(100 * 9 / (32 / 3 + 9), abs=3.0)
    assert told["nothing"] < 1.0
    # Largest first, like the bars of the chart, which have the same names.
    names = [row[0] for row in shares]
    assert names[-2:] == ["all other interactions", "seeds"]
    for some in (names[:4], names[4:-2]):
        assert [told[name] for name in some] == sorted((told[n] for n in some), reverse=True)
    order = np.argsort(-stats.trim_mean(values, 0.25, axis=1))
    ranked = tables["ranking-chart-table"]
    assert [row[0].split()[0] for row in ranked] == [str(number) for number in order]


def test_a_section_that_is_gone_is_one_difference():
    recurrence = {"layer": "gru", "size": 8, "residual": False}
    base = {"model": {"recurrence": recurrence, "units": 4}, "seed": 1, "only": 1}
    found = difference(base, {"model": {"recurrence": None, "units": 5}, "seed": 2})
    assert found.rows == [
        ["model.recurrence", "…", "null"], ["model.units", "4", "5"], ["only", "1", "–"]
    ]  # fmt: skip
    added = difference({"recurrence": None}, {"recurrence": recurrence})
    assert [row[0] for row in added.rows] == [f"recurrence.{key}" for key in recurrence]


@pytest.mark.parametrize(("gamma", "none"), [(0.9, True), (0.99, False)])
def test_a_winner_that_is_the_base_config_has_no_difference(tmp_path, gamma, none):
    sweep = sweep_of(tmp_path, {"trainer.gamma": [0.9]}, np.array([[1.0]]))
    config = {**sweep.record.base, "trainer": {"updates": 10, "gamma": gamma}}
    base = {**config, "trainer": {"updates": 10, "gamma": 0.9}}
    sweep = dataclasses.replace(sweep, record=dataclasses.replace(sweep.record, base=base))
    ranking = rank(sweep.results, sweep.jobs_a_lap)
    written = Written(tmp_path / "ranking.csv", tmp_path / "best.yaml", config=config)
    text = write_report(tmp_path / "report", sweep, ranking, written).read_text()
    assert ("<p>Difference to the base config: none.</p>" in text) == none
    assert _tables(text).get("difference") == (None if none else [["trainer.gamma", "0.9", "0.99"]])


def test_one_permutation_that_a_race_stopped_is_not_several(tmp_path):
    (tmp_path / "run").mkdir()
    stopped = JobResult(
        2, 0, 0, STOPPED, {"a.b": 3}, 0.5, directory="2/0", updates=9, planned_updates=10
    )
    values = np.array([[1.0], [2.0], [np.nan]])
    raced = sweep_of(tmp_path / "run", {"a.b": [1, 2, 3]}, values, [stopped])
    record = dataclasses.replace(raced.record, race={"rungs": [0.5]}, race_is_over=True)
    sweep = dataclasses.replace(raced, record=record)
    text = page_of(sweep, tmp_path / "report")
    assert "A race stopped 1 permutation early." in text
    assert "Stopping 1 job early saved 1 update, about" in text
    for change in ({"race_is_over": False}, {"race": {}}):  # under way; or let go
        under_way = dataclasses.replace(raced, record=dataclasses.replace(record, **change))
        assert "early saved" not in page_of(under_way, tmp_path / "report")


def test_axes_that_never_apply_together_make_no_pair(tmp_path):
    """As those of two memories, of which a permutation has one."""
    (tmp_path / "run").mkdir()
    axes = {"m.kind": ["a", "b"], "m.size": [1, 2], "m.depth": [3, 4]}
    points = [
        {"m.kind": kind, **of_kind}
        for kind, key in (("a", "m.size"), ("b", "m.depth"))
        for of_kind in ({key: value} for value in axes[key])
    ]
    values = np.arange(8.0).reshape(4, 2)
    for result in jobs(points, values):
        (tmp_path / "run" / result.directory).mkdir(parents=True)
        result.write(tmp_path / "run" / result.directory)
    SweepRecord({"trainer": {"updates": 10}}, axes, 1, None, 2, 4, jobs=8).write(tmp_path / "run")
    text = page_of(read_sweep(tmp_path / "run"), tmp_path / "report")
    assert "Means by kind (rows) and size (columns)" in text
    assert "Means by kind (rows) and depth (columns)" in text
    assert "Means by size (rows) and depth" not in text


@pytest.mark.parametrize("values", [np.full((2, 1), np.nan), np.array([[1.0], [1.0]])])
def test_sweeps_without_numbers_have_a_page(tmp_path, values):
    """No job has completed, or all have the same objective."""
    (tmp_path / "run").mkdir()
    text = page_of(sweep_of(tmp_path / "run", {"a.b": [1, 2]}, values), tmp_path / "report")
    assert "Run it again" in text
    assert ("No permutation is ranked yet." in text) == bool(np.isnan(values).all())


@pytest.mark.slow
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


@pytest.mark.slow
def test_long_names_of_axes_are_not_cut_at_the_edge_of_a_figure(tmp_path):
    (tmp_path / "run").mkdir()
    axes = {f"x.a_rather_long_name_of_something_{i}.initial": [1, 2] for i in range(5)}
    values = np.random.default_rng(0).normal(size=(32, 3))
    sweep = sweep_of(tmp_path / "run", axes, values)
    page_of(sweep, tmp_path / "report")
    for name in ("ranking", "curves", "marginals"):
        picture = imread(tmp_path / f"report/figures/{name}.png")[..., :3]
        for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
            assert (edge == 1.0).all(), name
    title = figures._names(analyse(sweep, rank(sweep.results, sweep.jobs_a_lap)))
    assert title.startswith("permutation: a_rather_long_name_of_something_0.initial,")
    assert title.endswith("…")
    assert max(map(len, title.splitlines())) <= 75
