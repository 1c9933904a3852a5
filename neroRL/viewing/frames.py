"""Draws a moment of an episode as one picture: the environment, and what the policy thinks."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from neroRL.viewing.episodes import Moment

HEIGHT = 320
PANEL = 288
LINE = 20
MARGIN = 12
PAGE, INK, MUTED, ACCENT = (16, 20, 24), (228, 233, 238), (110, 122, 134), (121, 192, 242)
# Steps of attention that fit into the panel.
MOST_STEPS = 64
NUMBERS_A_LINE = 4
# Codecs want sides that are multiples of it.
BLOCK = 16


def frame(moment: Moment, names: Sequence[Sequence[str]]) -> np.ndarray:
    """Draws a moment.

    Args:
        moment: of an episode.
        names: of the choices of each action branch.

    Returns:
        uint8, shape (height, width, 3); all moments of an episode have one shape.
    """
    pictures = [_scaled(picture) for picture in moment.pictures.values()]
    height = max(HEIGHT, _panel_height(names))
    parts = [_on_canvas(picture, height) for picture in pictures]
    drawn = np.concatenate([*parts, _panel(moment, names, height)], axis=1)
    bottom, right = (-side % BLOCK for side in drawn.shape[:2])
    return _bordered(drawn, 0, bottom, 0, right)


def _scaled(picture: np.ndarray) -> np.ndarray:
    """Scales a picture into a square of the frame's height; pixels stay sharp where they grow."""
    height, width = picture.shape[:2]
    scale = (HEIGHT - 2 * MARGIN) / max(height, width)
    method = cv2.INTER_NEAREST if scale >= 1 else cv2.INTER_AREA
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    scaled: np.ndarray = cv2.resize(picture, size, interpolation=method)
    return scaled


def _on_canvas(picture: np.ndarray, height: int) -> np.ndarray:
    return _bordered(picture, MARGIN, height - picture.shape[0] - MARGIN, MARGIN, MARGIN)


def _bordered(picture: np.ndarray, top: int, bottom: int, left: int, right: int) -> np.ndarray:
    bordered: np.ndarray = cv2.copyMakeBorder(
        picture, top, bottom, left, right, cv2.BORDER_CONSTANT, value=PAGE
    )
    return bordered


def _panel_height(names: Sequence[Sequence[str]]) -> int:
    lines = 7 + sum(len(choices) + 1 for choices in names)
    return lines * LINE + 2 * MARGIN + 4 * LINE


def _panel(moment: Moment, names: Sequence[Sequence[str]], height: int) -> np.ndarray:
    panel = np.full((height, PANEL, 3), PAGE, np.uint8)
    pen = _Pen(panel)
    pen.text(f"step {moment.step}")
    pen.text(f"reward {moment.reward:+.3g}, in all {moment.total:.3g}")
    decision = moment.decision
    if decision is None:
        assert moment.outcome is not None
        reward = f"the end: reward {moment.outcome.reward:.4g}"
        pen.text(", ".join(filter(None, [reward, moment.outcome.success_in_words])), ACCENT)
        return panel
    pen.text(f"value {decision.value:+.3f}   entropy {decision.entropy:.3f}")
    for branch, probabilities in enumerate(decision.probabilities):
        pen.skip()
        for choice, probability in enumerate(probabilities.tolist()):
            taken = int(decision.action[branch]) == choice
            pen.bar(names[branch][choice], probability, ACCENT if taken else MUTED)
    numbers = decision.action[len(decision.probabilities) :]
    if len(numbers):
        pen.skip()
        pen.numbers("action", numbers)
    pen.skip()
    if "norm" in decision.memory:
        pen.text(f"norm of the state {float(decision.memory['norm']):.3f}")
    if "attention" in decision.memory:
        pen.text("attention to the last steps")
        for weights in decision.memory["attention"]:
            pen.strip(weights)
    return panel


class _Pen:
    """Writes and draws on a panel, line by line."""

    def __init__(self, panel: np.ndarray) -> None:
        self._panel = panel
        self._y = MARGIN

    def skip(self) -> None:
        self._y += LINE // 2

    def text(self, text: str, colour: tuple[int, int, int] = INK) -> None:
        self._write(text, 0, colour)
        self._y += LINE

    def numbers(self, name: str, numbers: np.ndarray) -> None:
        """Writes numbers, some in a line."""
        texts = [f"{number:+.2f}" for number in numbers.tolist()]
        for first in range(0, len(texts), NUMBERS_A_LINE):
            head = name if first == 0 else " " * len(name)
            self.text(" ".join([head, *texts[first : first + NUMBERS_A_LINE]]))

    def bar(self, name: str, share: float, colour: tuple[int, int, int]) -> None:
        self._write(name, 0, INK)
        left, right = 96, PANEL - MARGIN - 48
        end = left + round((right - left) * share)
        cv2.rectangle(self._panel, (left, self._y + 3), (end, self._y + LINE - 4), colour, -1)
        self._write(f"{share:.2f}", right + 6, INK)
        self._y += LINE

    def strip(self, weights: np.ndarray) -> None:
        """Draws weights as cells from dark to bright, the latest step at the right."""
        shown = weights[-MOST_STEPS:]
        cell = (PANEL - 2 * MARGIN) // MOST_STEPS
        left = PANEL - MARGIN - cell * len(shown)
        for number, weight in enumerate(shown.tolist()):
            colour = tuple(round(dark + (light - dark) * weight) for dark, light in zip(
                (40, 48, 56), ACCENT, strict=True
            ))  # fmt: skip
            x = left + cell * number
            cv2.rectangle(
                self._panel, (x, self._y + 2), (x + cell - 2, self._y + LINE // 2), colour, -1
            )
        self._y += LINE // 2 + 4

    def _write(self, text: str, x: int, colour: tuple[int, int, int]) -> None:
        place = (x, self._y + LINE - 6)
        cv2.putText(
            self._panel, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA
        )
