"""Writes an episode as one page that plays it, and asks no network for anything."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from neroRL.errors import OutputError
from neroRL.files import make_directory, reason_of, write_text
from neroRL.pages import as_it_is, in_script, render
from neroRL.viewing.episodes import Moment

SUFFIX = ".html"
DIGITS = 5
_HERE = Path(__file__).parent


def page_file(path: Path) -> Path:
    """Returns the path with the suffix of pages."""
    return path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)


def write_page(
    path: Path,
    moments: Sequence[Moment],
    names: Sequence[Sequence[str]],
    title: str,
    framerate: int,
) -> None:
    """Writes the page of an episode.

    Args:
        path: of the file.
        moments: of the episode, from the first to the last.
        names: of the choices of each action branch.
        title: who plays what.
        framerate: steps a second.

    Raises:
        OutputError: the file cannot be written.
    """
    data = {**_data(moments), "names": names, "framerate": framerate}
    last = moments[-1]
    assert last.outcome is not None
    text = render(
        _HERE / "episode.html.j2",
        title=title,
        outcome=last.outcome,
        pictures=list(last.pictures),
        charts=[name for name in ("value", "entropy", "reward", "norm") if name in data],
        has_attention="attention" in data,
        has_choices=bool(names),
        last=last.step,
        data=in_script(json.dumps(_rounded(data))),
        style=as_it_is(_HERE / "episode.css"),
        script=as_it_is(_HERE / "episode.js"),
    )
    make_directory(path.parent)
    try:
        write_text(path, text)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {reason_of(error)}") from None


def _data(moments: Sequence[Moment]) -> dict[str, Any]:
    """Returns what the page plays: a list each, by moment or by action."""
    images: dict[str, int] = {}
    shown = [
        [images.setdefault(_png(picture), len(images)) for picture in moment.pictures.values()]
        for moment in moments
    ]
    decisions = [moment.decision for moment in moments if moment.decision is not None]
    memory = decisions[0].memory
    data: dict[str, Any] = {
        "images": list(images),
        "shown": shown,
        "reward": [moment.reward for moment in moments[1:]],
        "total": [moment.total for moment in moments],
        "value": [one.value for one in decisions],
        "entropy": [one.entropy for one in decisions],
        "actions": [np.asarray(one.action).tolist() for one in decisions],
        "probabilities": [[p.tolist() for p in one.probabilities] for one in decisions],
    }
    if "norm" in memory:
        data["norm"] = [float(one.memory["norm"]) for one in decisions]
    if "attention" in memory:
        data["attention"] = [one.memory["attention"].tolist() for one in decisions]
    return data


def _png(picture: np.ndarray) -> str:
    written, content = cv2.imencode(".png", picture[:, :, ::-1])
    assert written
    return f"data:image/png;base64,{base64.b64encode(content.tobytes()).decode()}"


def _rounded(content: Any) -> Any:
    if isinstance(content, float):
        return round(content, DIGITS)
    if isinstance(content, dict):
        return {key: _rounded(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_rounded(value) for value in content]
    return content
