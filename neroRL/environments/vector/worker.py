"""The child's side of a parallel environment: a process that runs one environment."""

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
    """The first answer: the environment's observation space and action space."""

    observation: Any
    action: Any


class Failure(NamedTuple):
    """The answer to a call that raised an error.

    Attributes:
        error: the error, pickled.
        traceback: its traceback as text.
    """

    error: bytes
    traceback: str


def main(descriptor: int) -> None:
    """Runs an environment until the parent asks it to end.

    Args:
        descriptor: file descriptor of a connection. The parent first sends a pickled function
            that makes the environment. For each call it then sends the method's name, positional
            arguments and keyword arguments.
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
