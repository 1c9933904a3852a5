"""Renders pages that are one file: text from outside cannot end or change an element of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup


def render(template: Path, **values: Any) -> str:
    """Renders a Jinja template; values are escaped, but for those that are ``Markup``."""
    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(**values)


def in_script(json: str) -> Markup:
    """Returns JSON for a script element, which no text in it can end."""
    for mark in "<>&\u2028\u2029":
        json = json.replace(mark, f"\\u{ord(mark):04x}")
    return Markup(json)


def as_it_is(file: Path) -> Markup:
    """Returns the text of a file of ours, such as a style or a script."""
    return Markup(file.read_text(encoding="utf-8"))
