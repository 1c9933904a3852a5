"""What a registered environment is given, and how it tells that an episode is over."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from neroRL.config.schema import EnvironmentConfig
from neroRL.environments.registered import Registered, RegisteredEnvironment
from neroRL.errors import BrokenEnvironmentError


class _Ending(gymnasium.Env):
    """Returns what it is given as terminated and truncated."""

    observation_space = action_space = spaces.Discrete(2)
    given: tuple[Any, Any] = (False, False)

    def step(self, action):
        return 0, 0.0, *self.given, {}


@pytest.mark.parametrize("given", [True, np.True_, 1, np.int8(1), False, np.False_, 0])
def test_an_end_may_be_told_by_a_number(given):
    env = RegisteredEnvironment(_Ending(), "Ending")
    env.env.given = (given, given)
    told = env.step(np.zeros(1, np.int64))[2:4]
    assert told == (bool(given), bool(given))
    assert {type(one) for one in told} == {bool}


@pytest.mark.parametrize("given", ["no", None, 2, 0.0, np.zeros(1, np.bool_)])
@pytest.mark.parametrize("name", ["terminated", "truncated"])
def test_an_end_that_is_neither_true_nor_false_is_refused(given, name):
    env = RegisteredEnvironment(_Ending(), "Ending")
    env.env.given = (given, False) if name == "terminated" else (False, given)
    with pytest.raises(BrokenEnvironmentError) as error:
        env.step(np.zeros(1, np.int64))
    assert f"Ending: step() gave {given!r} as {name}; expected true or false" in str(error.value)


def test_two_names_of_one_argument_are_refused():
    params = {"foo-bar": 1, "foo_bar": 7, "start-seed": 1, "start_seed": 2}
    config = EnvironmentConfig(type="Gymnasium", name="CartPole-v1", reset_params=params)
    found = Registered().check_parameters(config)
    assert [(one.path, one.message) for one in found] == [
        (
            "environment.reset_params.foo_bar",
            "is the same argument as foo-bar; expected one of them",
        )
    ]
