"""Config keys whose meaning has changed between versions of neroRL."""

from __future__ import annotations

from neroRL.config import Config

# Encoders whose layers changed with the second revision.
_CHANGED_ENCODERS = ("rescnn", "smallimpala")


def changes_of_meaning(revision: int, config: Config) -> list[str]:
    """Lists what makes a config mean another network or task than it did in a revision.

    Args:
        revision: of the version that a checkpoint was saved by.
        config: of the checkpoint.
    """
    if revision >= 2:
        return []
    environment, model = config.environment, config.model
    found = {
        "environment.positional_encoding: 16 numbers are appended to the vector observation now": (
            environment.positional_encoding
        ),
        "environment.last_reward_to_obs: CartPole's rewards are divided by 100 now": (
            environment.last_reward_to_obs and environment.type == "CartPole"
        ),
        "model.vis_encoder: the layers of rescnn and smallimpala are others now": (
            model.vis_encoder in _CHANGED_ENCODERS
        ),
        "model.transformer: its projections, positions and gates are others now": (
            model.transformer is not None
        ),
        "model.recurrence.residual: one connection leads around all layers now": (
            model.recurrence is not None
            and model.recurrence.residual
            and model.recurrence.num_layers > 1
        ),
    }
    return [line for line, applies in found.items() if applies]
