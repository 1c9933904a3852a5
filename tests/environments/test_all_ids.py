"""Every id that Gymnasium registers itself trains, or is refused with a reason that names it."""

from __future__ import annotations

import signal

import gymnasium
import pytest

from neroRL.records.results import read_result
from tests.conftest import TINY

pytestmark = pytest.mark.slow

SECONDS = 600
IDS = [
    name
    for name, spec in gymnasium.registry.items()
    if str(getattr(spec.entry_point, "__module__", spec.entry_point)).startswith("gymnasium.")
]
# Ids whose package may be missing, and what the message then says.
NEEDS = {
    "GymV": "shimmy",
    "phys2d/": "jax",
    "tabular/": "jax",
    "LunarLander": 'pip install "neroRL[box2d]"',
    "BipedalWalker": 'pip install "neroRL[box2d]"',
    "CarRacing": 'pip install "neroRL[box2d]"',
    "-v2": "gymnasium-robotics",
    "-v3": "gymnasium-robotics",
    "Pusher-v4": "mujoco",  # its newer versions cannot simulate it
    "-v4": 'pip install "neroRL[mujoco]"',
    "-v5": 'pip install "neroRL[mujoco]"',
}
# Ids that need no package beside Gymnasium.
TRAINED = {
    "Acrobot-v1",
    "Blackjack-v1",
    "CartPole-v0",
    "CartPole-v1",
    "CliffWalking-v1",
    "FrozenLake-v1",
    "FrozenLake8x8-v1",
    "MountainCar-v0",
    "MountainCarContinuous-v0",
    "Pendulum-v1",
    "Taxi-v4",
}


@pytest.fixture
def limit():
    """Ends a test that hangs."""

    def end(*_) -> None:
        raise TimeoutError(f"took longer than {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def test_the_ids_are_those_of_gymnasium():
    assert set(IDS) >= TRAINED | {"LunarLander-v3", "HalfCheetah-v3", "HalfCheetah-v5"}


@pytest.mark.usefixtures("limit")
@pytest.mark.parametrize("name", IDS)
def test_an_id_trains_or_is_refused_by_name(door, tmp_path, name):
    config = TINY.replace("type: CartPole\n  name: CartPole-v1", f"type: Gymnasium\n  name: {name}")
    (tmp_path / "base.yaml").write_text(config)
    more = ["trainer.updates=1", "environment.resize_vis_obs=[36, 36]", "device=cpu"]
    outcome = door("ntrain", ["--config=base.yaml", "hydra.run.dir=job", *more])
    assert "Traceback" not in outcome.err
    if outcome.status == 0:
        result = read_result(tmp_path / "job")
        assert result is not None
        assert (result.status, result.updates, result.env_steps) == ("completed", 1, 32)
        return
    assert outcome.status == 2, outcome.err
    assert name not in TRAINED, outcome.err
    assert not (tmp_path / "job").exists()
    message = outcome.err.strip().splitlines()[-1]
    assert message.startswith(f"error: {tmp_path / 'base.yaml'}:3: environment.name: {name} ")
    assert next(reason for part, reason in NEEDS.items() if part in name) in message
