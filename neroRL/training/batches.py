"""Mini batches: pieces of episodes, shuffled, and the distinct observations in them.

Everything here is arithmetic on indices in numpy, so nothing waits for a GPU.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Generator

from neroRL.training.rollout import Rollout


class PieceIndex(NamedTuple):
    """The places of a rollout's pieces; arrays of one entry per piece.

    Attributes:
        worker: the environment.
        first: the first step.
        length: number of steps.
    """

    worker: np.ndarray
    first: np.ndarray
    length: np.ndarray


class MiniBatch(NamedTuple):
    """Indices of one mini batch of M steps in B pieces of at most L steps.

    Attributes:
        rows: of the rollout's observations to compute, shape (R,).
        indices: position of each step's observation in ``rows``, shape (L, B); None where ``rows``
            are those of the steps in this order.
        steps: positions of the real steps in the flattened (L, B), shape (M,); None if all are.
        transitions: position of each real step in the flattened (T, N), shape (M,).
        first: position of each piece's first step in the flattened (T, N), shape (B,).
    """

    rows: np.ndarray
    indices: np.ndarray | None
    steps: np.ndarray | None
    transitions: np.ndarray
    first: np.ndarray


def cut_into_pieces(starts: np.ndarray, sequence_length: int) -> PieceIndex:
    """Cuts every episode of a rollout into pieces.

    Args:
        starts: whether a step starts an episode, shape (T, N). The first step of a rollout also
            starts a piece.
        sequence_length: longest piece; 0 or less leaves episodes whole.

    Returns:
        The pieces, worker by worker, in the order of time.
    """
    steps = len(starts)
    begins = starts.T.copy()
    begins[:, 0] = True
    if sequence_length > 0:
        time = np.arange(steps)
        last_begin = np.maximum.accumulate(np.where(begins, time, 0), axis=1)
        begins = (time - last_begin) % sequence_length == 0
    worker, first = np.nonzero(begins)
    ends = np.append(first[1:], 0)
    ends[np.append(worker[1:] != worker[:-1], True)] = steps
    return PieceIndex(worker, first, ends - first)


def mini_batches(
    rollout: Rollout, pieces: PieceIndex, count: int, generator: Generator
) -> list[MiniBatch]:
    """Shuffles the pieces and spreads them over mini batches, the remainder on the first ones.

    Args:
        rollout: the data.
        pieces: of the rollout.
        count: number of mini batches; there are fewer if there are fewer pieces.
        generator: on the CPU.
    """
    order = torch.randperm(len(pieces.first), generator=generator).numpy()
    parts = np.array_split(order, min(count, len(order)))
    return [_mini_batch(rollout, pieces, chosen) for chosen in parts]


def _mini_batch(rollout: Rollout, pieces: PieceIndex, chosen: np.ndarray) -> MiniBatch:
    num_envs = rollout.rows.shape[1]
    worker, first, length = pieces.worker[chosen], pieces.first[chosen], pieces.length[chosen]
    offset = np.arange(length.max())[:, None]
    real = offset < length
    positions = ((first + offset) * num_envs + worker).reshape(-1)
    steps = None if real.all() else np.flatnonzero(real)
    transitions = positions if steps is None else positions[steps]
    rows = rollout.rows.reshape(-1)[transitions]
    indices = None
    if rollout.distinct or steps is not None:
        of_real = np.arange(len(rows))
        if rollout.distinct:
            rows, of_real = np.unique(rows, return_inverse=True)
        indices = np.zeros(real.shape, np.int64)
        indices[real] = of_real
    return MiniBatch(rows, indices, steps, transitions, first * num_envs + worker)
