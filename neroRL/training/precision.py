"""Chooses the precision of a training's matrix products."""

from __future__ import annotations

import logging
import time

import torch
from torch import Tensor, nn
from torch.nn import functional

from neroRL.config import Config
from neroRL.models.actor_critic import ActorCritic
from neroRL.models.bfloat16 import LOW, product

logger = logging.getLogger("neroRL.training")

FLOAT32, BFLOAT16 = "float32", "bfloat16"
REPEATS = 5
MOST_ROWS = 1024
# Largest share of the time in float32 at which bfloat16 pays, since it is less exact.
MOST_TIME = 0.8


def use_precision(config: Config, model: ActorCritic, kept: str | None) -> str:
    """Lets a network multiply in the precision of a training, and returns which that is.

    It is float32 where no layer is large enough for another one.

    Args:
        config: of the training.
        model: on its device; changed in place.
        kept: the precision so far of a training that is continued.
    """
    precision = precision_of(config, model, kept)
    if precision == BFLOAT16 and not model.use_bfloat16(config.mini_batch_size):
        message = "precision: no layer is large enough for bfloat16 with mini batches of %d steps"
        logger.warning(message, config.mini_batch_size)
        return FLOAT32
    return precision


def precision_of(config: Config, model: ActorCritic, kept: str | None) -> str:
    """Returns the precision of a training's matrix products: float32 or bfloat16.

    Args:
        config: of the training.
        model: on its device.
        kept: the precision so far of a training that is continued.
    """
    if config.precision != "auto":
        return config.precision
    if kept is not None:
        return kept
    return BFLOAT16 if bfloat16_pays(model, config.mini_batch_size) else FLOAT32


def bfloat16_pays(model: ActorCritic, rows: int) -> bool:
    """Measures whether the linear layers of a network are faster in bfloat16; takes some 50 ms.

    Each layer is timed alone, from float32 to float32; several in a row can be faster.

    Args:
        model: on its device; stays as it is.
        rows: of a mini batch.
    """
    layers = [layer for layer in model.large_layers(rows) if isinstance(layer, nn.Linear)]
    weights = {layer.weight.shape: layer.weight for layer in layers}
    seconds = {False: 0.0, True: 0.0}
    for weight in weights.values():
        for low in seconds:
            seconds[low] += min(_seconds(weight, min(rows, MOST_ROWS), low) for _ in range(REPEATS))
    message = "%d linear layers of a mini batch take %.2f ms in float32, %.2f ms in bfloat16"
    logger.info(message, len(weights), 1e3 * seconds[False], 1e3 * seconds[True])
    return seconds[True] < MOST_TIME * seconds[False]


def _seconds(weight: Tensor, rows: int, low: bool) -> float:
    inputs = weight.new_ones((rows, weight.shape[1]), requires_grad=True)
    began = _now(weight.device)
    if low:
        outputs = product(inputs, weight, None, weight.detach().to(LOW))
    else:
        outputs = functional.linear(inputs, weight)
    torch.autograd.grad(outputs, (inputs, weight), torch.ones_like(outputs))
    return _now(weight.device) - began


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
