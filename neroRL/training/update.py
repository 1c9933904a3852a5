"""One PPO update: some epochs over the mini batches of a rollout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from neroRL.config.schema import TrainerConfig
from neroRL.environments.specification import VECTOR
from neroRL.models.actor_critic import ActorCritic
from neroRL.models.dense import DenseNetwork
from neroRL.models.memory.interface import Pieces
from neroRL.models.receptive_fields import Fields, FieldTable
from neroRL.models.transfer import on_device
from neroRL.training.batches import MiniBatch, cut_into_pieces, mini_batches
from neroRL.training.gradients import clip_gradients, gradient_norms
from neroRL.training.losses import Coefficients, Taken, Terms, means, ppo_loss
from neroRL.training.optimizer import FusedAdamW
from neroRL.training.rollout import Rollout
from neroRL.training.schedules import Hyperparameters

EPSILON = 1e-8


class UpdateStatistics(NamedTuple):
    """The statistics of an update.

    Attributes:
        gradient_norm: global norm before clipping. This, the losses, the entropy, the divergence
            and the clip fraction are means over all mini batches; see
            :class:`~neroRL.training.losses.Means`.
        value_mean: over the steps of the rollout.
        advantage_mean: over the steps of the rollout, before any normalisation.
        sequence_length: steps of the longest piece that was trained.
        module_norms: of the gradient of each module before clipping, means over all mini batches;
            empty unless they were asked for.
    """

    loss: float
    policy_loss: float
    value_loss: float
    entropy: float
    kl_divergence: float
    clip_fraction: float
    gradient_norm: float
    value_mean: float
    advantage_mean: float
    sequence_length: int
    module_norms: Mapping[str, float]


def update(
    model: ActorCritic,
    optimizer: FusedAdamW,
    rollout: Rollout,
    config: TrainerConfig,
    scheduled: Hyperparameters,
    generator: Generator,
) -> UpdateStatistics:
    """Optimises the network on one rollout.

    Args:
        model: changed in place.
        optimizer: of the model's parameters.
        rollout: the data.
        config: epochs, mini batches, coefficients.
        scheduled: this update's hyperparameters.
        generator: shuffles; on the CPU.

    Returns:
        Statistics, which are read from the device only once.
    """
    parameters = list(model.parameters())
    dense = model.dense_network()
    pieces = cut_into_pieces(rollout.starts, model.memory.sequence_length)
    returns = rollout.values + rollout.advantages
    raw_advantages = rollout.advantages
    if config.advantage_normalization == "batch":
        rollout = rollout._replace(advantages=normalised(raw_advantages))
    per_batch = config.advantage_normalization == "minibatch"
    coefficients = Coefficients(
        scheduled.clip_range, scheduled.beta, config.value_coefficient, config.clip_value_loss
    )
    collected: list[Tensor] = []
    module_norms: Mapping[str, Tensor] = {}
    for _ in range(config.epochs):
        batches = mini_batches(rollout, pieces, config.n_mini_batches, generator)
        terms: list[Terms] = []
        norms: list[Tensor] = []
        for batch, taken in _with_steps(batches, rollout, returns, normalise=per_batch):
            outputs, backward = _forward(model, dense, rollout, batch)
            gradient, of_batch = ppo_loss(outputs, model.distribution, taken, coefficients)
            backward(gradient)
            if config.gradient_norms:
                module_norms = gradient_norms(model)
            norms += [clip_gradients(parameters, config.max_grad_norm), *module_norms.values()]
            optimizer.step(scheduled.learning_rate)
            terms.append(of_batch)
        mean_norms = torch.stack(norms).view(len(batches), -1).mean(dim=0)
        collected.append(torch.cat((torch.stack(means(terms, scheduled.clip_range)), mean_norms)))
    of_rollout = torch.stack((rollout.values.mean(), raw_advantages.mean()))
    numbers = torch.cat((of_rollout, torch.stack(collected).mean(dim=0))).tolist()
    return _statistics(numbers, coefficients, list(module_norms), int(pieces.length.max()))


def _statistics(
    numbers: Sequence[float],
    coefficients: Coefficients,
    modules: Sequence[str],
    sequence_length: int,
) -> UpdateStatistics:
    value_mean, advantage_mean, policy, value, entropy, kl, clipped, norm, *rest = numbers
    return UpdateStatistics(
        loss=coefficients.value * value - policy - coefficients.beta * entropy,
        policy_loss=policy,
        value_loss=value,
        entropy=entropy,
        kl_divergence=kl,
        clip_fraction=clipped,
        gradient_norm=norm,
        value_mean=value_mean,
        advantage_mean=advantage_mean,
        sequence_length=sequence_length,
        module_norms=dict(zip(modules, rest, strict=True)),
    )


def normalised(advantages: Tensor) -> Tensor:
    """Shifts and scales rows to mean 0 and standard deviation 1; single values stay.

    Args:
        advantages: shape (…, M); the deviation is the unbiased one.
    """
    if advantages.shape[-1] < 2:
        return advantages
    mean = advantages.mean(dim=-1, keepdim=True)
    return (advantages - mean) / (advantages.std(dim=-1, keepdim=True) + EPSILON)


def _at(table: Tensor | FieldTable, rows: np.ndarray, device: torch.device) -> Tensor | Fields:
    """Returns rows of a table on a device, wherever the table is."""
    if isinstance(table, Tensor):  # its own device gets the rows: none waits for another
        return table[on_device(rows, table.device)].to(device)
    return table[on_device(rows, device)]


def _with_steps(
    batches: Sequence[MiniBatch], rollout: Rollout, returns: Tensor, *, normalise: bool
) -> Iterator[tuple[MiniBatch, Taken]]:
    """Yields the mini batches of an epoch with the data of their steps, gathered all at once.

    Args:
        batches: of the epoch.
        rollout: of the steps.
        returns: of all steps.
        normalise: whether to normalise the advantages of each mini batch.
    """
    sizes = [len(batch.transitions) for batch in batches]
    transitions = np.concatenate([batch.transitions for batch in batches])
    rows = on_device(transitions, returns.device)
    advantages = rollout.advantages[rows]
    if normalise:
        alike = len(set(sizes)) == 1
        groups = [advantages.view(len(sizes), -1)] if alike else advantages.split(sizes)
        advantages = torch.cat([normalised(group).flatten() for group in groups])
    others = rollout.actions, rollout.log_probs, rollout.values, returns
    actions, log_probs, values, returns = (tensor[rows] for tensor in others)
    of_steps = Taken(actions, log_probs, values, advantages, returns)
    parts = zip(*(tensor.split(sizes) for tensor in of_steps), strict=True)
    return zip(batches, map(Taken._make, parts), strict=True)


def _forward(
    model: ActorCritic, dense: DenseNetwork | None, rollout: Rollout, batch: MiniBatch
) -> tuple[Tensor, Callable[[Tensor], None]]:
    """Computes the outputs of the steps of a mini batch, shape (M, O).

    Returns:
        The outputs, and a function that turns their gradient into those of the parameters.
    """
    if dense is not None and batch.indices is None:
        vectors = _at(rollout.observations[VECTOR], batch.rows, rollout.values.device)
        assert isinstance(vectors, Tensor)
        return dense.outputs(vectors), dense.backward
    outputs = _outputs(model, rollout, batch)

    def backward(gradient: Tensor) -> None:
        model.zero_grad()
        # With a gradient, backward would import torch's symbolic shapes: 45 MiB.
        torch.dot(outputs.flatten(), gradient.flatten()).backward()

    return outputs, backward


def _outputs(model: ActorCritic, rollout: Rollout, batch: MiniBatch) -> Tensor:
    """Computes the outputs of the steps of a mini batch, shape (M, O)."""
    device = rollout.values.device
    pieces = Pieces(
        indices=None if batch.indices is None else on_device(batch.indices, device),
        steps=None if batch.steps is None else on_device(batch.steps, device),
        before=rollout.history.before(batch.first),
        starts=on_device(rollout.starts.reshape(-1)[batch.first], device),
    )
    features = model.features(
        {key: _at(table, batch.rows, device) for key, table in rollout.observations.items()}
    )
    return model.pieces(features, pieces)
