"""Sweeps the precision, and looks at what was trained and played."""

from __future__ import annotations

import pytest
import torch

from neroRL.evaluation.subjects import read_subject
from neroRL.records.results import load_result
from neroRL.training import checkpoint as checkpoints
from neroRL.training.trainer import train

SPACE = """
hyperparameters:
  precision: [float32, bfloat16]
  trainer.gamma: [0.9, 0.99]
"""
# Heads and mini batches that are large enough to be multiplied in bfloat16.
WIDE = [
    *("model.num_hidden_layers=1", "model.num_hidden_units=512", "model.vec_encoder=none"),
    *("sampler.n_workers=4", "sampler.worker_steps=64", "trainer.n_mini_batches=2"),
]


@pytest.mark.slow
def test_a_swept_precision_is_what_each_row_trained_with(command, tiny, tmp_path):
    (tmp_path / "space.yaml").write_text(SPACE)
    arguments = [f"--config={tiny}", "--tune=space.yaml", "--run-id=run", "--out=out", "seed=3"]
    done = command("tune", *arguments, *WIDE)
    assert done.returncode == 0, done.stderr
    weights = {}
    for number in range(4):
        job = tmp_path / "out" / "run" / str(number) / "0"
        result = load_result(job)
        asked = result.overrides["precision"]
        assert result.precision == asked
        path, content = checkpoints.load_latest(job, torch.device("cpu"))
        assert (content.precision, content.config["precision"]) == (asked, asked)
        found = content.model["heads.hidden.weight"]
        weights[asked, result.overrides["trainer.gamma"]] = found
        # Its config, trained alone, leaves the same weights.
        alone = tmp_path / f"alone{number}"
        train(read_subject(path).config, alone)
        expected = checkpoints.load_latest(alone, torch.device("cpu"))[1].model
        assert torch.equal(expected["heads.hidden.weight"], found)
    for gamma in (0.9, 0.99):
        assert not torch.equal(weights["float32", gamma], weights["bfloat16", gamma])


def test_a_precision_that_there_is_not_is_refused(command, tiny):
    done = command("train", "--config-dir=.", "--config-name=tiny", "precision=float16")
    assert done.returncode == 2
    assert "precision" in done.stderr
    assert "bfloat16" in done.stderr
