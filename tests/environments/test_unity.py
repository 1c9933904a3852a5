"""Tests Unity environments with a peer that plays Unity's side of ML-Agents' protocol."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from neroRL.config.schema import EnvironmentConfig
from neroRL.environments import registry
from neroRL.environments.factory import make_single, make_vector
from neroRL.environments.specification import (
    Continuous,
    Mixed,
    SingleEnvironment,
    specification_of,
)
from neroRL.environments.unity import protocol
from neroRL.environments.unity.obstacle_tower import FLAT, THEMES, with_status
from neroRL.errors import (
    ConfigError,
    EnvironmentCrashError,
    EnvironmentTimeoutError,
    PortError,
    TransientError,
)
from tests.environments.unity_peer import TOWER, Behaviour, living, records, write_peer

pytestmark = pytest.mark.usefixtures("ports")

WORKER_ID = 26000
Make = Callable[..., SingleEnvironment]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes one environment of a peer in this process."""
    made: list[SingleEnvironment] = []

    def start(behaviour: Behaviour, type_: str = "Unity", **rest) -> SingleEnvironment:
        config = EnvironmentConfig(
            type=type_, name=str(write_peer(tmp_path / "peer", behaviour)), **rest
        )
        assert registry.check(config) == []
        made.append(make_single(config, WORKER_ID))
        return made[-1]

    yield start
    for env in made:
        env.close()


@pytest.mark.parametrize("old", [False, True], ids=["new", "old"])
def test_vectors_and_branches(make, tmp_path, old):
    env = make(
        Behaviour(vectors=[3, 2], branches=[3, 2, 4], old=old),
        reset_params={"start-seed": 7, "num-seeds": 2, "gravity": -9.5, "night": True},
    )
    spec = specification_of(env)
    assert (spec.visual, spec.vector, spec.actions) == (None, 5, (3, 2, 4))
    observation, _ = env.reset(seed=8)
    np.testing.assert_array_equal(observation["vector"], [0, 8, 0, 0, 8])
    observation, reward, terminated, truncated, info = env.step(np.array([2, 1, 3]))
    np.testing.assert_array_equal(observation["vector"], [1, 8, 6, 1, 8])
    assert (reward, terminated, truncated, info) == (0.5, False, False, {"raw_reward": 0.5})
    for _ in range(4):
        observation, reward, terminated, truncated, info = env.step(np.array([0, 1, 0]))
    assert (reward, terminated, truncated) == (10.0, True, False)
    assert info == {"raw_reward": 10.0, "episode_reward": 12.0, "episode_length": 5}
    env.reset(seed=7)
    (events,) = records(tmp_path / "peer/peer")
    assert (events[0]["port"], events[1]["seed"]) == (5005 + WORKER_ID, WORKER_ID)
    resets = [event["parameters"] for event in events if event["event"] == "reset"]
    assert resets[0] == {"gravity": -9.5, "night": 1.0}
    assert [reset["seed"] for reset in resets[1:]] == [8.0, 7.0]
    assert resets[-1] == {"gravity": -9.5, "night": 1.0, "seed": 7.0}
    actions = [event["action"] for event in events if event["event"] == "step"]
    assert actions == [[2, 1, 3]] + [[0, 1, 0]] * 4


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("channels", [1, 3])
def test_images(make, compressed, channels):
    env = make(
        Behaviour(images=[[36, 50, channels]], vectors=[], compressed=compressed, ends_at=40),
        resize_vis_obs=[50, 36],
    )
    spec = specification_of(env)
    assert (spec.visual, spec.visual_dtype, spec.vector) == ((36, 50, channels), "uint8", None)
    env.reset(seed=0)
    for step in range(1, 12):
        image = env.step(np.array([0]))[0]["visual"]
        shades = np.maximum(step - np.arange(50) % 7, 0) if compressed else np.full(50, step)
        np.testing.assert_array_equal(image[5, :, 0], shades)


@pytest.mark.parametrize("old", [False, True], ids=["new", "old"])
def test_continuous_actions(make, tmp_path, old):
    env = make(Behaviour(continuous=3, branches=[], old=old))
    assert specification_of(env).actions == Continuous((-1.0,) * 3, (1.0,) * 3)
    env.reset(seed=0)
    observation, *_ = env.step(np.array([0.1, -1.0, 1.0]))
    np.testing.assert_array_equal(observation["vector"], [1, 0, np.float32(0.1), 0])
    (events,) = records(tmp_path / "peer/peer")
    assert events[-1]["action"] == []
    assert events[-1]["numbers"] == [float(np.float32(0.1)), -1.0, 1.0]


def test_continuous_actions_beside_branches(make, tmp_path):
    env = make(Behaviour(continuous=2, branches=[3, 2]), last_action_to_obs=True)
    spec = specification_of(env)
    assert spec.actions == Mixed(((3, 2), Continuous((-1.0, -1.0), (1.0, 1.0))))
    assert spec.vector == 4 + 5 + 2
    env.reset(seed=0)
    observation, *_ = env.step(np.array([2, 1, 0.25, -0.75]))
    expected = [1, 0, 2.5, 0, 0, 0, 1, 0, 1, 0.25, -0.75]
    np.testing.assert_array_equal(observation["vector"], expected)
    (events,) = records(tmp_path / "peer/peer")
    assert (events[-1]["action"], events[-1]["numbers"]) == ([2, 1], [0.25, -0.75])


@pytest.mark.parametrize("compressed", [True, False])
def test_images_of_one_size_are_stacked(make, compressed):
    env = make(
        Behaviour(images=[[36, 50, 3], [36, 50, 1], [36, 50, 3]], compressed=compressed, ends_at=0),
        resize_vis_obs=[50, 36],
    )
    assert specification_of(env).visual == (36, 50, 7)
    env.reset(seed=0)
    image = env.step(np.array([0]))[0]["visual"]
    for channels, brightness in ((slice(0, 3), 1), (slice(3, 4), 51), (slice(4, 7), 101)):
        shades = np.full(50, brightness)
        if compressed:
            shades = np.maximum(brightness - np.arange(50) % 7, 0)
        expected = np.broadcast_to(shades[:, None], (36, 50, channels.stop - channels.start))
        np.testing.assert_array_equal(image[:, :, channels], expected)


def test_each_coloured_image_becomes_gray(make):
    env = make(
        Behaviour(images=[[36, 50, 3], [36, 50, 1], [36, 50, 3]], compressed=False),
        resize_vis_obs=[50, 36],
        grayscale=True,
    )
    env.reset(seed=0)
    image = env.step(np.array([0]))[0]["visual"]
    assert image.shape == (36, 50, 3)
    assert (image == [1, 51, 101]).all()


def test_image_and_vector_with_wrappers(make):
    env = make(
        Behaviour(images=[[20, 30, 3]], vectors=[4], branches=[2, 2]),
        grayscale=True,
        resize_vis_obs=[10, 12],
        frame_skip=2,
        last_action_to_obs=True,
    )
    spec = specification_of(env)
    assert (spec.visual, spec.vector) == ((12, 10, 1), 8)
    env.reset(seed=3)
    observation, reward, *_ = env.step(np.array([1, 0]))
    np.testing.assert_array_equal(observation["vector"], [2, 3, 2, 0, 0, 1, 1, 0])
    assert reward == 1.0


def test_a_time_limit_of_the_scene_truncates(make):
    env = make(Behaviour(ends_at=0, cut_at=3))
    env.reset(seed=0)
    ends = [env.step(np.array([0]))[2:4] for _ in range(3)]
    assert ends == [(False, False), (False, False), (False, True)]


def test_messages_without_a_request_for_an_action_are_skipped(make, tmp_path):
    env = make(Behaviour(silent_steps=3))
    env.reset(seed=0)
    for _ in range(4):
        observation, *_ = env.step(np.array([2]))
    np.testing.assert_array_equal(observation["vector"], [4, 0, 8, 0])
    (events,) = records(tmp_path / "peer/peer")
    assert [event["action"] for event in events if event["event"] == "step"] == [[2]] * 4


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (Behaviour(branches=[]), "has no actions"),
        (Behaviour(agents=2), "has 2 agents; one is supported"),
        (Behaviour(names=["A?team=0", "B?team=0"]), "has the behaviours A?team=0, B?team=0"),
        (
            Behaviour(images=[[36, 50, 3], [36, 36, 1]]),
            "different sizes (Camera0 50 x 36, Camera1 36 x 36); images of one size are supported",
        ),
        (Behaviour(vectors=[]), "observes nothing"),
    ],
)
def test_unsupported_scenes_are_named(make, tmp_path, behaviour, message):
    with pytest.raises(ConfigError) as raised:
        make(behaviour)
    assert message in str(raised.value)
    assert str(raised.value).startswith("environment.name: ")
    assert records(tmp_path / "peer/peer")[0][0]["pid"] not in living(tmp_path / "peer/peer")


@pytest.mark.parametrize(
    ("behaviour", "error", "message"),
    [
        (Behaviour(start_seconds=30), EnvironmentTimeoutError, "did not answer within 0.5 seconds"),
        (Behaviour(start_status=3), EnvironmentCrashError, "31005 ended with status 3"),
    ],
)
def test_faults_at_the_start_are_transient(make, tmp_path, monkeypatch, behaviour, error, message):
    monkeypatch.setenv("NERORL_UNITY_SECONDS", "0.5" if behaviour.start_seconds else "20")
    monkeypatch.setattr("neroRL.environments.unity.client.SECONDS_TO_QUIT", 0.1)
    with pytest.raises(error, match=message):
        make(behaviour)
    assert issubclass(error, TransientError)
    assert records(tmp_path / "peer/peer")[0][0]["pid"] not in living(tmp_path / "peer/peer")


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        ("crash", EnvironmentCrashError, "Unity at port 31005 ended with status 7"),
        ("hang", EnvironmentTimeoutError, "Unity at port 31005 did not answer within 1 seconds"),
        ("quit", EnvironmentCrashError, "Unity at port 31005 has ended the conversation"),
        ("wrong", ValueError, "cannot reshape array of size 3 into shape"),
    ],
)
def test_faults_in_an_episode(make, monkeypatch, fault, error, message):
    monkeypatch.setenv("NERORL_UNITY_SECONDS", "1" if fault == "hang" else "20")
    monkeypatch.setattr("neroRL.environments.unity.client.SECONDS_TO_QUIT", 0.1)
    env = make(Behaviour(), reset_params={f"{fault}-at": 3})
    env.reset(seed=0)
    for _ in range(2):
        env.step(np.array([0]))
    with pytest.raises(error, match=message):
        env.step(np.array([0]))
    env.close()


def test_a_taken_port_is_named(make):
    with socket.socket() as other:
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            other.setsockopt(socket.SOL_SOCKET, option, 1)
        other.bind(("127.0.0.1", 5005 + WORKER_ID))
        other.listen()
        with pytest.raises(PortError, match="port 31005 is taken"):
            make(Behaviour())


def test_a_peer_that_does_not_quit_is_killed(make, tmp_path, monkeypatch):
    monkeypatch.setattr("neroRL.environments.unity.client.SECONDS_TO_QUIT", 0.1)
    env = make(Behaviour(ignores_quit=True))
    env.close()
    assert records(tmp_path / "peer/peer")[0][0]["pid"] not in living(tmp_path / "peer/peer")


@pytest.mark.slow
def test_workers_play_their_own_seeds_on_their_own_ports(tmp_path):
    path = write_peer(tmp_path / "peer", Behaviour(ends_at=3))
    config = EnvironmentConfig(
        type="Unity", name=str(path), reset_params={"start-seed": 5, "num-seeds": 1000}
    )
    env = make_vector(config, 3, seed=1, worker_id=WORKER_ID)
    generator = np.random.default_rng(0)
    actions = generator.integers(3, size=(10, 3, 1))
    env.restart()
    for action in actions:
        env.advance(action)
    env.close()
    again = make_vector(config, 3, seed=1, worker_id=WORKER_ID + 10)
    again.restart()
    again.close()
    assert living(path) == []
    by_port = {events[0]["port"]: events for events in records(path)}
    assert sorted(by_port) == [5005 + WORKER_ID + n for n in (0, 1, 2, 10, 11, 12)]
    seeds = []
    for worker in range(3):
        events = by_port[5005 + WORKER_ID + worker]
        assert events[-1]["event"] == "end"
        taken = [event["action"] for event in events if event["event"] == "step"]
        assert taken == actions[:, worker].tolist()
        played = [e["parameters"].get("seed") for e in events if e["event"] == "reset"]
        assert len(played) == 1 + 1 + 3
        seeds.append(tuple(played[1:]))
        repeated = by_port[5005 + WORKER_ID + 10 + worker]
        assert played[1] == next(
            e["parameters"]["seed"] for e in repeated if "seed" in e.get("parameters", ())
        )
    assert len(set(seeds)) == 3


def test_obstacle_tower(make, tmp_path):
    env = make(TOWER, "ObstacleTower", resize_vis_obs=[168, 168], reset_params={"total-floors": 9})
    spec = specification_of(env)
    assert (spec.visual, spec.vector, spec.actions) == ((168, 168, 3), 2, (2, 3, 2))
    observation, _ = env.reset(seed=42)
    np.testing.assert_allclose(observation["vector"], [0, 0.3])
    observation, *_ = env.step(np.array([1, 2, 1]))
    np.testing.assert_allclose(observation["vector"], [1, 0.2999])
    for _ in range(4):
        observation, _, terminated, _, info = env.step(np.array([1, 2, 0]))
    assert terminated
    assert info["statistics"] == {"floor": 3.0}
    (events,) = records(tmp_path / "peer/peer")
    actions = [event["action"] for event in events if event["event"] == "step"]
    assert actions == [[1, 2, 1, 0]] + [[1, 2, 0, 0]] * 4
    sent = [event["parameters"] for event in events if event["event"] == "reset"][1]
    assert (sent["tower-seed"], sent["total-floors"], sent["dense-reward"]) == (42, 9, 1)
    assert sent["train-mode"] == 1.0
    assert [sent[f"use-{theme}"] for theme in THEMES] == [1.0] * 5
    assert not {"seed", "start-seed", "num-seeds", "retro-vis-obs", "flat-action-space"} & set(sent)


def test_obstacle_tower_flat_and_retro(make, tmp_path):
    params = {"flat-action-space": True, "retro-vis-obs": True, "tower-seed": 77}
    env = make(TOWER, "ObstacleTower", resize_vis_obs=[168, 168], reset_params=params)
    spec = specification_of(env)
    assert (spec.visual, spec.vector, spec.actions) == ((168, 168, 3), None, (10,))
    env.reset(seed=42)
    image = env.step(np.array([9]))[0]["visual"]
    assert image[15, : int(0.2999 * 168), 1].min() == 255
    assert image[15, int(0.2999 * 168) :].max() == 0
    assert (image[5, :33] == [255, 255, 0]).all()
    (events,) = records(tmp_path / "peer/peer")
    assert events[-1]["action"] == [*FLAT[9], 0] == [1, 2, 1, 0]
    assert events[-2]["parameters"]["tower-seed"] == 42  # as in the original
    assert len({tuple(action) for action in FLAT.tolist()}) == 10


def test_themes_of_the_tower_are_sent_as_floats(make, tmp_path):
    params = {"use-moorish": False, "use-future": 0, "use-modern": 1, "visual-theme": 2}
    env = make(TOWER, "ObstacleTower", resize_vis_obs=[168, 168], reset_params=params)
    env.reset(seed=1)
    (events,) = records(tmp_path / "peer/peer")
    for reset in (event["parameters"] for event in events if event["event"] == "reset"):
        assert [reset[f"use-{theme}"] for theme in THEMES] == [1.0, 0.0, 1.0, 1.0, 0.0]


def test_a_tower_seed_without_effect_is_warned_of(door, tmp_path):
    name = write_peer(tmp_path / "peer", TOWER)
    (tmp_path / "base.yaml").write_text(
        f"environment:\n  type: ObstacleTower\n  name: {name}\n"
        "  reset_params:\n    tower-seed: 77\n"
    )
    (tmp_path / "tune.yaml").write_text("hyperparameters:\n  gamma: [0.9]\n")
    outcome = door("ntune", ["--config=base.yaml", "--tune=tune.yaml", "--cfg", "job"])
    assert outcome.status == 0, outcome.err
    assert "base.yaml:5: environment.reset_params.tower-seed: 77 has no effect" in outcome.err
    assert "set start-seed to 77 and num-seeds to 1" in outcome.err


def test_unlimited_seeds_are_left_to_the_scene(tmp_path):
    path = write_peer(tmp_path / "peer", Behaviour(ends_at=2))
    config = EnvironmentConfig(type="Unity", name=str(path), reset_params={"start-seed": -1})
    assert registry.check(config, evaluated=[5]) == []
    trained = make_vector(config, 2, seed=1, worker_id=WORKER_ID)
    evaluated = make_vector(config, 1, seed=1, worker_id=WORKER_ID + 10, episode_seeds=[[5, 6]])
    for env in (trained, evaluated):
        env.restart()
        for _ in range(4):
            env.advance(np.zeros((env.num_envs, 1), np.int64))
        env.close()
    for events in records(path):
        resets = [event["parameters"] for event in events if event["event"] == "reset"]
        told = [reset["seed"] for reset in resets[1:]]
        evaluates = events[0]["port"] == 5005 + WORKER_ID + 10
        assert told == ([5.0, 6.0, 5.0] if evaluates else [-1.0] * 3)


@pytest.mark.parametrize("type_", ["Minigrid", "CartPole", "ObstacleTower"])
def test_only_unity_scenes_choose_their_seeds(type_):
    problems = registry.check(EnvironmentConfig(type=type_, reset_params={"start-seed": -1}))
    assert "-1 is not allowed; expected 0 or more" in [problem.message for problem in problems]


def test_status_bars():
    image = np.full((168, 168, 3), 9, np.uint8)
    shown = with_status(image, 0, 0.5)
    assert shown[:10].max() == 0
    assert (shown[10:20, :84] == [0, 255, 0]).all()
    assert shown[10:20, 84:].max() == 0
    assert (shown[20:] == 9).all()
    assert (image == 9).all()


@pytest.mark.parametrize("behaviour", [Behaviour(), Behaviour(continuous=1)])
def test_another_scene_is_refused_as_an_obstacle_tower(make, behaviour):
    with pytest.raises(ConfigError, match="is no Obstacle Tower of version 4"):
        make(behaviour, "ObstacleTower")


@pytest.mark.parametrize("type_", ["Unity", "ObstacleTower"])
def test_a_missing_package_names_the_command(monkeypatch, type_):
    monkeypatch.setattr(protocol.importlib.util, "find_spec", lambda name: None)
    (problem,) = registry.check(EnvironmentConfig(type=type_, name="anything"))
    assert problem.path == "environment.type"
    assert 'pip install "neroRL[unity]"' in problem.message


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("level", "hard", "expected a number"),
        ("seed", 3, "set start-seed and num-seeds"),
        ("num-seeds", 2**24 + 5, "expected 16777216 or less"),
    ],
)
def test_reset_parameters_are_checked(tmp_path, key, value, message):
    config = EnvironmentConfig(
        type="Unity", name=str(write_peer(tmp_path)), reset_params={key: value}
    )
    (problem,) = registry.check(config)
    assert problem.path == f"environment.reset_params.{key}"
    assert message in problem.message


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("starting-floor", 100, "expected 99 or less"),
        ("tower-seed", -2, "expected -1 or more"),
        ("allowed-rooms", 3, "expected one of 0, 1, 2"),
        ("retro-vis-obs", 1, "expected true or false"),
        ("use-moorish", 2, "expected true, false, 1 or 0"),
        ("train-mode", "yes", "expected true, false, 1 or 0"),
        ("strating-floor", 1, "did you mean starting-floor"),
        ("num-seeds", 100001, "expected 99999 or less"),
    ],
)
def test_reset_parameters_of_the_tower_are_checked(tmp_path, key, value, message):
    config = EnvironmentConfig(
        type="ObstacleTower", name=str(write_peer(tmp_path)), reset_params={key: value}
    )
    (problem,) = registry.check(config)
    assert problem.path == f"environment.reset_params.{key}"
    assert message in problem.message
    (problem,) = registry.check(
        EnvironmentConfig(type="ObstacleTower", name=str(tmp_path / "peer")), [100000]
    )
    assert str(problem) == (
        "evaluation.seeds: seeds up to 100000 are not allowed; expected 99999 or less"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Acrobot-v1", "expected the environment type Gymnasium for it"),
        ("MiniGrid-MemoryS7-v0", "expected the environment type Minigrid or MinigridVec for it"),
        ("./build/game", "with .x86_64 behind it"),
    ],
)
def test_an_id_is_no_executable(name, message):
    (problem,) = registry.check(EnvironmentConfig(type="Unity", name=name))
    assert problem.path == "environment.name"
    assert problem.message.endswith(message)


def test_a_wrong_timeout_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("NERORL_UNITY_SECONDS", "soon")
    (problem,) = registry.check(EnvironmentConfig(type="Unity", name=str(write_peer(tmp_path))))
    assert "NERORL_UNITY_SECONDS is 'soon'; expected a number of seconds" in problem.message
