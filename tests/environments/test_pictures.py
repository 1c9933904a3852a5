"""Pictures for people: of every kind of observation, and of environments that render."""

from __future__ import annotations

import os

import gymnasium
import numpy as np
import pytest

from neroRL.config.schema import EnvironmentConfig
from neroRL.environments import pictures as pictures_of_environments
from neroRL.environments import registry
from neroRL.environments.factory import make_single
from neroRL.environments.pictures import picture_of


def test_images_are_shown_as_they_are_and_of_a_stack_the_latest():
    image = np.random.default_rng(0).integers(256, size=(5, 4, 6)).astype(np.uint8)
    np.testing.assert_array_equal(picture_of({"visual": image[:, :, :3]}), image[:, :, :3])
    np.testing.assert_array_equal(picture_of({"visual": image}), image[:, :, 3:])
    gray = picture_of({"visual": image[:, :, :2].astype(np.float32) / 255})
    assert np.abs(gray[:, :, 1].astype(int) - image[:, :, 1]).max() <= 1
    assert (gray[:, :, 0] == gray[:, :, 2]).all()


class Screen(gymnasium.Env):
    """Shows another image in each step."""

    observation_space = gymnasium.spaces.Box(0, 255, (4, 5, 3), np.uint8)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.step(0)[0], {}

    def step(self, action):
        image = self.np_random.integers(256, size=(4, 5, 3)).astype(np.uint8)
        return image, 0.0, False, False, {}


gymnasium.register("PicturesScreen-v0", Screen)


@pytest.mark.parametrize("stacks", [2, 3, 6])
@pytest.mark.parametrize("grayscale", [False, True])
def test_of_the_stack_of_an_environment_the_latest_image_is_shown(stacks, grayscale):
    keys = {"type": "Gymnasium", "name": "PicturesScreen-v0", "resize_vis_obs": [5, 4]}
    keys |= {"grayscale": grayscale, "reward_normalization": 2.0}
    environments = [
        make_single(EnvironmentConfig(**keys, obs_stacks=count), 2) for count in (1, stacks)
    ]
    shown = []
    for environment in environments:
        environment.reset(seed=3)
        for action in (1, 2, 1):
            observation, *_ = environment.step(np.array([action]))
        pictures = registry.environment_type("Gymnasium").pictures(environment, observation)
        shown.append(pictures["what the agent sees"])
    np.testing.assert_array_equal(*shown)


def test_a_vector_is_a_row_of_cells():
    picture = picture_of({"vector": np.linspace(-9, 9, 20, dtype=np.float32)})
    assert picture.shape == (24, 192, 3)
    cells = picture[::12, ::12, 0].flatten()[:20].astype(int)
    assert (np.diff(cells) >= 0).all()
    assert (cells[0], cells[-1]) == (0, 255)


@pytest.mark.parametrize("kind", ["CartPole", "Gymnasium"])
def test_environments_that_render_are_shown(kind, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    config = EnvironmentConfig(type=kind, name="CartPole-v1")
    environment = make_single(config, 2)
    observation, _ = environment.reset(seed=3)
    pictures = registry.environment_type(kind).pictures(environment, observation)
    assert list(pictures) == ["environment", "what the agent sees"]
    real = gymnasium.make("CartPole-v1", render_mode="rgb_array")
    real.reset(seed=3)
    np.testing.assert_array_equal(pictures["environment"], real.render())
    assert "SDL_VIDEODRIVER" not in os.environ
    names = registry.environment_type(kind).action_names([2], [0])
    assert names == [["left", "right"] if kind == "CartPole" else ["0", "1"]]


def test_an_environment_that_cannot_render_here_says_so_once_and_is_not_asked_again(
    monkeypatch, caplog
):
    """MuJoCo's renderer ends the process if it is asked again."""
    monkeypatch.setattr(pictures_of_environments, "_FAILED", set())
    environment = make_single(EnvironmentConfig(type="Gymnasium", name="CartPole-v1"), 2)
    observation, _ = environment.reset(seed=3)

    asked = []

    def fail():
        asked.append(1)
        raise RuntimeError("no OpenGL context")

    monkeypatch.setattr(environment.unwrapped, "render", fail)
    for _ in range(2):
        pictures = registry.environment_type("Gymnasium").pictures(environment, observation)
        assert list(pictures) == ["what the agent sees"]
    assert len(asked) == 1
    (record,) = caplog.records
    assert record.getMessage().endswith("cannot be rendered here: RuntimeError: no OpenGL context")
