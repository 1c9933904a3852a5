"""The transformer memory written from its equations, one step and one head at a time."""

from __future__ import annotations

import math

import torch


def naive_features(memory, embedded, past):
    """Computes the memory's output for one step.

    Args:
        memory: the transformer.
        embedded: the step's embedding, shape (D,).
        past: the inputs of all blocks at each earlier step of the episode.

    Returns:
        The output, shape (D,), and the inputs of all blocks at this step.
    """
    config = memory._config
    time = len(past)
    window = time if config.memory_length == -1 else config.memory_length
    inputs, h = [], embedded
    for number, block in enumerate(memory.blocks):
        inputs.append(h.detach())
        if config.add_positional_encoding_to_query:
            h = h + position(memory, max(time - 1, 0), learned=False)
        first = max(time - window, 0)
        seen = [past[t][number] + position(memory, t) for t in range(first, time)]
        h = _naive_block(config, block, h, seen)
    return h, inputs


def position(memory, time, learned=True):
    """Returns the encoding of a time; zeros in place of a learned one if those are not wanted."""
    config = memory._config
    size = config.embed_dim
    if config.positional_encoding == "learned" and learned:
        return memory.positions[time % len(memory.positions)]
    numbers = [0.0] * size
    if config.positional_encoding == "absolute":
        place = memory._last - time
        for i in range(size // 2):
            angle = place / 10000 ** (2 * i / size)
            numbers[i], numbers[size // 2 + i] = math.sin(angle), math.cos(angle)
    return torch.tensor(numbers, dtype=torch.float64)


def _naive_block(config, block, h, seen):
    part = config.embed_dim // config.num_heads
    pre, post = config.layer_norm == "pre", config.layer_norm == "post"
    query = block.norm_attention(h) if pre else h
    memories = [block.norm_memory(item) if pre else item for item in seen]
    answer = torch.zeros_like(h)
    for head in range(config.num_heads):
        of_head = slice(head * part, (head + 1) * part)
        asked = block.queries.weight[of_head] @ query
        scores = [asked @ (block.keys.weight[of_head] @ item) for item in memories]
        weights = [torch.exp(score / math.sqrt(config.embed_dim)) for score in scores]
        values = [block.values.weight[of_head] @ item for item in memories]
        if values:
            answer[of_head] = sum(w * v for w, v in zip(weights, values, strict=True)) / sum(
                weights
            )
    h = _naive_residual(config, block, 0, h, block.merge.weight @ answer + block.merge.bias)
    h = block.norm_attention(h) if post else h
    dense = torch.relu(block.dense(block.norm_dense(h) if pre else h))
    h = _naive_residual(config, block, 1, h, dense)
    return block.norm_dense(h) if post else h


def _naive_residual(config, block, number, x, y):
    if not config.gtrxl:
        return x + y
    gate = block.gates[number]
    if config.gtrxl_swap:
        x, y = y, x
    wr, wz, wg = gate.of_output.weight.chunk(3)
    ur, uz = gate.of_input.weight.chunk(2)
    r = torch.sigmoid(wr @ y + ur @ x)
    z = torch.sigmoid(wz @ y + uz @ x - gate.bias)
    return (1 - z) * x + z * torch.tanh(wg @ y + gate.of_reset.weight @ (r * x))
