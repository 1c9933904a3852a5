"""Shows episodes in the ways that were asked for."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from neroRL.files import check_place_of_file, keep_beside
from neroRL.viewing.episodes import Moment, Outcome
from neroRL.viewing.frames import frame
from neroRL.viewing.page import page_file, write_page
from neroRL.viewing.terminal import show_in_terminal
from neroRL.viewing.video import check_video, video_file, write_video
from neroRL.viewing.window import check_window, show_in_window


@dataclass(frozen=True)
class Ways:
    """The ways in which episodes are shown; in a window if there is no other.

    Attributes:
        terminal: whether in the terminal.
        video: file of the video; None without one.
        page: file of the page; None without one.
        framerate: frames a second.
    """

    terminal: bool
    video: Path | None
    page: Path | None
    framerate: int

    def check(self) -> None:
        """Refuses ways that do not work here, before anything is played.

        Raises:
            NeroRLError: packages or a display are missing, or a file cannot be written there.
        """
        if self.video is not None:
            check_video()
        if self._in_window:
            check_window()
        if self.video is not None:
            check_place_of_file(video_file(self.video))
        if self.page is not None:
            check_place_of_file(page_file(self.page))

    def of_episode(self, number: int) -> Ways:
        """Returns the ways of one of several episodes; all files but the first are numbered."""
        return self.numbered(number if number else None)

    def numbered(self, number: int | None) -> Ways:
        """Returns the ways with a number in the names of the files, if there is one."""
        video = None if self.video is None else video_file(_numbered(self.video, number))
        page = None if self.page is None else page_file(_numbered(self.page, number))
        return replace(self, video=video, page=page)

    def show(
        self, played: Iterable[Moment], names: Sequence[Sequence[str]], title: str
    ) -> Outcome | None:
        """Shows one episode while it is played, and writes its files.

        Args:
            played: the moments of the episode.
            names: of the choices of each action branch.
            title: who plays what.

        Returns:
            How the episode ended; None if the window was closed before.
        """
        kept: list[Moment] = []

        def frames() -> Iterator[np.ndarray]:
            for moment in played:
                kept.append(moment)
                yield frame(moment, names)

        if self.terminal:
            show_in_terminal(frames(), sys.stdout, self.framerate)
        elif self._in_window:
            show_in_window(frames(), title, self.framerate)
        else:
            kept.extend(played)
        outcome = kept[-1].outcome if kept else None
        if outcome is not None and self.video is not None:
            _tell_kept(self.video)
            write_video(self.video, (frame(moment, names) for moment in kept), self.framerate)
            print(f"video: {self.video}")
        if outcome is not None and self.page is not None:
            _tell_kept(self.page)
            write_page(self.page, kept, names, title, self.framerate)
            print(f"page: {self.page}")
        return outcome

    @property
    def _in_window(self) -> bool:
        return not self.terminal and self.video is None and self.page is None


def _numbered(path: Path, number: int | None) -> Path:
    return path if number is None else path.with_name(f"{path.stem}-{number}{path.suffix}")


def _tell_kept(path: Path) -> None:
    aside = keep_beside(path)
    if aside is not None:
        print(f"kept: {aside}, which was {path}")
