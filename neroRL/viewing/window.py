"""Shows frames in a window."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable

import numpy as np

from neroRL.errors import UsageError

OTHERWISE = "use --terminal, --video=<path> or --html=<path>"
INSTALL = 'pip install "neroRL[window]"'


def check_window() -> None:
    """Refuses windows where none can be opened.

    Raises:
        UsageError: there is no display, or no package to draw on it.
    """
    displays = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    if sys.platform.startswith("linux") and not any(map(os.environ.get, displays)):
        raise UsageError(f"there is no display for a window; {OTHERWISE}")
    if importlib.util.find_spec("pygame") is None:
        message = f"a window needs a package that is not installed: {INSTALL}"
        raise UsageError(f"{message}; or {OTHERWISE}")


def show_in_window(frames: Iterable[np.ndarray], title: str, framerate: int) -> None:
    """Shows frames one after the other, until they end or the window is closed.

    Args:
        frames: uint8, shape (height, width, 3), all of one size.
        title: of the window.
        framerate: frames a second.

    Raises:
        UsageError: no window can be opened, or the environment draws on the only one of a process.
    """
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    import pygame

    try:
        pygame.display.init()
        if pygame.display.get_surface() is not None:  # Memory Gym's, which sees what is drawn there
            message = "the environment draws on pygame's only display, which a window would need"
            raise UsageError(f"{message}; {OTHERWISE}")
        pygame.display.set_caption(title)
        clock = pygame.time.Clock()
        window = None
        for frame in frames:
            window = window or pygame.display.set_mode((frame.shape[1], frame.shape[0]))
            surface = pygame.surfarray.make_surface(frame.swapaxes(0, 1))
            window.blit(surface, (0, 0))
            pygame.display.flip()
            if any(event.type == pygame.QUIT for event in pygame.event.get()):
                return
            clock.tick(framerate)
    except pygame.error as error:
        raise UsageError(f"no window can be opened: {error}; {OTHERWISE}") from None
    finally:
        pygame.display.quit()
