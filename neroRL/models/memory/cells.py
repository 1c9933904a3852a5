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
        from_states = projected.new_empty(length, batch, 3 * hidden)
        gates = projected.new_empty(length, batch, 2 * hidden)
        candidates = projected.new_empty(length, batch, hidden)
        states[0] = state
        transposed = weight.t()
        parts = (2 * hidden, hidden)
        input_gates, inputs = _steps(projected, parts)
        gates_from, new_from = _steps(from_states, parts)
        reset, update = _steps(gates, hidden)
        at, from_state, both, new = (
            tensor.unbind() for tensor in (states, from_states, gates, candidates)
        )
        for t in range(length):
            torch.addmm(bias, at[t], transposed, out=from_state[t])
            torch.add(input_gates[t], gates_from[t], out=both[t]).sigmoid_()
            torch.addcmul(inputs[t], reset[t], new_from[t], out=new[t]).tanh_()
            torch.lerp(new[t], at[t], update[t], out=at[t + 1])
        ctx.save_for_backward(states, gates, candidates, from_states, weight)
        return states[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_states: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        states, gates, candidates, from_states, weight = ctx.saved_tensors
        length, batch, hidden = candidates.shape
        reset, update = gates.split(hidden, dim=2)
        # What every step's gradient is multiplied with does not depend on later steps.
        by_candidate = (1.0 - update) * (1.0 - candidates * candidates)
        by_update = (states[:-1] - candidates) * update * (1.0 - update)
        by_reset = from_states[..., 2 * hidden :] * reset * (1.0 - reset)
        d_candidates = gates.new_empty(length, batch, hidden)
        d_recurrent = gates.new_empty(length, batch, 3 * hidden)
        for_new, for_update, for_reset, resets, updates, d_output, d_new, d_all = (
            tensor.unbind()
            for tensor in (
                *(by_candidate, by_update, by_reset, reset, update),
                *(d_states, d_candidates, d_recurrent),
            )
        )
        d_reset, d_update, d_from = _steps(d_recurrent, hidden)
        d_state = torch.zeros_like(states[0])
        for t in range(length - 1, -1, -1):
            d_state = d_state + d_output[t]
            torch.mul(d_state, for_new[t], out=d_new[t])
            torch.mul(d_new[t], for_reset[t], out=d_reset[t])
            torch.mul(d_state, for_update[t], out=d_update[t])
            torch.mul(d_new[t], resets[t], out=d_from[t])
            d_state = torch.addmm(d_state * updates[t], d_all[t], weight)
        flat = d_recurrent.view(-1, 3 * hidden)
        d_weight = flat.t() @ states[:-1].reshape(-1, hidden)
        d_projected = torch.cat((d_recurrent[..., : 2 * hidden], d_candidates), dim=2)
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
        enter, keep, new, show = _steps(gates, hidden)
        enter_and_keep, _ = _steps(gates, 2 * hidden)
        inputs, at, cell_at, all_gates, seen = (
            tensor.unbind() for tensor in (projected, states, cells, gates, squashed)
        )
        for t in range(length):
            torch.add(inputs[t], torch.addmm(bias, at[t], transposed), out=all_gates[t])
            enter_and_keep[t].sigmoid_()
            new[t].tanh_()
            show[t].sigmoid_()
            torch.mul(keep[t], cell_at[t], out=cell_at[t + 1]).addcmul_(enter[t], new[t])
            torch.tanh(cell_at[t + 1], out=seen[t])
            torch.mul(show[t], seen[t], out=at[t + 1])
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
        for_cell, for_enter, for_keep, for_new, for_show, keeps, d_output, d_all = (
            tensor.unbind()
            for tensor in (
                *(by_cell, by_enter, by_keep, by_new, by_show, keep),
                *(d_states, d_gates),
            )
        )
        d_enter, d_keep, d_new, d_show = _steps(d_gates, hidden)
        d_state, d_cell = torch.zeros_like(states[0]), torch.zeros_like(cells[0])
        for t in range(length - 1, -1, -1):
            d_state = d_state + d_output[t]
            d_cell = torch.addcmul(d_cell, d_state, for_cell[t])
            torch.mul(d_cell, for_enter[t], out=d_enter[t])
            torch.mul(d_cell, for_keep[t], out=d_keep[t])
            torch.mul(d_cell, for_new[t], out=d_new[t])
            torch.mul(d_state, for_show[t], out=d_show[t])
            d_cell = d_cell * keeps[t]
            d_state = d_all[t] @ weight
        flat = d_gates.view(-1, 4 * hidden)
        d_weight = flat.t() @ states[:-1].reshape(-1, hidden)
        return d_gates, d_state, d_cell, d_weight, flat.sum(0)


def _steps(tensor: Tensor, sizes: int | tuple[int, ...]) -> list[tuple[Tensor, ...]]:
    """Splits the last dimension, and returns views of each part, step by step.

    All views at once take a fraction of the time of one index after the other.
    """
    return [part.unbind() for part in tensor.split(sizes, dim=2)]


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


def gru_step(projected: Tensor, state: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Returns the next state (B, H), with the bits of a sequence of one step.

    It is the quicker one where no gradient is wanted.

    Args:
        projected: shape (B, 3H). For this and the others see :func:`gru_sequence`.
        state: shape (B, H).
        weight: of the state.
        bias: of the state.
    """
    hidden = state.shape[1]
    state = state.contiguous()  # as in a sequence, which matters for the last bits
    from_state = torch.addmm(bias, state, weight.t())
    gates = torch.add(projected[:, : 2 * hidden], from_state[:, : 2 * hidden]).sigmoid_()
    reset, update = gates[:, :hidden], gates[:, hidden:]
    new = torch.addcmul(projected[:, 2 * hidden :], reset, from_state[:, 2 * hidden :]).tanh_()
    return torch.lerp(new, state, update)


def lstm_step(
    projected: Tensor, state: Tensor, cell: Tensor, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns the next state and cell, (B, H) each; see :func:`gru_step`."""
    hidden = state.shape[1]
    gates = torch.add(projected, torch.addmm(bias, state.contiguous(), weight.t()))
    gates[:, : 2 * hidden].sigmoid_()
    gates[:, 2 * hidden : 3 * hidden].tanh_()
    gates[:, 3 * hidden :].sigmoid_()
    enter, keep, new, show = gates.chunk(4, dim=1)
    cell = torch.mul(keep, cell).addcmul_(enter, new)
    return show * torch.tanh(cell), cell
