"""Words of messages: counts, shortened texts, and names that a user may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

# Longer names are shortened in messages and not compared with others, which takes the product of
# their lengths.
LONGEST_NAME = 200


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun, in the plural unless it is one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(items: Sequence[object], most: int) -> str:
    """Returns items with commas between them; of many, the first and how many more there are.

    >>> listed([3, 5, 8], most=3), listed([3, 5, 8], most=1)
    ('3, 5, 8', '3 and 2 more')
    """
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(map(str, items[:most])) + more


def in_one_line(error: str) -> str:
    """Returns the first line of an error that says something, with "…" if there is more.

    A line that ends with a colon only announces the next one, which then belongs to it.

    >>> in_one_line("ValueError: boom\\nsecond line"), in_one_line("ValueError: \\n  boom\\n")
    ('ValueError: boom …', 'ValueError: boom')
    """
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    count = next((i for i, line in enumerate(lines, 1) if not line.endswith(":")), len(lines))
    return " ".join([*lines[:count], *(["…"] if lines[count:] else [])])


def shortened(value: object) -> str:
    """Returns the text of a value for messages; of a very long one, both ends."""
    text = str(value)
    return text if len(text) <= LONGEST_NAME else f"{text[:100]}…{text[-97:]}"


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Returns ``"; did you mean X or Y?"`` for the candidates nearest to ``name``, or ``""``."""
    candidates = list(dict.fromkeys(candidates))
    if name in candidates or len(name) > LONGEST_NAME:  # the spelling is not the problem
        return ""
    near = difflib.get_close_matches(name, candidates, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def short_line(text: str, longest: int = 40) -> str:
    """Returns a text in one line, cut off after some characters."""
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
