"""Reads the pages of the documentation: their sections, code blocks and commands."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from tests.conftest import PROJECT


@dataclass(frozen=True)
class Section:
    """A part of a page below a heading.

    Attributes:
        heading: without its number signs.
        text: up to the next heading of any level.
    """

    heading: str
    text: str

    def blocks(self, language: str = "") -> list[str]:
        """Returns the code blocks of a language."""
        found = re.findall(r"^```(\w*)\n(.*?)^```$", self.text, re.DOTALL | re.MULTILINE)
        return [text for its, text in found if its == language]

    def commands(self) -> list[list[str]]:
        """Returns the commands that start neroRL, split as a shell does."""
        lines = [line for block in self.blocks() for line in block.splitlines()]
        return [
            shlex.split(line, comments=True)
            for line in lines
            if line.startswith(("ntune ", "python train.py "))
        ]


def page(name: str) -> str:
    """Returns the text of a page."""
    return (PROJECT / "docs" / name).read_text()


def sections(name: str) -> list[Section]:
    """Returns the sections of a page, in order, without what comes before the first heading."""
    outside = re.split(r"^(#+ .*)$", _without_comments(page(name)), flags=re.MULTILINE)[1:]
    return [
        Section(heading.lstrip("# "), text)
        for heading, text in zip(outside[::2], outside[1::2], strict=True)
    ]


def dry_run(door, command: list[str], *overrides: str) -> list[str]:
    """Runs a command as a dry run, and returns the line that heads each job.

    Args:
        door: the fixture.
        command: as :meth:`Section.commands` returns it.
        overrides: to add.
    """
    name, arguments = ("ntune", command[1:]) if command[0] == "ntune" else ("train", command[2:])
    outcome = door(name, [*arguments, *overrides, "--cfg", "job"])
    assert outcome.status == 0, outcome.err
    return re.findall(r"^# job \d+: (.*)$", outcome.out, re.MULTILINE)


def _without_comments(text: str) -> str:
    """Takes the comments out of a page's code blocks, which look like headings."""
    inside = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
    return inside.sub(lambda block: re.sub(r"^#.*$", "", block[0], flags=re.MULTILINE), text)
