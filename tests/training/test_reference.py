"""Compares an update with a naive reference written as loops from the equations, in float64."""

from __future__ import annotations

import copy
import math
from unittest import mock

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from neroRL.config.checks import build
from neroRL.environments.specification import Binary, Continuous, EnvironmentSpec
from neroRL.models.actor_critic import ActorCritic
from neroRL.models.memory.interface import History
from neroRL.models.memory.none import NoMemory, Nothing
from neroRL.models.memory.recurrent import StateHistory
from neroRL.models.memory.transformer import TransformerMemory
from neroRL.models.memory.window import WindowHistory
from neroRL.training import gradients
from neroRL.training.optimizer import FusedAdamW
from neroRL.training.rollout import Rollout
from neroRL.training.schedules import Hyperparameters
from neroRL.training.update import update
from tests.models.naive_transformer import naive_features, position

T, N = 12, 3
# By the kind of actions: what the environment takes.
ACTIONS = {
    "choices": (3, 2),
    "numbers": Continuous((-1.0, -math.inf), (1.0, math.inf)),
    "bits": Binary(3),
}
SCHEDULED = Hyperparameters(learning_rate=0.01, beta=0.02, clip_range=0.1)
RECURRENT = {
    "gru": {"layer_type": "gru", "hidden_state_size": 5, "sequence_length": 4},
    "lstm": {"layer_type": "lstm", "hidden_state_size": 5, "sequence_length": 0},
    "learned": {"hidden_state_size": 5, "sequence_length": 5, "hidden_state_init": "learned"},
    "residual": {"hidden_state_size": 5, "num_layers": 2, "residual": True, "sequence_length": 3},
}
SMALL = {"num_blocks": 2, "embed_dim": 6, "num_heads": 2, "memory_length": 4}
MEMORIES = {
    "none": {},
    **{name: {"recurrence": values} for name, values in RECURRENT.items()},
    "transformer": {"transformer": {**SMALL, "positional_encoding": "learned"}},
    "gated": {"transformer": {**SMALL, "gtrxl": True, "gtrxl_bias": 1.0}},
}
# Columns of the transformer's memory before the rollout: a whole window.
CARRIED = 4


def _specification(actions: str = "choices") -> EnvironmentSpec:
    return EnvironmentSpec(None, "uint8", 4, ACTIONS[actions])


def _config(memory: str, normalization: str, **trainer):
    return build(
        {
            "model": {
                "num_vec_encoder_units": 6,
                "num_hidden_layers": 1,
                "num_hidden_units": 7,
                "log_std_init": -0.4,
                **MEMORIES[memory],
            },
            "sampler": {"n_workers": N, "worker_steps": T},
            "trainer": {
                "epochs": 2,
                "n_mini_batches": 4,
                "advantage_normalization": normalization,
                "max_grad_norm": 0.3,
                **trainer,
            },
        }
    )


def _rollout(model: ActorCritic, distinct: bool, kind: str = "choices") -> Rollout:
    """Makes a rollout of episodes of unequal length whose observations repeat."""
    generator = torch.Generator().manual_seed(7)
    table = torch.randn(9, 4, generator=generator, dtype=torch.float64)
    rows = torch.randint(9, (T, N), generator=generator).numpy()
    starts = np.zeros((T, N), np.bool_)
    for worker, times in enumerate(([0, 5, 6], [3], [0, 9])):
        starts[times, worker] = True
    actions = _actions(kind, generator)
    real = torch.randn(T * N, 3, generator=generator, dtype=torch.float64)
    # Those of the initial policy are around these: ratios are around 1.
    likely = {"choices": [-0.9, -0.9], "numbers": [-2.6], "bits": [-0.7] * 3}[kind]
    log_probs = torch.tensor(likely, dtype=torch.float64) + 0.1 * real[:, :1]
    return Rollout(
        {"vector": table}, rows, distinct, starts, actions, log_probs,
        real[:, 1].clone(), real[:, 2].clone(), _history(model, starts, generator), [],
    )  # fmt: skip


def _actions(kind: str, generator: torch.Generator) -> torch.Tensor:
    if kind == "numbers":
        return torch.randn(T * N, 2, generator=generator, dtype=torch.float64)
    counts = {"choices": (3, 2), "bits": (2, 2, 2)}[kind]
    return torch.stack([torch.randint(n, (T * N,), generator=generator) for n in counts], dim=1)


class _Remembered(WindowHistory):
    """A transformer's history that keeps each block's inputs as they were, without encodings."""

    def __init__(self, memory, starts, generator):
        size = (len(memory.blocks), N, CARRIED + T, memory.output_size)
        self.inputs = torch.randn(size, generator=generator, dtype=torch.float64)
        columns = np.where(starts, CARRIED + np.arange(T)[:, None], -1)
        self.begins = np.maximum.accumulate(columns, axis=0)  # older steps are in column -1
        items = self.inputs.clone()
        for t, worker in np.ndindex(CARRIED + T, N):
            begin = self.begins[max(t - CARRIED, 0), worker]
            if t >= begin:
                items[:, worker, t] += position(memory, t - begin, learned=False)
        super().__init__(list(items), self.begins, memory.window)

    def past(self, t, worker):
        """Returns all blocks' inputs at each earlier step of an episode; None if forgotten."""
        begin = self.begins[t, worker]
        return [
            None if column < 0 else list(self.inputs[:, worker, column])
            for column in range(begin, CARRIED + t)
        ]


def _history(model: ActorCritic, starts: np.ndarray, generator: torch.Generator) -> History:
    if isinstance(model.memory, NoMemory):
        return Nothing()
    if isinstance(model.memory, TransformerMemory):
        return _Remembered(model.memory, starts, generator)
    shape = (T * N, model.memory.state_size)
    return StateHistory(torch.randn(shape, generator=generator, dtype=torch.float64))


def _naive_pieces(starts: np.ndarray, sequence_length: int) -> list[list[tuple[int, int]]]:
    pieces = []
    for worker in range(N):
        piece: list[tuple[int, int]] = []
        for t in range(T):
            full = sequence_length > 0 and len(piece) == sequence_length
            if piece and (starts[t, worker] or full):
                pieces.append(piece)
                piece = []
            piece.append((t, worker))
        pieces.append(piece)
    return pieces


def _naive_outputs(model, rollout, piece):
    """Computes the logits and value of each step of a piece, one step at a time."""
    t, worker = piece[0]
    if isinstance(rollout.history, _Remembered):
        features = model.encoder(_observation(rollout, t, worker))
        embedded = model.memory.embedding(features)[0]
        past = rollout.history.past(t, worker)
        features, _ = naive_features(model.memory, embedded, past)
        yield model.heads(model.hidden(features))
        return
    state = rollout.history.before(np.array([t * N + worker]))
    initial = dict(model.memory.named_parameters()).get("initial")
    if initial is not None and rollout.starts[t, worker]:
        state = initial[None]
    for t, worker in piece:
        features = model.encoder(_observation(rollout, t, worker))
        if state is not None:
            features, state = _naive_recurrence(model.memory, features, state)
        yield model.heads(model.hidden(features))[0]


def _observation(rollout, t, worker):
    return {"vector": rollout.observations["vector"][rollout.rows[t, worker]][None]}


def _naive_recurrence(memory, features, state):
    """Computes one step of stacked GRU or LSTM layers, gate by gate."""
    config = memory._config
    size = config.hidden_state_size
    x = embedded = memory.embedding(features)
    after = []
    for layer, (to_gates, recurrent) in enumerate(
        zip(memory.projections, memory.recurrents, strict=True)
    ):
        if config.layer_type == "gru":
            h = state[:, layer * size : (layer + 1) * size]
            xr, xz, xn = to_gates(x).chunk(3, dim=1)
            hr, hz, hn = recurrent(h).chunk(3, dim=1)
            r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
            h = (1 - z) * torch.tanh(xn + r * hn) + z * h
            after += [h]
        else:
            h, c = state[:, 2 * layer * size : 2 * (layer + 1) * size].chunk(2, dim=1)
            i, f, g, o = (to_gates(x) + recurrent(h)).chunk(4, dim=1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            after += [h, c]
        x = h
    return x + embedded if config.residual else x, torch.cat(after, dim=1)


def _naive_choices(output, action):
    """Returns the log-probability of each branch, and the entropy, of two categoricals."""
    policies = [torch.softmax(output[:3], 0), torch.softmax(output[3:5], 0)]
    log_probs = [torch.log(p[taken]) for p, taken in zip(policies, action, strict=True)]
    return log_probs, -sum(q * torch.log(q) for p in policies for q in p)


def _naive_numbers(output, action):
    """The same of a normal distribution of two numbers with a diagonal covariance."""
    density, entropy = 1.0, 0.0
    for mean, log_std, number in zip(output[:2], output[2:4], action, strict=True):
        variance = torch.exp(log_std) ** 2
        scale = torch.sqrt(2 * math.pi * variance)
        density = density * torch.exp(-((number - mean) ** 2) / (2 * variance)) / scale
        entropy = entropy + 0.5 * torch.log(2 * math.pi * math.e * variance)
    return [torch.log(density)], entropy


def _naive_bits(output, action):
    """The same of three Bernoulli distributions, a branch each."""
    ones = [1 / (1 + torch.exp(-logit)) for logit in output[:3]]
    log_probs = [
        torch.log(p if bit == 1 else 1 - p) for p, bit in zip(ones, action.tolist(), strict=True)
    ]
    return log_probs, -sum(q * torch.log(q) for p in ones for q in (p, 1 - p))


NAIVE = {"choices": _naive_choices, "numbers": _naive_numbers, "bits": _naive_bits}


def _naive_update(model, rollout, config, kind="choices"):
    """Computes an update with every equation of PPO as a loop over single steps."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=SCHEDULED.learning_rate, eps=1e-8, weight_decay=0.01, foreach=False
    )
    trainer = config.trainer
    pieces = _naive_pieces(rollout.starts, model.memory.sequence_length)
    generator = torch.Generator().manual_seed(1)
    whole = [float(a) for a in rollout.advantages]
    for _ in range(trainer.epochs):
        order = torch.randperm(len(pieces), generator=generator).tolist()
        count = trainer.n_mini_batches
        sizes = [len(order) // count + (rank < len(order) % count) for rank in range(count)]
        for size in sizes:
            chosen, order = order[:size], order[size:]
            steps = [step for number in chosen for step in pieces[number]]
            batch = [float(rollout.advantages[t * N + worker]) for t, worker in steps]
            source = {"minibatch": batch, "batch": whole, "no": None}[
                trainer.advantage_normalization
            ]
            policy, value, entropy = [], [], []
            for number in chosen:
                outputs = _naive_outputs(model, rollout, pieces[number])
                for (t, worker), output in zip(pieces[number], outputs, strict=True):
                    at = t * N + worker
                    raw = float(rollout.advantages[at])
                    advantage = raw
                    if source is not None:
                        mean = sum(source) / len(source)
                        variance = sum((a - mean) ** 2 for a in source) / (len(source) - 1)
                        advantage = (raw - mean) / (math.sqrt(variance) + 1e-8)
                    log_probs, step_entropy = NAIVE[kind](output, rollout.actions[at])
                    low, high = 1 - SCHEDULED.clip_range, 1 + SCHEDULED.clip_range
                    for log_prob, before in zip(log_probs, rollout.log_probs[at], strict=True):
                        ratio = torch.exp(log_prob - before)
                        policy.append(
                            torch.min(ratio * advantage, ratio.clamp(low, high) * advantage)
                        )
                    entropy.append(step_entropy)
                    v, old = output[-1], rollout.values[at]
                    target = old + raw
                    near = old + (v - old).clamp(-SCHEDULED.clip_range, SCHEDULED.clip_range)
                    errors = [(v - target) ** 2]
                    if trainer.clip_value_loss:
                        errors.append((near - target) ** 2)
                    value.append(max(errors))
            loss = -(
                sum(policy) / len(policy)
                - trainer.value_coefficient * sum(value) / len(value)
                + SCHEDULED.beta * sum(entropy) / len(entropy)
            )
            optimizer.zero_grad()
            loss.backward()
            for parameter in model.parameters():
                if parameter.grad is None:  # no step has a past; with padding it would be 0
                    parameter.grad = torch.zeros_like(parameter)
            norm = math.sqrt(sum(float(p.grad.square().sum()) for p in model.parameters()))
            for parameter in model.parameters():
                parameter.grad *= min(1.0, trainer.max_grad_norm / (norm + 1e-6))
            optimizer.step()


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("normalization", ["minibatch", "batch", "no"])
@pytest.mark.parametrize("distinct", [True, False])
def test_update_equals_the_naive_reference(memory, normalization, distinct):
    _compare(_config(memory, normalization), distinct, "choices")


@pytest.mark.parametrize("kind", ["numbers", "bits"])
@pytest.mark.parametrize("memory", ["none", "gru", "transformer"])
@pytest.mark.parametrize("distinct", [True, False])
def test_other_actions_update_as_the_naive_reference(memory, kind, distinct):
    moved = _compare(_config(memory, "minibatch"), distinct, kind)
    assert (moved.get("heads.policy.log_std", 0.0) > 0.01) == (kind == "numbers")


@pytest.mark.parametrize("memory", ["none", "gru"])
def test_values_that_are_not_clipped_update_as_the_naive_reference(memory):
    unclipped, clipped = (
        _compare(_config(memory, "minibatch", clip_value_loss=clip), True, "numbers")
        for clip in (False, True)
    )
    assert unclipped["heads.value.weight"] != pytest.approx(clipped["heads.value.weight"], rel=0.01)


def test_first_steps_alone_update_as_the_naive_reference():
    """Where no step of a mini batch has a past, weights of attention decay as elsewhere."""
    _compare(_config("transformer", "no", n_mini_batches=T * N, epochs=1), True, "choices")


def _compare(config, distinct, kind) -> dict[str, float]:
    """Compares all weights after an update; returns how far each has moved."""
    torch.manual_seed(0)
    model = ActorCritic(config.model, _specification(kind)).double()
    reference, initial = copy.deepcopy(model), copy.deepcopy(model.state_dict())
    rollout = _rollout(model, distinct, kind)
    generator = torch.Generator().manual_seed(1)
    update(model, FusedAdamW(model.parameters()), rollout, config.trainer, SCHEDULED, generator)
    _naive_update(reference, rollout, config, kind)
    moved = {}
    for (name, ours), theirs in zip(model.named_parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-10, rtol=0, msg=name)
        moved[name] = float((ours - initial[name]).detach().abs().max())
    assert max(moved.values()) > 0.01  # eight steps with a learning rate of 0.01
    return moved


class _Reads(TorchDispatchMode):
    """Records the operations that make the program wait for results of a GPU."""

    READING = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "unique")

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name()
        if any(name.startswith(f"aten::{reading}") for reading in self.READING):
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("distinct", [True, False])
def test_an_update_does_not_wait_for_the_device(memory, distinct):
    config = _config(memory, "minibatch")
    model = ActorCritic(config.model, _specification()).double()
    rollout = _rollout(model, distinct)
    on_a_gpu = mock.patch.object(gradients, "_quick_to_read", return_value=False)
    with on_a_gpu, _Reads() as reads:
        update(
            model,
            FusedAdamW(model.parameters()),
            rollout,
            config.trainer,
            SCHEDULED,
            torch.Generator(),
        )
    assert not reads.seen
    with _Reads() as reads:
        rollout.values.sum().item()
    assert reads.seen
