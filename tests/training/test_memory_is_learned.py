"""MiniGrid's memory task is solved on levels that were never seen, and only with a memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from neroRL.evaluation.playing import play
from neroRL.evaluation.subjects import read_subject

pytestmark = pytest.mark.slow

HELD_OUT = range(200_000, 200_050)
MEMORIES = {
    "none": [],
    "gru": [],
    "lstm": ["model.recurrence.hidden_state_size=64", "model.recurrence.sequence_length=16"],
}


@pytest.mark.parametrize("memory", MEMORIES)
def test_the_shipped_config_solves_it_with_a_memory(door, tmp_path, memory):
    chosen = [f"model/memory={memory}", *MEMORIES[memory]]
    run = ["--config-name=minigrid_vec", "hydra.run.dir=job", "seed=1", "threads=1", "device=cpu"]
    outcome = door("train", [*run, *chosen])
    assert outcome.status == 0, outcome.err
    played = play(read_subject(Path(tmp_path, "job/checkpoints/default-150.pt")), HELD_OUT, 2)
    success = np.mean([one.end.success for one in played])
    if memory == "none":
        # A fair coin's share of 100 throws, within four standard errors.
        assert abs(success - 0.5) <= 0.2
    else:
        assert success >= 0.9
