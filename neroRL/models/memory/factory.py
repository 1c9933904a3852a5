"""Makes the memory of a config."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from neroRL.config.schema import ModelConfig
from neroRL.models.memory.interface import Inputs, Memory
from neroRL.models.memory.none import NoMemory
from neroRL.models.memory.recurrent import RecurrentMemory
from neroRL.models.memory.transformer import TransformerMemory

# By the section of ``model`` that configures it.
MEMORIES: dict[str, Callable[[Any, Inputs], Memory]] = {
    "recurrence": RecurrentMemory,
    "transformer": TransformerMemory,
}


def make_memory(config: ModelConfig, inputs: Inputs) -> Memory:
    """Makes the memory that a model's config asks for.

    Args:
        config: of the model, with one memory at most.
        inputs: of the memory.
    """
    for name, given in config.memories.items():
        return MEMORIES[name](given, inputs)
    return NoMemory(inputs)
