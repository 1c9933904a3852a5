"""Makes the memory of a config."""

from __future__ import annotations

from torch import nn

from neroRL.config.schema import ModelConfig
from neroRL.models.memory.interface import Memory
from neroRL.models.memory.none import NoMemory
from neroRL.models.memory.recurrent import RecurrentMemory
from neroRL.models.memory.transformer import TransformerMemory


def make_memory(
    config: ModelConfig, input_size: int, activation: nn.Module, max_episode_steps: int | None
) -> Memory:
    """Makes the memory that a model's config asks for.

    Args:
        config: of the model.
        input_size: features of the encoder.
        activation: follows an embedding of them.
        max_episode_steps: of the environment; None where it is not known.
    """
    if config.transformer is not None:
        return TransformerMemory(config.transformer, input_size, activation, max_episode_steps)
    if config.recurrence is not None:
        return RecurrentMemory(config.recurrence, input_size, activation)
    return NoMemory(input_size)
