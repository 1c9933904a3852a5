"""Actions of Gymnasium's spaces, as the arrays of one dimension that a policy chooses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from neroRL.errors import ConfigError, Problem

_SUPPORTED = "a Box of floats, Discrete, MultiDiscrete and MultiBinary are supported"


class ActionForm(NamedTuple):
    """The form in which an environment takes its actions.

    Attributes:
        space: of the actions that the policy chooses: MultiDiscrete from 0, MultiBinary or a Box,
            of one dimension.
        given: returns the environment's own form of such an action, which it may change.
    """

    space: spaces.Space[Any]
    given: Callable[[np.ndarray], Any]


def action_form(space: spaces.Space[Any], name: str) -> ActionForm:
    """Returns the form of an environment's actions.

    Args:
        space: of the environment's actions.
        name: of the environment, for messages.

    Raises:
        ConfigError: the space is not supported.
    """
    if isinstance(space, spaces.Discrete):
        first = int(space.start)
        return ActionForm(spaces.MultiDiscrete([space.n]), lambda action: int(action[0]) + first)
    shape: Any = space.shape
    if isinstance(space, spaces.MultiDiscrete):
        start = np.asarray(space.start)
        return ActionForm(
            spaces.MultiDiscrete(space.nvec.reshape(-1)),
            lambda action: action.reshape(shape) + start,
        )
    if isinstance(space, spaces.MultiBinary):
        count = int(np.prod(shape))
        return ActionForm(
            spaces.MultiBinary(count), lambda action: action.astype(np.int8).reshape(shape)
        )
    if isinstance(space, spaces.Box) and space.dtype.kind == "f" and np.prod(shape) > 0:
        dtype: Any = space.dtype
        return ActionForm(
            spaces.Box(space.low.reshape(-1), space.high.reshape(-1), dtype=dtype),
            lambda action: action.astype(dtype).reshape(shape),
        )
    message = f"{name} has the action space {space}; only {_SUPPORTED}"
    raise ConfigError([Problem("environment.name", message)])
