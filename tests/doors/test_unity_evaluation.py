"""Evaluating and watching Unity scenes, on ports of their own, against a peer that plays Unity."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from neroRL.environments.unity.ports import leased_worker_ids
from tests.conftest import TINY
from tests.environments.unity_peer import TOWER, Behaviour, living, records, write_peer

pytestmark = pytest.mark.usefixtures("ports")

UNITY = "type: Unity\n  name: ./peer/peer\n  reset_params: {num-seeds: 1000}"
OBSTACLE_TOWER = "type: ObstacleTower\n  name: ./peer/peer\n  resize_vis_obs: [36, 36]"
WORKER_ID = 100
SEEDS = ["--start-seed=20", "--num-seeds=3", "--repetitions=2"]


def _trained(door, tmp_path: Path, environment: str, behaviour: Behaviour) -> Path:
    write_peer(tmp_path / "peer", behaviour)
    config = TINY.replace("type: CartPole\n  name: CartPole-v1", environment)
    (tmp_path / "unity.yaml").write_text(config)
    arguments = ["--config=unity.yaml", "hydra.run.dir=job", f"--worker-id={WORKER_ID}"]
    outcome = door("ntrain", arguments)
    assert outcome.status == 0, outcome.err
    for path in (tmp_path / "peer/records").iterdir():
        path.unlink()
    return tmp_path / "job"


def _assert_ended(path: Path) -> None:
    assert set(living(path)) <= {os.getpid()}  # nenjoy's environment runs in its own process


def _ports(tmp_path: Path) -> set[int]:
    _assert_ended(tmp_path / "peer/peer")
    return {events[0]["port"] for events in records(tmp_path / "peer/peer")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "behaviour"),
    [
        (UNITY, Behaviour(branches=[3, 2])),
        (UNITY, Behaviour(branches=[], continuous=2)),
        (UNITY, Behaviour(branches=[3, 2], continuous=2)),
        (OBSTACLE_TOWER, TOWER),
    ],
    ids=["unity", "continuous", "mixed", "tower"],
)
def test_policies_are_evaluated_and_watched_on_free_ports(door, tmp_path, environment, behaviour):
    job = _trained(door, tmp_path, environment, behaviour)
    flags = [f"--checkpoint={job}", f"--worker-id={WORKER_ID}"]
    path, tables = tmp_path / "peer/peer", []
    # Another process holds the first port.
    with leased_worker_ids(WORKER_ID, 1) as taken:
        assert taken == WORKER_ID
        for workers in (1, 2):
            outcome = door("neval", [*flags, *SEEDS, f"--workers={workers}", "--out=t.csv"])
            assert outcome.status == 0, outcome.err
            tables.append((tmp_path / "t.csv").read_bytes())
    assert tables[0] == tables[1]
    assert _ports(tmp_path) == {5005 + WORKER_ID + 1, 5005 + WORKER_ID + 2}
    with (tmp_path / "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["seed"]) for row in rows] == [20, 21, 22, 20, 21, 22]
    outcome = door("nenjoy", [*flags, "--seed=21", "--html=page"])
    assert outcome.status == 0, outcome.err
    told = f"reward {float(rows[1]['reward']):.4g}, length {rows[1]['length']}"
    assert f"seed 21, repetition 0: {told}" in outcome.out
    assert _ports(tmp_path) >= {5005 + WORKER_ID}
    taken = [event for events in records(path) for event in events if event["event"] == "step"]
    numbers = np.array([event["numbers"] for event in taken])
    assert numbers.shape == (len(taken), behaviour.continuous)
    assert (np.abs(numbers) <= 1.0).all()
    assert {len(event["action"]) for event in taken} == {len(behaviour.branches)}


@pytest.mark.slow
def test_a_config_may_name_another_build(door, tmp_path):
    """The checkpoint's own is gone, as on another machine; what does not fit is refused."""
    job = _trained(door, tmp_path, UNITY, Behaviour(branches=[3, 2]))
    (tmp_path / "peer").rename(tmp_path / "moved")
    flags = [f"--checkpoint={job}", f"--worker-id={WORKER_ID}", *SEEDS]
    lost = door("neval", flags)
    assert lost.status == 2
    assert "default-2.pt: environment.name: " in lost.err
    assert "peer/peer does not exist" in lost.err
    config = (tmp_path / "unity.yaml").read_text()
    (tmp_path / "moved.yaml").write_text(config.replace("./peer/peer", "./moved/peer"))
    found = door("neval", [*flags, "--config=moved.yaml"])
    assert found.status == 0, found.err
    write_peer(tmp_path / "other", Behaviour(branches=[3, 4]))
    (tmp_path / "other.yaml").write_text(config.replace("./peer/peer", "./other/peer"))
    misfit = door("neval", [*flags, "--config=other.yaml"])
    assert misfit.status == 2
    assert "other.yaml:3: environment: another one than the network's:" in misfit.err
    assert "heads.policy.weight: (5, 512) there, (7, 512) here" in misfit.err
    _assert_ended(tmp_path / "other/peer")
