"""Distributions side by side, for actions of several kinds.

Shapes are named as in the interface.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Generator, Tensor, nn

from neroRL.models.distributions.interface import Distribution, Evaluated


class SideBySide(Distribution):
    """Independent distributions, each over a part of the action, with branches of their own.

    An action is one row of numbers, in which choices and bits are whole ones: floats hold these
    exactly.

    >>> from neroRL.environments.specification import Continuous
    >>> from neroRL.models.distributions.categorical import Categoricals
    >>> from neroRL.models.distributions.gaussian import Gaussian
    >>> gaussian = Gaussian(Continuous((-1.0,), (1.0,)), log_std_init=0.0)
    >>> distribution = SideBySide([Categoricals((3,)), gaussian])
    >>> parameters = torch.tensor([[0.0, 9.0, 0.0, 5.0, 0.0]])  # 3 logits, a mean, a deviation
    >>> distribution.mode(parameters), distribution.for_environment(distribution.mode(parameters))
    (tensor([[1., 5.]]), array([[1., 1.]]))
    >>> distribution.branches
    2

    Args:
        parts: the distributions, those of numbers last.
    """

    def __init__(self, parts: Sequence[Distribution]) -> None:
        self._parts = list(parts)
        self._sizes = [part.size for part in parts]
        self._branches = [part.branches for part in parts]
        self.size, self.branches = sum(self._sizes), sum(self._branches)
        generator = torch.Generator()
        # How many numbers each part's actions and noise have, and of which kind the actions are.
        actions = [part.mode(torch.zeros(1, part.size)) for part in parts]
        noise = [part.noise(1, 1, generator, torch.float32) for part in parts]
        self._widths = [action.shape[1] for action in actions]
        self._whole = [not action.is_floating_point() for action in actions]
        self._noise_widths = [drawn.shape[2] for drawn in noise]

    def layer(self, inputs: int) -> nn.Module:
        """Returns the layers of the parts, whose outputs stand side by side."""
        return _Layers([part.layer(inputs) for part in self._parts])

    def noise(self, steps: int, count: int, generator: Generator, dtype: torch.dtype) -> Tensor:
        """Draws the noise of each part, side by side, shape (steps, count, …)."""
        return torch.cat([p.noise(steps, count, generator, dtype) for p in self._parts], dim=2)

    def sample(self, parameters: Tensor, noise: Tensor) -> Tensor:
        """Returns actions side by side, floats of shape (N, numbers of an action)."""
        noises = noise.split(self._noise_widths, dim=1)
        drawn = [
            part.sample(own, its_noise)
            for part, own, its_noise in zip(
                self._parts, self._split(parameters), noises, strict=True
            )
        ]
        return torch.cat([action.to(parameters.dtype) for action in drawn], dim=1)

    def mode(self, parameters: Tensor) -> Tensor:
        """Returns the most probable actions side by side, shape (N, numbers of an action)."""
        pairs = zip(self._parts, self._split(parameters), strict=True)
        return torch.cat([part.mode(own).to(parameters.dtype) for part, own in pairs], dim=1)

    def probabilities(self, parameters: Tensor) -> list[Tensor]:
        """Returns the probabilities of the choices of those branches that have choices."""
        pairs = zip(self._parts, self._split(parameters), strict=True)
        return [branch for part, own in pairs for branch in part.probabilities(own)]

    def at(self, parameters: Tensor, actions: Tensor) -> Evaluated:
        """Evaluates the parameters of all parts, (M, P), at actions side by side."""
        triples = zip(
            self._parts, self._split(parameters), self._split_actions(actions), strict=True
        )
        evaluated = [part.at(own, taken) for part, own, taken in triples]
        return _Evaluated(evaluated, self._sizes, self._branches)

    def for_environment(self, actions: Tensor) -> np.ndarray:
        """Returns the actions side by side, float64, each as its part gives it."""
        pairs = zip(self._parts, self._split_actions(actions), strict=True)
        given = [part.for_environment(own) for part, own in pairs]
        return np.concatenate(given, axis=1, dtype=np.float64)

    def _split(self, parameters: Tensor) -> Sequence[Tensor]:
        parts: Sequence[Tensor] = parameters.split(self._sizes, dim=1)
        return parts

    def _split_actions(self, actions: Tensor) -> list[Tensor]:
        pieces = actions.split(self._widths, dim=1)
        return [
            piece.long() if whole else piece
            for piece, whole in zip(pieces, self._whole, strict=True)
        ]


class _Layers(nn.ModuleList):
    def forward(self, units: Tensor) -> Tensor:
        return torch.cat([layer(units) for layer in self], dim=-1)


class _Evaluated(Evaluated):
    def __init__(self, parts: Sequence[Evaluated], sizes: list[int], branches: list[int]) -> None:
        self._parts, self._sizes, self._branches = parts, sizes, branches
        self.log_probs = torch.cat([part.log_probs for part in parts], dim=1)

    def entropy(self) -> Tensor:
        return torch.stack([part.entropy() for part in self._parts]).sum(dim=0)

    def write_gradient(self, of_log_probs: Tensor, of_entropy: float, out: Tensor) -> None:
        of_parts = of_log_probs.split(self._branches, dim=1)
        outs = out.split(self._sizes, dim=1)
        for part, of_part, its_out in zip(self._parts, of_parts, outs, strict=True):
            part.write_gradient(of_part, of_entropy, its_out)
