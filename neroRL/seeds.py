"""Seeds of trainings and environments."""

from __future__ import annotations

import secrets

LAST_SEED = 2**63 - 1
"""The greatest seed that numpy and torch take alike."""
_DRAWN_BELOW = 2**31 - 1  # so that one is easily written down


def drawn_seed() -> int:
    """Draws a seed that no generator of a training foresees."""
    return secrets.randbelow(_DRAWN_BELOW)
