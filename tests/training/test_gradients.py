"""Compares the clipping of gradients with torch's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from neroRL.training.gradients import clip_gradients


@pytest.mark.parametrize("most", [0.01, 0.5, 1000.0])
def test_clips_as_torch_does_bit_for_bit(most):
    generator = torch.Generator().manual_seed(0)
    shapes = [(64, 3), (1024, 64), (64,), (1,), (8, 4, 3, 3)]
    ours, torchs = ([nn.Parameter(torch.zeros(shape)) for shape in shapes] for _ in range(2))
    for one, other in zip(ours, torchs, strict=True):
        one.grad = torch.randn(one.shape, generator=generator)
        other.grad = one.grad.clone()
    without = nn.Parameter(torch.zeros(2))
    norm = clip_gradients([*ours, without], most)
    expected = nn.utils.clip_grad_norm_([*torchs, without], most)
    assert torch.equal(norm, expected)
    for one, other in zip(ours, torchs, strict=True):
        assert torch.equal(one.grad, other.grad)
    total = torch.cat([one.grad.flatten() for one in ours]).norm()
    assert total <= most * 1.0001
    assert without.grad is None
