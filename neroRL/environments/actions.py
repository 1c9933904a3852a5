"""Actions of Gymnasium's spaces, as the arrays of one dimension that a policy chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from neroRL.environments.specification import Choices, MixedSpace
from neroRL.errors import ConfigError, Problem

_SUPPORTED = (
    "a Box of floats, Discrete, MultiDiscrete, MultiBinary, and Dicts and Tuples of them are "
    "supported"
)


class ActionForm(NamedTuple):
    """The form in which an environment takes its actions.

    Attributes:
        space: of the actions that the policy chooses: MultiDiscrete from 0, MultiBinary, a Box or
            a MixedSpace, of one dimension.
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
    if isinstance(space, spaces.Dict | spaces.Tuple) and (parts := list(_parts(space))):
        return _mixed(space, [action_form(part, name) for part in parts])
    if isinstance(space, spaces.Discrete):
        first = int(space.start)
        choices = Choices(np.array([space.n]), np.array([first]))
        return ActionForm(choices, lambda action: int(action[0]) + first)
    shape: Any = space.shape
    if isinstance(space, spaces.MultiDiscrete):
        start = np.asarray(space.start)
        return ActionForm(
            Choices(space.nvec.reshape(-1), start.reshape(-1)),
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


def _mixed(space: spaces.Space[Any], forms: list[ActionForm]) -> ActionForm:
    """Returns the form of nested actions, given those of their parts in the order of the keys."""
    mixed = MixedSpace([form.space for form in forms])
    places = [next(n for n, part in enumerate(mixed.parts) if part is f.space) for f in forms]

    def given(action: np.ndarray) -> Any:
        pieces = mixed.split(action)
        parts = (form.given(pieces[n]) for form, n in zip(forms, places, strict=True))
        return _nested(space, parts)

    return ActionForm(mixed, given)


def _parts(space: spaces.Space[Any]) -> Iterator[spaces.Space[Any]]:
    """Yields the parts of an action, in the order of the keys of Dicts."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        belows = space.spaces.values() if isinstance(space, spaces.Dict) else space.spaces
        for below in belows:
            yield from _parts(below)
    else:
        yield space


def _nested(space: spaces.Space[Any], parts: Iterator[Any]) -> Any:
    """Returns an action made of its parts, which come in the order of the keys."""
    if isinstance(space, spaces.Dict):
        return {key: _nested(below, parts) for key, below in space.spaces.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_nested(below, parts) for below in space.spaces)
    return next(parts)
