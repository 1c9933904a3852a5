"""Measures training with one technique switched off at a time."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.measuring import SPEED, Values, measure, medians
from benchmarks.ours import measure_training
from benchmarks.workloads import WORKLOADS
from neroRL.acting.features import Features
from neroRL.environments.cartpole.types import CartPole
from neroRL.environments.environment_type import EnvironmentType
from neroRL.environments.minigrid.types import Minigrid, MinigridVec
from neroRL.models import receptive_fields
from neroRL.models.distributions.interface import Distribution
from neroRL.models.heads import split
from neroRL.models.memory import recurrent
from neroRL.training import batches, rollout, trainer, update
from neroRL.training.losses import Coefficients, Taken, Terms
from neroRL.training.optimizer import WEIGHT_DECAY

UPDATES, MOST_ROUNDS = 2, 3
NAMES = ("W1", "W2", "W5")
ALL_ON, RELATIVE = "nothing (all on)", "relative_speed"


@contextlib.contextmanager
def everything_on() -> Iterator[None]:
    """Switches nothing off."""
    yield


@contextlib.contextmanager
def without_distinct_observations() -> Iterator[None]:
    """Computes every observation, in rollouts and in mini batches."""

    def all_rows(self: Features, ids: np.ndarray) -> np.ndarray:
        if int(ids.max()) >= len(self._row_of_id):
            self._row_of_id = np.full(2 * (int(ids.max()) + 1), -1, np.int64)
        first = self.length
        self._add(ids.copy())  # environments change their ids in place
        return np.arange(first, self.length)

    with (
        mock.patch.object(Features, "rows", all_rows),
        mock.patch.object(rollout, "MOST_DISTINCT", 0.0),
    ):
        yield


@contextlib.contextmanager
def without_distinct_fields() -> Iterator[None]:
    """Convolves every patch of the distinct observations."""
    with mock.patch.object(receptive_fields, "MOST_WORK", -1.0):
        yield


@contextlib.contextmanager
def all_off() -> Iterator[None]:
    """Switches off distinct observations, distinct fields and environments as arrays."""
    with without_distinct_observations(), without_distinct_fields(), without_batched_environments():
        yield


@contextlib.contextmanager
def without_batched_environments() -> Iterator[None]:
    """Steps real environments, one after the other."""
    with contextlib.ExitStack() as stack:
        for kind in (CartPole, Minigrid, MinigridVec):
            stack.enter_context(mock.patch.object(kind, "make_batch", EnvironmentType.make_batch))
        yield


@contextlib.contextmanager
def padding_to_the_longest_episode() -> Iterator[None]:
    """Pads pieces to the longest episode of a rollout, as the original neroRL does."""
    original = batches._mini_batch

    def padded(data: rollout.Rollout, pieces: batches.PieceIndex, chosen: np.ndarray):  # type: ignore[no-untyped-def]
        episodes = batches.cut_into_pieces(data.starts, 0)
        made = original(data, pieces, chosen)
        count = len(made.first)
        indices = np.arange(len(made.rows)) if made.indices is None else made.indices
        indices = indices.reshape(-1, count)
        padding = np.zeros((int(episodes.length.max()) - len(indices), count), indices.dtype)
        steps = np.arange(indices.size) if made.steps is None else made.steps
        return made._replace(indices=np.concatenate((indices, padding)), steps=steps)

    with mock.patch.object(batches, "_mini_batch", padded):
        yield


@contextlib.contextmanager
def recurrence_by_autograd() -> Iterator[None]:
    """Lets autograd record a GRU's backward pass, operation by operation."""

    def recorded(projected: Tensor, state: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        states = []
        for inputs in projected:
            of_input = inputs.chunk(3, 1)
            of_state = functional.linear(state, weight, bias).chunk(3, 1)
            reset, update = (torch.sigmoid(of_input[i] + of_state[i]) for i in (0, 1))
            candidate = torch.tanh(of_input[2] + reset * of_state[2])
            state = torch.lerp(candidate, state, update)
            states.append(state)
        return torch.stack(states)

    with mock.patch.object(recurrent, "gru_sequence", recorded):
        yield


@contextlib.contextmanager
def loss_by_autograd() -> Iterator[None]:
    """Lets autograd record PPO's loss, operation by operation."""

    def recorded(
        outputs: Tensor, distribution: Distribution, taken: Taken, coefficients: Coefficients
    ) -> tuple[Tensor, Terms]:
        outputs = outputs.detach().requires_grad_()
        parameters, values = split(outputs)
        clip_range, advantages = coefficients.clip_range, taken.advantages[:, None]
        evaluated = distribution.at(parameters, taken.actions)
        entropy = evaluated.entropy()
        log_ratio = evaluated.log_probs - taken.log_probs
        ratio = log_ratio.exp()
        clipped = ratio.clamp(1.0 - clip_range, 1.0 + clip_range)
        objective = torch.min(ratio * advantages, clipped * advantages)
        errors = (values - taken.returns).square()
        if coefficients.clip_value_loss:
            near = taken.values + (values - taken.values).clamp(-clip_range, clip_range)
            errors = torch.max(errors, (near - taken.returns).square())
        value = coefficients.value * errors.mean()
        loss = value - objective.mean() - coefficients.beta * entropy.mean()
        (gradient,) = torch.autograd.grad(loss, outputs)
        terms = objective, errors, entropy, log_ratio
        return gradient, Terms(*(term.detach() for term in terms))

    with mock.patch.object(update, "ppo_loss", recorded):
        yield


@contextlib.contextmanager
def giving_memory_back() -> Iterator[None]:
    """Returns freed memory to the system, which is glibc's default."""
    with mock.patch.object(trainer, "keep_freed_memory"):
        yield


@contextlib.contextmanager
def without_a_fused_optimizer() -> Iterator[None]:
    """Runs AdamW parameter by parameter."""
    with mock.patch.object(trainer, "FusedAdamW", _PlainAdamW):
        yield


class _PlainAdamW:
    def __init__(self, parameters: Iterable[torch.nn.Parameter], epsilon: float) -> None:
        self._optimizer = torch.optim.AdamW(
            parameters, eps=epsilon, weight_decay=WEIGHT_DECAY, foreach=False
        )

    def step(self, learning_rate: float) -> None:
        self._optimizer.param_groups[0]["lr"] = learning_rate
        self._optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        return self._optimizer.state_dict()


TECHNIQUES: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
    ALL_ON: everything_on,
    "distinct observations": without_distinct_observations,
    "distinct receptive fields": without_distinct_fields,
    "batched environments": without_batched_environments,
    "padding to the longest piece": padding_to_the_longest_episode,
    "written-out recurrence": recurrence_by_autograd,
    "written-out loss": loss_by_autograd,
    "fused optimiser": without_a_fused_optimizer,
    "keeping freed memory": giving_memory_back,
}


def measure_one(name: str, technique: str) -> Values:
    """Returns speed and memory of one workload with one technique off."""
    with TECHNIQUES[technique]():
        return measure_training(WORKLOADS[name].config(UPDATES + 1), UPDATES)


def run(rounds: int) -> dict[str, Any]:
    """Measures each technique in its own process, next to one with everything on."""
    runs: dict[str, dict[str, list[Values]]] = {t: {n: [] for n in NAMES} for t in TECHNIQUES}
    for _ in range(min(rounds, MOST_ROUNDS)):
        for technique, name in itertools.product(list(TECHNIQUES)[1:], NAMES):
            on, off = measure("ablation", name, ALL_ON), measure("ablation", name, technique)
            runs[ALL_ON][name].append(on)
            runs[technique][name].append({**off, RELATIVE: off[SPEED] / on[SPEED]})
    return {t: {name: medians(of_one) for name, of_one in r.items()} for t, r in runs.items()}


def table(results: dict[str, Any]) -> str:
    """Returns a table with a row for each technique."""
    lines = [
        "| speed without, of all on (peak MiB) | " + " | ".join(NAMES) + " |",
        "|---|" + "---|" * len(NAMES),
    ]
    for technique, r in results.items():
        speeds = [
            f"{r[n][RELATIVE]:.2f}" if RELATIVE in r[n] else f"{r[n][SPEED]:,.0f} steps/s"
            for n in NAMES
        ]
        cells = [
            f"{speed} ({r[n]['peak_mib']:,.0f})" for speed, n in zip(speeds, NAMES, strict=True)
        ]
        lines.append(f"| {technique} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(json.dumps(measure_one(sys.argv[1], sys.argv[2])))
