"""A process that runs one environment, for a parent that steps many of them at a time."""

from __future__ import annotations

import contextlib
import pickle
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import cloudpickle
import cv2

from neroRL.environments.specification import SingleEnvironment
from neroRL.environments.vector.child import connected


class Spaces(NamedTuple):
    """The first answer: what the environment observes and what it can do."""

    observation: Any
    action: Any


class Failure(NamedTuple):
    """The answer to what raised an error.

    Attributes:
        error: pickled.
        traceback: as text.
    """

    error: bytes
    traceback: str


def main(descriptor: int) -> None:
    """Runs an environment until the parent has no more for it to do.

    Args:
        descriptor: of a connection. The parent sends a pickled function that makes the
            environment, then a method's name, its positional and its keyword arguments at a time.
    """
    with connected(descriptor) as parent:
        cv2.setNumThreads(1)  # the workers share the cores
        _serve(parent)


def _serve(parent: Connection) -> None:
    try:
        make: Callable[[], SingleEnvironment] = pickle.loads(parent.recv_bytes())
        environment = make()
    except BaseException as error:
        parent.send(_failure(error))
        return
    with contextlib.closing(environment):
        parent.send(Spaces(environment.observation_space, environment.action_space))
        while True:
            method, positional, named = parent.recv()
            if method == "close":
                return
            try:
                answer = getattr(environment, method)(*positional, **named)
            except BaseException as error:
                answer = _failure(error)
            parent.send(answer)


def _failure(error: BaseException) -> Failure:
    text = "".join(traceback.format_exception(error))
    try:
        pickled = cloudpickle.dumps(error)
        pickle.loads(pickled)
    except Exception:
        pickled = pickle.dumps(RuntimeError(f"{type(error).__name__}: {error}"))
    return Failure(pickled, text)
