"""AdamW with one fused kernel, as quick to start as to step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version

BETAS = (0.9, 0.999)
EPSILON = 1e-8
WEIGHT_DECAY = 0.01
# Moments of weights without a gradient, as of units that never act again, decay to subnormal
# numbers and stay there: rounding keeps the smallest. A CPU takes many times longer for these.
SMALLEST_NORMAL = torch.finfo(torch.float32).tiny
STEPS_BETWEEN_FLUSHES = 100
# Beside an epsilon from here on, no subnormal moment changes the last bit of a step.
SMALLEST_EPSILON_TO_FLUSH = 1e-12


class FusedAdamW:
    """AdamW (Loshchilov and Hutter 2019), equal bit for bit to ``torch.optim.AdamW(fused=True)``.

    Torch's own class imports torch's compiler, which costs every process that trains about a second
    and 100 MB. This one calls the same kernel, and its state has the same form. But it sets
    subnormal moments to zero, unless epsilon is so small that they matter.

    Args:
        parameters: to optimise; float32, on one device.
        epsilon: added to the root of the second moment, so that parameters with gradients far below
            it move less.

    Example:
        >>> weight = nn.Parameter(torch.ones(1))
        >>> optimizer = FusedAdamW([weight])
        >>> weight.grad = torch.full((1,), 4.0)
        >>> optimizer.step(learning_rate=0.1)
        >>> round(weight.item(), 6)  # 1 · (1 - 0.1 · 0.01) - 0.1, whatever the gradient's size
        0.899
    """

    def __init__(self, parameters: Iterable[nn.Parameter], epsilon: float = EPSILON) -> None:
        self._parameters = list(parameters)
        self._epsilon = epsilon
        self._state: dict[int, dict[str, Tensor]] = {}
        device = self._parameters[0].device
        self._taken = 0
        # Of all parameters, in one tensor.
        self._steps = torch.zeros(len(self._parameters), dtype=torch.float32, device=device)

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Changes all parameters that have a gradient.

        Args:
            learning_rate: of this step.
        """
        gradients = [parameter.grad for parameter in self._parameters]
        having = [number for number, gradient in enumerate(gradients) if gradient is not None]
        states = [self._state_of(number) for number in having]
        steps = [state["step"] for state in states]
        if len(having) == len(self._parameters):
            self._steps.add_(1.0)  # one operation for all
        else:
            torch._foreach_add_(steps, 1.0)
        parameters = tuple(self._parameters[number] for number in having)
        torch._fused_adamw_(
            parameters,
            [gradient for gradient in gradients if gradient is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            steps,
            lr=learning_rate,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=WEIGHT_DECAY,
            eps=self._epsilon,
            amsgrad=False,
            maximize=False,
        )
        increment_version(parameters)  # the kernel does not tell that it has changed them
        self._taken += 1
        due = self._taken % STEPS_BETWEEN_FLUSHES == 0
        if due and self._epsilon >= SMALLEST_EPSILON_TO_FLUSH:
            _flush([state[name] for state in states for name in ("exp_avg", "exp_avg_sq")])

    def _state_of(self, number: int) -> dict[str, Tensor]:
        if number not in self._state:
            parameter = self._parameters[number]
            self._state[number] = {
                "step": self._steps[number].zero_(),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        return self._state[number]

    def state_dict(self) -> dict[str, Any]:
        """Returns the moments of each parameter by its number, as torch's class does."""
        group = {
            "betas": BETAS,
            "eps": self._epsilon,
            "weight_decay": WEIGHT_DECAY,
            "fused": True,
            "params": list(range(len(self._parameters))),
        }
        return {"state": self._state, "param_groups": [group]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes up a state of this class or of torch's."""
        self._state = {}
        for number, moments in state["state"].items():
            for name, moment in self._state_of(number).items():
                moment.copy_(moments[name])
        self._taken = int(self._steps.max())


def _flush(moments: Iterable[Tensor]) -> None:
    """Sets subnormal numbers to zero."""
    for moment in moments:
        moment.masked_fill_(moment.abs() < SMALLEST_NORMAL, 0.0)
