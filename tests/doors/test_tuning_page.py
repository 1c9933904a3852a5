"""The tables and examples of docs/tune.md are complete and true."""

from __future__ import annotations

import dataclasses
import re

import pytest
import yaml

from neroRL.sweep.options import SweepOptions
from tests.conftest import PROJECT
from tests.doors.pages import dry_run, page, sections

PAGE = {section.heading: section for section in sections("tune.md")}
SPACE = ["ntune", "--config=tiny.yaml", "--tune=space.yaml"]


def _options() -> dict[str, str]:
    """The options of the page's table, and their defaults."""
    rows = re.findall(r"^\| (`.*?`) \| (\S+) \|", PAGE["Options of the sweeper"].text, re.MULTILINE)
    return {name: default for names, default in rows for name in re.findall(r"`(\w+)`", names)}


def test_the_table_of_options_is_complete():
    defaults = {
        field.name: field.default if field.default_factory is dataclasses.MISSING
        else field.default_factory()
        for field in dataclasses.fields(SweepOptions)
    }  # fmt: skip
    told = {
        name: text if isinstance(defaults.get(name), str) else yaml.safe_load(text)
        for name, text in _options().items()
    }
    assert told == defaults


@pytest.mark.parametrize(
    ("heading", "count"),
    [("The tuning file", 16), ("Keys that exist only beside some choices", 3)],
)
def test_an_example_has_as_many_permutations_as_the_page_says(heading, count, door, tiny, tmp_path):
    (tmp_path / "space.yaml").write_text(PAGE[heading].blocks("yaml")[0])
    assert len(dry_run(door, SPACE)) == count
    assert re.search({16: "16 permutations", 3: "three permutations"}[count], PAGE[heading].text)


def test_sections_on_the_command_line_are_as_on_the_page(door, tiny, tmp_path):
    (tmp_path / "space.yaml").write_text(PAGE["The tuning file"].blocks("yaml")[0])
    exclude, together = PAGE["More than a product"].commands()
    assert len(dry_run(door, exclude)) == 16 * 3 // 4
    assert len(dry_run(door, together)) == 2


def test_links_within_the_documentation_lead_somewhere():
    def anchors(text):
        headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")
                for heading in headings}  # fmt: skip

    pages = {path.name: page(path.name) for path in (PROJECT / "docs").glob("*.md")}
    broken = [
        f"{name}: {target}#{anchor}"
        for name, text in pages.items()
        for target, anchor in re.findall(r"\]\(([\w.]*)#([\w-]+)\)", text)
        if anchor not in anchors(pages[target or name])
    ]
    assert not broken
    files = [
        f"{name}: {target}"
        for name, text in pages.items()
        for target in re.findall(r"\]\(([\w./]+?)(?:#[\w-]+)?\)", text)
        if not (PROJECT / "docs" / target).exists()
    ]
    assert not files
