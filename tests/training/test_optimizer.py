"""Tests the optimiser against torch's, bit for bit, and what it spares the start."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

from neroRL.training.optimizer import FusedAdamW


def _network() -> nn.Module:
    torch.manual_seed(3)
    convolution = nn.Conv2d(3, 8, 3).to(memory_format=torch.channels_last)
    return nn.ModuleDict(
        {"convolution": convolution, "used": nn.Linear(8, 5), "no": nn.Linear(5, 5)}
    )


def _give_gradients(network: nn.Module, generator: torch.Generator) -> None:
    for name, parameter in network.named_parameters():
        if not name.startswith("no"):
            parameter.grad = torch.randn(parameter.shape, generator=generator)


def _torchs(network: nn.Module, epsilon: float) -> torch.optim.AdamW:
    return torch.optim.AdamW(network.parameters(), eps=epsilon, weight_decay=0.01, fused=True)


RATES = [3e-4, 1e-2, 0.0, 1e-3, 2.5e-4, 1.0]


@pytest.mark.parametrize("epsilon", [1e-8, 1e-3])
@pytest.mark.parametrize("taken_up", ["", "torch's", "ours"])
def test_steps_equal_those_of_torch_bit_for_bit(taken_up, epsilon):
    """Also after one has taken up the state of the other, and with parameters without gradients."""
    mine = _network()
    theirs = copy.deepcopy(mine)
    ours, torchs = FusedAdamW(mine.parameters(), epsilon), _torchs(theirs, epsilon)
    for step, rate in enumerate(RATES):
        _give_gradients(mine, torch.Generator().manual_seed(step))
        _give_gradients(theirs, torch.Generator().manual_seed(step))
        torchs.param_groups[0]["lr"] = rate
        torchs.step()
        ours.step(rate)
        if step == 2 and taken_up == "torch's":
            ours = FusedAdamW(mine.parameters(), epsilon)
            ours.load_state_dict(torchs.state_dict())
        if step == 2 and taken_up == "ours":
            torchs = _torchs(theirs, epsilon)
            torchs.load_state_dict(
                {**_torchs(theirs, epsilon).state_dict(), **copy.deepcopy(ours.state_dict())}
            )
            torchs.param_groups[0].update(lr=rate)
    for one, other in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)
    state, known = ours.state_dict()["state"], torchs.state_dict()["state"]
    assert state.keys() == known.keys() == {0, 1, 2, 3}
    assert all(torch.equal(state[n][key], known[n][key]) for n in state for key in known[n])


@pytest.mark.parametrize("taken_up_at", [None, 950])
def test_moments_of_a_dead_unit_become_zero_and_no_weight_differs(taken_up_at):
    """torch's own stay at the smallest subnormal number; also after a state was taken up."""
    mine = _network()
    theirs = copy.deepcopy(mine)
    ours, torchs = FusedAdamW(mine.parameters()), _torchs(theirs, 1e-8)
    torchs.param_groups[0]["lr"] = 1e-3
    for step in range(1040):  # so that the last flush was at 1000, and not at another step
        for network in (mine, theirs):
            _give_gradients(network, torch.Generator().manual_seed(step % 10))
            if step >= 100:
                network["used"].weight.grad[1] = 0.0
        ours.step(1e-3)
        torchs.step()
        if step == taken_up_at:
            state = ours.state_dict()
            ours = FusedAdamW(mine.parameters())
            ours.load_state_dict(state)
    for one, other in zip(mine.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)
    dead, alive = (ours.state_dict()["state"][2]["exp_avg"][row] for row in (1, 0))
    of_torch = torchs.state_dict()["state"][2]["exp_avg"][1]
    assert (of_torch != 0.0).all()
    assert of_torch.abs().max() < torch.finfo(torch.float32).tiny
    assert (dead == 0.0).all()
    assert torch.equal(alive, torchs.state_dict()["state"][2]["exp_avg"][0])


def test_moments_that_matter_beside_a_tiny_epsilon_stay():
    """The square of a gradient of 1e-20 is subnormal, and its root is not."""
    weights = [nn.Parameter(torch.zeros(3)) for _ in range(2)]
    ours = FusedAdamW(weights[:1], 1e-30)
    torchs = torch.optim.AdamW(weights[1:], lr=1e-3, eps=1e-30, weight_decay=0.01, fused=True)
    for _ in range(300):
        for weight in weights:
            weight.grad = torch.full((3,), 1e-20)
        ours.step(1e-3)
        torchs.step()
    assert torch.equal(*weights)
    assert weights[0].abs().min() > 0.1


def test_a_state_that_was_taken_up_is_not_changed():
    network = _network()
    optimizer = FusedAdamW(network.parameters())
    _give_gradients(network, torch.Generator().manual_seed(0))
    optimizer.step(0.1)
    state = copy.deepcopy(optimizer.state_dict())
    kept = copy.deepcopy(state)
    again = FusedAdamW(network.parameters())
    again.load_state_dict(state)
    again.step(0.1)
    assert torch.equal(state["state"][0]["exp_avg"], kept["state"][0]["exp_avg"])
    assert state["state"][0]["step"] == 1


START = """
import sys
from neroRL.train import ntrain

sys.argv = ["ntrain", "--config=tiny.yaml", "hydra.run.dir=job"]
assert ntrain() == 0
assert "torch.optim" in sys.modules
print([name for name in ("torch._dynamo", "torch._inductor", "sympy") if name in sys.modules])
"""


@pytest.mark.slow
def test_a_training_imports_neither_torchs_compiler_nor_its_symbolic_shapes(tiny, tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", START], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == "[]"
