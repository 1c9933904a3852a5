"""Compares the written-out recurrent layers with torch's own, forward and backward."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from neroRL.models.memory.cells import gru_sequence, gru_step, lstm_sequence, lstm_step

L, B, X, H = 5, 3, 4, 6


def _loss(states: torch.Tensor) -> torch.Tensor:
    weights = torch.linspace(-1, 1, states.numel(), dtype=states.dtype).view_as(states)
    return (states * weights).sum() + states.square().sum()


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_equals_torch(kind):
    torch.manual_seed(0)
    layer = {"gru": nn.GRU, "lstm": nn.LSTM}[kind](X, H).double()
    inputs = torch.randn(L, B, X, dtype=torch.float64, requires_grad=True)
    state = torch.randn(B, H, dtype=torch.float64, requires_grad=True)
    cell = torch.randn(B, H, dtype=torch.float64, requires_grad=True)
    leaves = [inputs, state, *layer.parameters()] + ([cell] if kind == "lstm" else [])

    initial = (state[None], cell[None]) if kind == "lstm" else state[None]
    expected, last = layer(inputs, initial)
    expected_gradients = torch.autograd.grad(_loss(expected), leaves)

    projected = nn.functional.linear(inputs, layer.weight_ih_l0, layer.bias_ih_l0)
    if kind == "gru":
        states = gru_sequence(projected, state, layer.weight_hh_l0, layer.bias_hh_l0)
    else:
        states, last_cell = lstm_sequence(
            projected, state, cell, layer.weight_hh_l0, layer.bias_hh_l0
        )
        torch.testing.assert_close(last_cell, last[1][0])
    torch.testing.assert_close(states, expected)
    for ours, theirs in zip(
        torch.autograd.grad(_loss(states), leaves), expected_gradients, strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_gradients_are_the_numeric_ones():
    torch.manual_seed(1)

    def tensor(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(
        gru_sequence, (tensor(3, 2, 6), tensor(2, 2), tensor(6, 2), tensor(6))
    )
    assert torch.autograd.gradcheck(
        lambda *inputs: lstm_sequence(*inputs)[0],
        (tensor(3, 2, 8), tensor(2, 2), tensor(2, 2), tensor(8, 2), tensor(8)),
    )


@pytest.mark.parametrize(("batch", "hidden"), [(1, 8), (3, 6), (16, 32), (4, 128), (33, 30)])
@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_a_step_has_the_bits_of_a_sequence_of_one(kind, batch, hidden):
    """Rollouts take such steps, and updates compute the same ones with gradients."""
    generator = torch.Generator().manual_seed(hidden)

    def tensor(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    gates = {"gru": 3, "lstm": 4}[kind] * hidden
    state, cell = tensor(batch, 2 * hidden).split(hidden, dim=1)  # as those of a layer
    given = [state, cell] if kind == "lstm" else [state]
    weights = [tensor(gates, hidden), tensor(gates)]
    projected = tensor(batch, gates + hidden)[:, :gates]
    if kind == "gru":
        recorded = gru_sequence(projected[None], *given, *weights)
        step = gru_step(projected, *given, *weights)
    else:
        recorded = lstm_sequence(projected[None], *given, *weights)
        step = lstm_step(projected, *given, *weights)
    for one, other in zip(_all(recorded), _all(step), strict=True):
        assert torch.equal(one.view_as(other), other)


def _all(states) -> tuple[torch.Tensor, ...]:
    return states if isinstance(states, tuple) else (states,)
