"""Tests the page in a browser: charts, filters, network, accessibility and a phone's width."""

from __future__ import annotations

import contextlib
import itertools
import shutil

import numpy as np
import pytest

from neroRL.reporting.tensorboard import SUMMARIES, Summaries
from tests.reporting.landscapes import sweep_of
from tests.reporting.test_page import page_of

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
LONG = "trainer.a_rather_long_schedule_of_something.initial"
AXES = {"trainer.gamma": [0.9, 0.99], LONG: ["relu", "</script><b>"]}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Writes the page of a sweep that has everything a page can show."""
    directory = tmp_path_factory.mktemp("browser") / "run"
    directory.mkdir()
    random = np.random.default_rng(0)
    values = np.arange(4.0)[:, None] + random.normal(size=(4, 5)) / 4
    sweep = sweep_of(directory, AXES, values)
    for result in sweep.results:
        summaries = Summaries(directory / result.directory / SUMMARIES, "run")
        for update in range(20):
            told = {"episode/reward_mean": update * result.objective}
            summaries.scalars(update, 10 * update, told)
        summaries.close()
    for number, result in enumerate(sweep.results):
        object.__setattr__(result, "success_mean", number / 20)
    page_of(sweep, directory / "report")
    return directory / "report/report.html"


@pytest.fixture(scope="module")
def browsers():
    """Starts what starts browsers, which a process can do once at a time."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright.chromium


@contextlib.contextmanager
def _opened(browsers, report, profile):
    """Opens a page in a browser, and collects its requests and errors."""
    context = browsers.launch_persistent_context(
        profile, executable_path=CHROMIUM, args=FLAGS, headless=True
    )
    page = context.new_page()
    page.requests, page.errors = [], []
    page.on("request", lambda request: page.requests.append(request.url))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(report.as_uri())
    yield page
    context.close()


@pytest.fixture(scope="module")
def page(browsers, report, tmp_path_factory):
    with _opened(browsers, report, tmp_path_factory.mktemp("profile")) as page:
        yield page


def _drawn(page):
    """Returns the ids of the visible charts, and whether each is drawn."""
    return page.evaluate(
        """() => [...document.querySelectorAll('.chart')].filter(c => !c.closest('[hidden]'))
            .map(c => [c.id, c.querySelectorAll('.main-svg').length > 0
                             && c.data.length > 0 && c.getBoundingClientRect().height > 100])"""
    )


def _shown(page):
    """Returns the permutations whose curves are visible."""
    return page.evaluate(
        """() => document.getElementById('curves-chart').data
            .filter(t => t.meta.role === 'line' && t.visible).map(t => t.meta.permutation).sort()"""
    )


CHARTS = {
    "ranking-chart", "curves-chart", "marginal-0", "marginal-1", "pair-0", "parallel-chart",
    "importance-chart", "improvement-chart", "cost-chart",
}  # fmt: skip


def test_every_chart_is_drawn_without_a_network(page, report):
    _check_charts(page, report, CHARTS | {"success-chart"})


def _check_charts(page, report, charts):
    drawn = _drawn(page)
    assert {name for name, _ in drawn} == charts
    parallel = [name for name, done in drawn if not done]
    assert parallel in ([], ["parallel-chart"])  # it needs WebGL
    if parallel:
        assert "WebGL" in page.text_content("#parallel-chart")
    assert page.errors == []
    outside = [url for url in page.requests if not url.startswith(("data:", "blob:"))]
    assert outside == [report.as_uri()]


def test_the_page_of_one_permutation_has_its_charts(browsers, tmp_path):
    """As that of any sweep after its first job: there is nothing to filter."""
    (tmp_path / "run").mkdir()
    sweep = sweep_of(tmp_path / "run", {"trainer.gamma": [0.9]}, np.array([[1.0, 2.0]]))
    for result in sweep.results:
        summaries = Summaries(sweep.directory / result.directory / SUMMARIES, "run")
        for update in range(5):
            summaries.scalars(update, 10 * update, {"episode/reward_mean": float(update)})
        summaries.close()
    page_of(sweep, tmp_path / "report")
    with _opened(browsers, tmp_path / "report/report.html", tmp_path / "profile") as page:
        _check_charts(
            page, tmp_path / "report/report.html", {"ranking-chart", "curves-chart", "cost-chart"}
        )


def test_filters_choose_curves_with_the_keyboard_alone(page):
    assert _shown(page) == [0, 1, 2, 3]
    page.focus("select[data-axis='0']")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert _shown(page) == [2, 3]
    assert page.text_content("#shown") == "2 of 4 curves shown"
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    assert _shown(page) == [2]
    page.focus("#reset")
    page.keyboard.press("Enter")
    assert _shown(page) == [0, 1, 2, 3]


def test_texts_of_users_stay_texts(page):
    assert page.evaluate("document.querySelectorAll('svg b, figure b').length") == 0
    assert "</script><b>" in page.text_content("#curves-chart")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(page, scheme):
    _check_accessibility(page, scheme)


def _check_accessibility(page, scheme):
    from axe_playwright_python.sync_playwright import Axe

    page.emulate_media(color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    found = Axe().run(page).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in serious] == []
    # Charts follow the page: their text is as light as the page's.
    ink = page.evaluate("getComputedStyle(document.body).color")
    chart = page.evaluate("getComputedStyle(document.querySelector('#cost-chart text')).fill")
    assert chart == ink


def test_print_has_the_width_of_paper_and_dark_text(page):
    page.emulate_media(color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    sizes = page.evaluate(
        "[...document.querySelectorAll('figure:not([hidden]) .main-svg')]"
        ".map(svg => svg.getBoundingClientRect().width)"
    )
    assert max(sizes) <= 42 * 16
    text = "getComputedStyle(document.querySelector('#cost-chart text')).fill"
    assert page.evaluate(text) == "rgb(0, 0, 0)"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate(text) != "rgb(0, 0, 0)"


def test_a_phone_shows_the_page_without_scrolling_sideways(page):
    page.set_viewport_size({"width": 360, "height": 800})
    page.wait_for_function("document.getElementById('cost-chart').clientWidth < 360")
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    sizes = page.evaluate(
        "[...document.querySelectorAll('figure:not(.parallel) .main-svg')]"
        ".map(svg => svg.getBoundingClientRect().right)"
    )
    assert max(sizes) <= 360


@pytest.mark.slow
def test_a_real_page_is_drawn_and_its_pairs_can_be_chosen(browsers, door, tiny, tmp_path):
    (tmp_path / "space.yaml").write_text(
        "hyperparameters:\n  gamma: [0.9, 0.99]\n  model/memory: [none, gru]\n"
        "  activation: [relu, gelu]\n"
    )
    arguments = ["--config=tiny.yaml", "--tune=space.yaml", "--run-id=run", "--out=out"]
    outcome = door("ntune", [*arguments, "--num-repetitions=2", "sampler.worker_steps=64"])
    assert outcome.status == 0, outcome.err
    assert door("nreport", ["out/run"]).status == 0
    report = tmp_path / "out/run/report/report.html"
    with _opened(browsers, report, tmp_path / "profile") as page:
        _check_charts(page, report, CHARTS | {"marginal-2"})
        assert len(_shown(page)) == 8
        axes = ["gamma", "memory", "activation"]
        titles = page.eval_on_selector_all("#pair option", "all => all.map(one => one.text)")
        assert len(titles) == 3
        for title, (first, second) in zip(titles, itertools.combinations(axes, 2), strict=True):
            assert first in title
            assert second in title
            page.select_option("#pair", label=title)
            (shown,) = [name for name, done in _drawn(page) if name.startswith("pair-") and done]
            assert page.text_content(f"figure:has(#{shown}) h3") == title
        for scheme in ("light", "dark"):
            _check_accessibility(page, scheme)
