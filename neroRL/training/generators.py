"""The generators of a training's random numbers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

logger = logging.getLogger("neroRL.training")


class Generators:
    """Draws actions on the device of the network, and the order of mini batches on the CPU.

    Args:
        seed: of the training.
        device: of the network.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._seed, self._device = seed, device
        self.policy = torch.Generator(device).manual_seed(seed)
        self.shuffle = torch.Generator().manual_seed(seed)

    def state_dict(self) -> dict[str, Any]:
        """Returns the states, and the type of the device to which that of the policy belongs."""
        return {
            "device": self._device.type,
            "policy": self.policy.get_state(),
            "shuffle": self.shuffle.get_state(),
        }

    def load_state_dict(self, states: Mapping[str, Any], update: int) -> None:
        """Restores the states of a checkpoint.

        Generators of different devices draw different numbers and keep different states. On another
        device, seed and update choose the actions anew, and without states all numbers.
        """
        if not states:
            for generator in (self.policy, self.shuffle):
                generator.manual_seed(self._seed_after(update))
            return
        self.shuffle.set_state(states["shuffle"].cpu())
        saved_on = states.get("device", self._device.type)
        if saved_on == self._device.type:
            self.policy.set_state(states["policy"].cpu())
            return
        message = "saved on %s, continuing on %s: actions are drawn from another generator"
        logger.warning(message, saved_on, self._device.type)
        self.policy.manual_seed(self._seed_after(update))

    def _seed_after(self, update: int) -> int:
        return int(np.random.SeedSequence([self._seed, update]).generate_state(1)[0])
