"""GRU and LSTM layers over a sequence whose input projection is already computed.

torch's own layers project their input themselves, once for every step of every sequence. Here the
projection of an observation that occurs many times is computed once and gathered. Forward and
backward are written out: autograd would record ten small operations a step, whose bookkeeping
costs more than their arithmetic. Equations and the order of the gates are those of
``torch.nn.GRU`` and ``torch.nn.LSTM``.

Shapes: L steps, B sequences, H units.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _GruSequence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, projected: Tensor, state: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        length, batch, hidden = projected.shape[0], *state.shape
        states = projected.new_empty(length + 1, batch, hidden)
        gates = projected.new_empty(length, batch, 2 * hidden)
        candidates = projected.new_empty(length, batch, hidden)
        recurrent = projected.new_empty(length, batch, hidden)
        states[0] = state
        transposed = weight.t()
        for t in range(length):
            from_state = torch.addmm(bias, states[t], transposed)
            torch.add(projected[t, :, : 2 * hidden], from_state[:, : 2 * hidden], out=gates[t])
            gates[t].sigmoid_()
            recurrent[t] = from_state[:, 2 * hidden :]
            reset, update = gates[t, :, :hidden], gates[t, :, hidden:]
            torch.addcmul(
                projected[t, :, 2 * hidden :], reset, recurrent[t], out=candidates[t]
            ).tanh_()
            torch.lerp(candidates[t], states[t], update, out=states[t + 1])
        ctx.save_for_backward(states, gates, candidates, recurrent, weight)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        states, gates, candidates, recurrent, weight = ctx.saved_tensors
        length, batch, hidden = candidates.shape
        reset, update = gates[..., :hidden], gates[..., hidden:]
        # What every step's gradient is multiplied with does not depend on later steps.
        by_candidate = (1.0 - update) * (1.0 - candidates * candidates)
        by_update = (states[:-1] - candidates) * update * (1.0 - update)
        by_reset = recurrent * reset * (1.0 - reset)
        d_projected = gates.new_empty(length, batch, 3 * hidden)
        d_recurrent = gates.new_empty(length, batch, 3 * hidden)
        d_state = torch.zeros_like(states[0])
        for t in range(length - 1, -1, -1):
            d_state = d_state + d_states[t]
            d_candidate = d_projected[t, :, 2 * hidden :]
            torch.mul(d_state, by_candidate[t], out=d_candidate)
            torch.mul(d_candidate, by_reset[t], out=d_projected[t, :, :hidden])
            torch.mul(d_state, by_update[t], out=d_projected[t, :, hidden : 2 * hidden])
            d_recurrent[t, :, : 2 * hidden] = d_projected[t, :, : 2 * hidden]
            torch.mul(d_candidate, reset[t], out=d_recurrent[t, :, 2 * hidden :])
            d_state = torch.addmm(d_state * update[t], d_recurrent[t], weight)
        flat = d_recurrent.view(-1, 3 * hidden)
        d_weight = flat.t() @ states[:-1].reshape(-1, hidden)
        return d_projected, d_state, d_weight, flat.sum(0)


class _LstmSequence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, projected: Tensor, state: Tensor, cell: Tensor, weight: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor]:
        length, batch, hidden = projected.shape[0], *state.shape
        states = projected.new_empty(length + 1, batch, hidden)
        cells = projected.new_empty(length + 1, batch, hidden)
        gates = projected.new_empty(length, batch, 4 * hidden)
        squashed = projected.new_empty(length, batch, hidden)
        states[0], cells[0] = state, cell
        transposed = weight.t()
        for t in range(length):
            torch.add(projected[t], torch.addmm(bias, states[t], transposed), out=gates[t])
            gates[t, :, : 2 * hidden].sigmoid_()
            gates[t, :, 2 * hidden : 3 * hidden].tanh_()
            gates[t, :, 3 * hidden :].sigmoid_()
            enter, keep, new, show = gates[t].chunk(4, dim=1)
            torch.mul(keep, cells[t], out=cells[t + 1]).addcmul_(enter, new)
            torch.tanh(cells[t + 1], out=squashed[t])
            torch.mul(show, squashed[t], out=states[t + 1])
        ctx.save_for_backward(states, cells, gates, squashed, weight)
        last_cell = cells[-1].clone()
        ctx.mark_non_differentiable(last_cell)
        return states[1:], last_cell

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, d_states: Tensor, d_last_cell: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        del d_last_cell  # only rollouts read it
        states, cells, gates, squashed, weight = ctx.saved_tensors
        length, _, hidden = squashed.shape
        enter, keep, new, show = gates.chunk(4, dim=2)
        by_enter = new * enter * (1.0 - enter)
        by_keep = cells[:-1] * keep * (1.0 - keep)
        by_new = enter * (1.0 - new * new)
        by_show = squashed * show * (1.0 - show)
        by_cell = show * (1.0 - squashed * squashed)
        d_gates = torch.empty_like(gates)
        d_state, d_cell = torch.zeros_like(states[0]), torch.zeros_like(cells[0])
        for t in range(length - 1, -1, -1):
            d_state = d_state + d_states[t]
            d_cell = torch.addcmul(d_cell, d_state, by_cell[t])
            torch.mul(d_cell, by_enter[t], out=d_gates[t, :, :hidden])
            torch.mul(d_cell, by_keep[t], out=d_gates[t, :, hidden : 2 * hidden])
            torch.mul(d_cell, by_new[t], out=d_gates[t, :, 2 * hidden : 3 * hidden])
            torch.mul(d_state, by_show[t], out=d_gates[t, :, 3 * hidden :])
            d_cell = d_cell * keep[t]
            d_state = d_gates[t] @ weight
        flat = d_gates.view(-1, 4 * hidden)
        d_weight = flat.t() @ states[:-1].reshape(-1, hidden)
        return d_gates, d_state, d_cell, d_weight, flat.sum(0)


def gru_sequence(projected: Tensor, state: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Returns a GRU layer (Cho et al. 2014, as in ``torch.nn.GRU``).

    Args:
        projected: input times input weights plus their bias, shape (L, B, 3H); gates in the order
            reset, update, candidate.
        state: shape (B, H).
        weight: of the state, shape (3H, H).
        bias: of the state, shape (3H,).

    Returns:
        The states after each step, shape (L, B, H).
    """
    states: Tensor = _GruSequence.apply(projected, state, weight, bias)  # type: ignore[no-untyped-call]
    return states


def lstm_sequence(
    projected: Tensor, state: Tensor, cell: Tensor, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns an LSTM layer (Hochreiter and Schmidhuber 1997, as in ``torch.nn.LSTM``).

    Args:
        projected: input times input weights plus their bias, shape (L, B, 4H); gates in the order
            input, forget, cell, output.
        state: shape (B, H).
        cell: shape (B, H).
        weight: of the state, shape (4H, H).
        bias: of the state, shape (4H,).

    Returns:
        The states after each step, shape (L, B, H), and the last cell, (B, H), which carries no
        gradient.
    """
    states, last_cell = _LstmSequence.apply(  # type: ignore[no-untyped-call]
        projected, state, cell, weight, bias
    )
    return states, last_cell
