"""MiniGrid's memory task is solved on levels that were never seen, and only with a memory."""

from __future__ import annotations

import numpy as np
import pytest

from neroRL.evaluation.choosing import of_path
from neroRL.evaluation.playing import play
from neroRL.evaluation.subjects import read_subject

pytestmark = pytest.mark.slow

HELD_OUT = range(200_000, 200_050)
MEMORIES = {
    # Half as long: without a memory nothing is to come.
    "none": ["--config-name=minigrid_vec", "model/memory=none", "trainer.updates=75"],
    "gru": ["--config-name=minigrid_vec"],
    "transformer": ["--config-name=minigrid_vec_transformer"],
}


@pytest.mark.parametrize("memory", MEMORIES)
def test_the_shipped_config_solves_it_with_a_memory(door, tmp_path, memory):
    run = ["hydra.run.dir=job", "seed=1", "threads=1", "device=cpu"]
    outcome = door("train", [*MEMORIES[memory], *run])
    assert outcome.status == 0, outcome.err
    played = play(read_subject(of_path(tmp_path / "job").path), HELD_OUT, 2)
    success = np.mean([one.end.success for one in played])
    if memory == "none":
        # A fair coin's share of 100 throws, within four standard errors.
        assert abs(success - 0.5) <= 0.2
    else:
        assert success >= 0.9
