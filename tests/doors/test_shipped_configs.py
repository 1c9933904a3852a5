"""Trains two updates with every shipped config, and composes every shipped tuning file."""

from __future__ import annotations

import pytest
import yaml

from neroRL.composition.source import shipped_conf
from neroRL.records.results import read_result
from tests.environments.unity_peer import TOWER, Behaviour, living, records, write_peer

CONFIGS = sorted(path.stem for path in shipped_conf().glob("*.yaml"))
SPACES = sorted(path.stem for path in (shipped_conf() / "tune").glob("*.yaml"))
SMALL = [
    "trainer.updates=2",
    "trainer.epochs=1",
    "trainer.n_mini_batches=2",
    "sampler.n_workers=2",
    "sampler.worker_steps=64",
]


# Packages of extras that shipped configs need.
NEEDED = {"atari": "ale_py", "lunar_lander": "Box2D", "mujoco": "mujoco"}
LARGE = ("atari", "mujoco", "obstacle_tower", "searing_spotlights", "unity")
# Executables are not shipped, so a peer plays these.
PEERS = {"unity": Behaviour(images=[[84, 84, 3]], branches=[3, 2]), "obstacle_tower": TOWER}


@pytest.mark.parametrize(
    "name",
    [pytest.param(one, marks=pytest.mark.slow) if one in LARGE else one for one in CONFIGS],
)
def test_config(name, door, tmp_path, request):
    if name in NEEDED:
        pytest.importorskip(NEEDED[name])
    more = list(SMALL)
    if name in PEERS:
        request.getfixturevalue("ports")
        path = write_peer(tmp_path / name, PEERS[name])
        more.append(f"environment.name={path}")
    outcome = door("ntrain", [f"--config=./configs/{name}.yaml", "hydra.run.dir=job", *more])
    assert outcome.status == 0, outcome.err
    if name in PEERS:
        assert len(records(path)) == 2
        assert living(path) == []
    result = read_result(tmp_path / "job")
    assert result is not None
    assert (result.status, result.updates, result.env_steps) == ("completed", 2, 256)


@pytest.mark.parametrize("name", SPACES)
def test_tuning_file(name, door):
    outcome = door("train", ["-m", "--cfg=job", f"hydra.sweeper.tune={name}"])
    assert outcome.status == 0, outcome.err
    assert (
        len(list(yaml.safe_load_all(outcome.out)))
        == {"example": 48, "memory": 12, "quick": 4, "transformer": 3}[name]
    )
