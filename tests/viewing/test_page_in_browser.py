"""The page of an episode in a browser: it plays what was played, alone and for everybody."""

from __future__ import annotations

import pytest

from neroRL.acting.player import Episode
from neroRL.evaluation.playing import policy_and_environment
from neroRL.evaluation.subjects import read_subject
from neroRL.viewing.episodes import action_names, moments
from neroRL.viewing.page import write_page
from tests.evaluation.policies import MEMORY, MIXED, tiny_policy
from tests.reporting.test_page_in_browser import CHROMIUM, FLAGS

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
TITLE = "</script><b>who</b> plays what"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Pages of a transformer, a GRU, and of numbers as actions, alone and beside choices."""
    root = tmp_path_factory.mktemp("pages")
    found = {}
    environments = {"none": {"type": "Gymnasium", "name": "Pendulum-v1"}, "lstm": MIXED}
    for memory in ("transformer", "gru", "none", "lstm"):
        environment = environments.get(memory, MEMORY)
        checkpoint, _ = tiny_policy(root / memory, memory, environment, updates=1)
        with policy_and_environment(read_subject(checkpoint)) as (policy, environment):
            seen = list(moments(policy, environment, Episode(71, 0)))
            names = action_names(policy, environment)
        path = root / f"{memory}.html"
        write_page(path, seen, names, TITLE, framerate=50)
        found[memory] = path, seen
    return found


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from playwright.sync_api import sync_playwright

    profile = tmp_path_factory.mktemp("profile")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, args=FLAGS, headless=True
        )
        yield context
        context.close()


@pytest.fixture
def opened(browser, written, request):
    path, seen = written[request.param]
    page = browser.new_page()
    page.asked, page.errors = [], []
    page.on("request", lambda one: page.asked.append(one.url))
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(path.as_uri())
    yield page, seen
    assert page.errors == []
    assert [url for url in page.asked if not url.startswith("data:")] == [path.as_uri()]
    page.close()


BOTH = pytest.mark.parametrize("opened", ["transformer", "gru"], indirect=True)
TRANSFORMER = pytest.mark.parametrize("opened", ["transformer"], indirect=True)


def _now(page) -> int:
    return int(page.input_value("#step"))


def _number(page, name: str) -> float:
    """A number as the page shows it: with three digits, of the five that it has."""
    return float(page.text_content(name))


@BOTH
def test_every_step_shows_what_the_policy_thought(opened):
    page, seen = opened
    for step, moment in enumerate(seen[:6]):
        assert _now(page) == step
        assert page.text_content("#now").startswith(f"{step} of {len(seen) - 1}, reward so far")
        decision = moment.decision
        assert _number(page, "#value-now") == pytest.approx(decision.value, abs=6e-4)
        assert _number(page, "#entropy-now") == pytest.approx(decision.entropy, abs=6e-4)
        shown = page.locator(".bar > span:last-child").all_text_contents()
        assert [float(text) for text in shown] == pytest.approx(
            decision.probabilities[0].tolist(), abs=6e-4
        )
        taken = page.text_content(".bar.taken span:first-child")
        assert taken == f"{['left', 'right', 'forward', 'pickup'][decision.action[0]]} (taken)"
        if "norm" in decision.memory:
            norm = float(decision.memory["norm"])
            assert _number(page, "#norm-now") == pytest.approx(norm, abs=6e-4)
        page.click("#forward")


@pytest.mark.parametrize("opened", ["none"], indirect=True)
def test_numbers_are_shown_as_they_are(opened):
    page, seen = opened
    assert page.locator(".bar").count() == 0
    for moment in seen[:4]:
        shown = [float(text) for text in page.text_content("#actions").split(", ")]
        assert shown == pytest.approx(moment.decision.action.tolist(), abs=6e-4)
        page.click("#forward")
    page.evaluate(f"show({len(seen) - 1})")
    assert page.text_content("#actions") == ""


@pytest.mark.parametrize("opened", ["lstm"], indirect=True)
def test_numbers_are_shown_below_choices(opened):
    page, seen = opened
    for moment in seen[:4]:
        assert page.locator(".bar").count() == 3
        taken = page.locator(".bar.taken").text_content()
        assert taken.startswith(f"{int(moment.decision.action[0])} (taken)")
        shown = [float(text) for text in page.text_content("#actions p").split(", ")]
        assert shown == pytest.approx(moment.decision.action[1:].tolist(), abs=6e-4)
        page.click("#forward")
    page.evaluate(f"show({len(seen) - 1})")
    assert page.text_content("#actions") == ""


@BOTH
def test_pictures_are_those_of_the_moment(opened):
    page, seen = opened
    page.evaluate(f"show({len(seen) - 1})")
    page.wait_for_function("() => document.getElementById('picture-0').complete")
    pixels = page.evaluate(
        """() => { const image = document.getElementById('picture-0');
            const canvas = document.createElement('canvas');
            canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
            const context = canvas.getContext('2d'); context.drawImage(image, 0, 0);
            return [...context.getImageData(0, 0, canvas.width, canvas.height).data]
                .filter((_, index) => index % 4 !== 3); }"""
    )
    assert pixels == seen[-1].pictures["map"].flatten().tolist()
    assert page.locator(".bar").count() == 0  # the episode is over


@TRANSFORMER
def test_attention_lies_on_the_remembered_steps(opened):
    page, seen = opened
    step = min(9, len(seen) - 2)
    page.evaluate(f"show({step})")
    rows = page.evaluate(
        "[...document.querySelectorAll('#attention .row')].map(row => [...row.children]"
        ".map(cell => Number(cell.firstChild.style.opacity)))"
    )
    attention = seen[step].decision.memory["attention"]
    assert len(rows) == len(attention) == 2
    for row, weights in zip(rows, attention, strict=True):
        first = step - len(weights)
        assert row[first:step] == pytest.approx(weights.tolist(), abs=1e-4)
        assert sum(row) == pytest.approx(1.0, abs=1e-3)


@TRANSFORMER
def test_it_plays_to_the_end_and_again(opened):
    page, seen = opened
    page.focus("#play")
    page.keyboard.press("Enter")
    page.wait_for_function(f"() => document.getElementById('step').value == {len(seen) - 1}")
    page.wait_for_function("() => document.getElementById('play').textContent === 'Play'")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.getElementById('step').value > 0")
    page.keyboard.press("Enter")
    assert page.text_content("#play") == "Play"
    page.focus("#step")
    before = _now(page)
    page.keyboard.press("ArrowLeft")
    assert _now(page) == before - 1


@TRANSFORMER
def test_texts_stay_texts_and_everybody_can_read_them(opened):
    from axe_playwright_python.sync_playwright import Axe

    page, _ = opened
    assert page.text_content("h1") == TITLE
    assert page.locator("h1 b").count() == 0
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page).response["violations"]
        serious = [one["id"] for one in found if one["impact"] in ("serious", "critical")]
        assert serious == []
    page.set_viewport_size({"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
