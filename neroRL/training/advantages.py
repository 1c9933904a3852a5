"""Generalised advantage estimation (Schulman et al. 2016, equation 16)."""

from __future__ import annotations

import numpy as np


def generalised_advantages(
    rewards: np.ndarray,
    values: np.ndarray,
    next_values: np.ndarray,
    ended: np.ndarray,
    gamma: float,
    lamda: float,
) -> np.ndarray:
    """Estimates advantages.

    Args:
        rewards: r_t, shape (T, N).
        values: V(s_t), shape (T, N).
        next_values: V(s_{t+1}) within the same episode, shape (T, N): 0 after a termination, the
            value of the final observation where a time limit cut the episode.
        ended: whether the episode ended with step t, shape (T, N).
        gamma: discount.
        lamda: weight of longer estimates.

    Returns:
        Advantages, shape (T, N): the sum of (gamma · lamda)^k · delta_{t+k} over the rest of the
        episode, delta_t = r_t + gamma · V(s_{t+1}) - V(s_t).
    """
    deltas = rewards + gamma * next_values - values
    decay = np.where(ended, 0.0, gamma * lamda).astype(values.dtype)
    advantages = np.empty_like(values)
    following = np.zeros_like(values[0])
    for t in range(len(values) - 1, -1, -1):
        following = deltas[t] + decay[t] * following
        advantages[t] = following
    return advantages
