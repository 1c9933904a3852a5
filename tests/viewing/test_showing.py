"""What is shown is the very episode that an evaluation reports, in every way of showing it."""

from __future__ import annotations

import importlib.util
import io
import json
import re
from contextlib import closing
from dataclasses import replace
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from neroRL.acting.player import Episode
from neroRL.config.schema import EnvironmentConfig
from neroRL.environments import factory
from neroRL.environments.actions import action_form
from neroRL.environments.factory import make_single
from neroRL.evaluation.playing import play, policy_and_environment
from neroRL.evaluation.subjects import read_subject
from neroRL.viewing import window
from neroRL.viewing.episodes import action_names, moments
from neroRL.viewing.frames import frame
from neroRL.viewing.page import write_page
from neroRL.viewing.showing import Ways
from neroRL.viewing.terminal import as_text, show_in_terminal
from tests.evaluation.policies import MEMORIES, MIXED, tiny_policy

SEED, REPETITION = 71, 1


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A checkpoint for each memory."""
    root = tmp_path_factory.mktemp("trained")
    return {name: tiny_policy(root / name, name, updates=1)[0] for name in MEMORIES}


def _watched(checkpoint):
    with policy_and_environment(read_subject(checkpoint)) as (policy, environment):
        seen = list(moments(policy, environment, Episode(SEED, REPETITION)))
        return seen, action_names(policy, environment)


@pytest.mark.parametrize("memory", MEMORIES)
def test_an_episode_is_the_one_that_an_evaluation_plays(trained, memory):
    seen, names = _watched(trained[memory])
    (_, reported) = play(read_subject(trained[memory]), [SEED], repetitions=2)
    assert reported.episode == (SEED, REPETITION)
    end, outcome = reported.end, seen[-1].outcome
    assert (outcome.reward, outcome.length, outcome.success) == (
        end.reward,
        end.length,
        end.success,
    )
    assert [moment.step for moment in seen] == list(range(end.length + 1))
    assert seen[-1].total == pytest.approx(end.reward)
    assert names == [["left", "right", "forward", "pickup"]]
    # The pictures are those of the real environment after the same actions.
    real = gymnasium.make("MiniGrid-MemoryS7-v0", agent_view_size=3, disable_env_checker=True)
    real.reset(seed=SEED)
    for moment in seen:
        np.testing.assert_array_equal(moment.pictures["map"], real.unwrapped.get_frame(32))
        assert moment.pictures["what the agent sees"].shape == (96, 96, 3)
        if moment.decision is not None:
            assert set(moment.decision.memory) == {
                "none": set(), "transformer": {"attention"},
            }.get(memory, {"norm"})  # fmt: skip
            real.step(moment.decision.action[0])


CARTPOLE = {"type": "CartPole", "name": "CartPole-v1"}


@pytest.mark.parametrize(
    ("environment", "each"),
    [
        (CARTPOLE, 1.0),  # whose steps give hundredths
        ({**CARTPOLE, "reward_normalization": 16, "frame_skip": 3}, 3.0),
        ({"type": "Gymnasium", "name": "CartPole-v1", "reward_normalization": 16}, 1.0),
        ({"type": "Gymnasium", "name": "CartPole-v1", "clip_rewards": True, "frame_skip": 3}, 3.0),
    ],
)
def test_rewards_are_shown_as_the_environment_gave_them(tmp_path, environment, each):
    checkpoint, _ = tiny_policy(tmp_path, "none", environment, updates=1)
    seen, names = _watched(checkpoint)
    (_, reported) = play(read_subject(checkpoint), [SEED], repetitions=2)
    rewards = [moment.reward for moment in seen]
    assert rewards[:-1] == [0.0] + [each] * (len(seen) - 2)
    assert sum(rewards) == seen[-1].total == seen[-1].outcome.reward == reported.end.reward
    assert [moment.total for moment in seen] == np.cumsum(rewards).tolist()
    write_page(tmp_path / "page.html", seen, names, "title", 6)
    page = (tmp_path / "page.html").read_text()
    (data,) = re.findall(r'id="data">(.*?)</script>', page)
    assert json.loads(data)["reward"] == rewards[1:]
    assert json.loads(data)["total"][-1] == reported.end.reward
    assert f"<p>Reward {reported.end.reward:.4g} after" in page


def test_actions_that_are_numbers_are_shown_as_numbers(tmp_path):
    pendulum = {"type": "Gymnasium", "name": "Pendulum-v1", "normalize_vector_obs": True}
    checkpoint, _ = tiny_policy(tmp_path, "gru", pendulum, updates=1)
    seen, names = _watched(checkpoint)
    assert names == []
    (_, reported) = play(read_subject(checkpoint), [SEED], repetitions=2)
    assert (seen[-1].outcome.reward, len(seen) - 1) == (reported.end.reward, 200)
    drawn = [frame(moment, names) for moment in seen[:3] + seen[-1:]]
    assert len({picture.shape for picture in drawn}) == 1
    # Frames of the same picture and other numbers differ.
    other = seen[0].decision._replace(action=seen[0].decision.action + 1.0)
    assert (frame(replace(seen[0], decision=other), names) != drawn[0]).any()


@pytest.mark.parametrize("name", ["MortarMayhem-Grid-v0", "MysteryPath-Grid-v0"])
def test_a_transformer_is_watched_in_memory_gym(tmp_path, monkeypatch, name):
    environment = {"type": "MemoryGym", "name": name, "resize_vis_obs": [36, 36]}
    checkpoint, _ = tiny_policy(tmp_path, "transformer", environment, updates=1, seeds=(SEED,))
    monkeypatch.setattr(factory, "_known", {})
    subject = read_subject(checkpoint)
    factory._known.clear()  # nobody remembers its longest episode
    with policy_and_environment(subject) as (policy, made):
        seen = list(moments(policy, made, Episode(SEED, REPETITION)))
        other = policy.make_environment()
        other.close()
        again = list(moments(policy, made, Episode(SEED, REPETITION)))
    (_, reported) = play(subject, [SEED], repetitions=2)
    assert seen[-1].outcome.length == len(seen) - 1 == reported.end.length
    assert seen[-1].total == reported.end.reward
    for one, two in zip(seen, again, strict=True):
        np.testing.assert_array_equal(*(m.pictures["what the agent sees"] for m in (one, two)))


def test_numbers_are_shown_beside_choices(tmp_path):
    checkpoint, _ = tiny_policy(tmp_path, "none", MIXED, updates=1)
    seen, names = _watched(checkpoint)
    assert names == [["0", "1", "2"]]
    (_, reported) = play(read_subject(checkpoint), [SEED], repetitions=2)
    assert seen[-1].outcome.reward == reported.end.reward != 0.0
    decision = seen[0].decision
    assert [len(branch) for branch in decision.probabilities] == [3]
    assert (np.abs(decision.action[1:]) <= 2.0).all()
    drawn = frame(seen[0], names)
    for number in range(3):
        action = decision.action.copy()
        action[number] = (action[number] + 1.0) % 3
        other = replace(seen[0], decision=decision._replace(action=action))
        assert (frame(other, names) != drawn).any()


def test_choices_have_the_numbers_that_the_environment_gives_them():
    parts = spaces.Discrete(3, start=1), spaces.MultiDiscrete([2, 2], start=[7, 0])
    form = action_form(spaces.Tuple(parts), "Some-v0")
    environment = SimpleNamespace(action_space=form.space)
    policy = SimpleNamespace(environment=EnvironmentConfig(type="Gymnasium"))
    names = action_names(policy, environment)
    assert names == [["1", "2", "3"], ["7", "8"], ["0", "1"]]
    first, second = form.given(np.array([2.0, 0.0, 1.0]))
    assert (str(first), *map(str, second)) == (names[0][2], names[1][0], names[2][1])


def test_bits_have_two_choices_each():
    environment = SimpleNamespace(action_space=spaces.MultiBinary(3))
    assert action_names(None, environment) == [["0", "1"]] * 3


def test_a_video_shows_the_episode_frame_by_frame(trained, tmp_path):
    import imageio.v2 as imageio

    seen, names = _watched(trained["transformer"])
    ways = Ways(terminal=False, video=tmp_path / "new/played", page=None, framerate=6)
    outcome = ways.of_episode(0).show(seen, names, "title")
    assert outcome == seen[-1].outcome
    with imageio.get_reader(tmp_path / "new/played.mp4") as reader:
        recorded = [image[::3, ::3].astype(np.int16) for image in reader]
        assert reader.get_meta_data()["fps"] == 6
    drawn = [frame(moment, names)[::3, ::3].astype(np.int16) for moment in seen]
    assert len(recorded) == len(drawn) == outcome.length + 1
    for number, image in enumerate(recorded):
        # Compression changes colours a little; still each frame is nearest to its own moment, whose
        # step is written in it.
        distances = [np.abs(image - one).mean() for one in drawn]
        assert np.argmin(distances) == number
        assert distances[number] < 4.0
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["played.mp4"]


def test_files_of_further_episodes_have_numbers_and_older_files_are_kept(trained, tmp_path, capsys):
    seen, names = _watched(trained["none"])
    ways = Ways(terminal=False, video=None, page=tmp_path / "page", framerate=6)
    for number in (0, 1, 0):
        ways.of_episode(number).show(seen, names, "title")
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == ["page-1.html", "page.0.html", "page.html"]
    assert f"kept: {tmp_path / 'page.0.html'}, which was" in capsys.readouterr().out


def test_a_success_that_is_a_share_is_shown_as_it_is(trained, tmp_path):
    seen, names = _watched(trained["none"])
    drawn = []
    for success, line, words in (
        (1.0, ", success 1", ", a success."),
        (0.0, ", success 0", ", no success."),
        (0.4, ", success 0.4", ", success 0.4."),
        (None, "", " steps."),
    ):
        outcome = replace(seen[-1].outcome, success=success)
        assert str(outcome) == f"reward {outcome.reward:.4g}, length {outcome.length}{line}"
        last = replace(seen[-1], outcome=outcome)
        write_page(tmp_path / "page.html", [*seen[:-1], last], names, "title", 6)
        assert f"{words}</p>" in (tmp_path / "page.html").read_text()
        drawn.append(frame(last, names).tobytes())
    assert len(set(drawn)) == 4


def test_terminals_get_two_pixels_a_character():
    picture = np.array([[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]], np.uint8)
    text = as_text(picture, columns=80, rows=40)
    assert text == (
        "\x1b[38;2;1;2;3m\x1b[48;2;7;8;9m▀\x1b[38;2;4;5;6m\x1b[48;2;10;11;12m▀\x1b[0m\n"
    )
    plain = as_text(picture, columns=80, rows=40, encoding="ascii")
    assert "\x1b[48;2;4;5;6m " in plain
    assert plain.isascii()


@pytest.mark.parametrize(("columns", "rows"), [(40, 20), (200, 100), (10, 90)])
def test_terminal_pictures_fit(columns, rows):
    text = as_text(np.zeros((352, 928, 3), np.uint8), columns, rows)
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    assert {len(line) for line in lines} == {len(lines[0])}
    assert len(lines[0]) <= columns
    assert 2 * len(lines) <= rows


def test_a_terminal_shows_every_frame(trained):
    class Terminal(io.StringIO):
        encoding = "utf-8"

    seen, names = _watched(trained["none"])
    stream = Terminal()
    show_in_terminal((frame(moment, names) for moment in seen[:5]), stream, framerate=1000)
    assert stream.getvalue().count("\x1b[H") == 5


@pytest.fixture
def display(monkeypatch):
    """What a window shows, on a display of SDL's own that nobody sees."""
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    shown = []
    pygame.display.quit()  # an environment of another test may have it
    real = pygame.display.flip

    def flip() -> None:
        real()
        shown.append(pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1))

    monkeypatch.setattr(pygame.display, "flip", flip)
    return shown


def test_a_window_shows_every_frame(display, trained):
    seen, names = _watched(trained["gru"])
    ways = Ways(terminal=False, video=None, page=None, framerate=1000)
    ways.check()
    assert ways.show(iter(seen), names, "title") == seen[-1].outcome
    assert len(display) == len(seen)
    for moment, picture in zip(seen, display, strict=True):
        np.testing.assert_array_equal(picture, frame(moment, names))


def test_a_window_can_be_closed(display, trained):
    import pygame

    seen, names = _watched(trained["none"])

    def closed_after_two():
        for number, moment in enumerate(seen):
            if number == 2:
                pygame.event.post(pygame.event.Event(pygame.QUIT))
            yield moment

    ways = Ways(terminal=False, video=None, page=None, framerate=1000)
    assert ways.show(closed_after_two(), names, "title") is None
    assert len(display) == 3


def test_a_window_does_not_take_the_display_that_memory_gym_draws_on(display):
    environment = make_single(EnvironmentConfig(type="MemoryGym", name="MysteryPath-Grid"), 0)
    ways = Ways(terminal=False, video=None, page=None, framerate=1000)
    with (
        closing(environment),
        pytest.raises(window.UsageError, match="draws on pygame's only display"),
    ):
        ways.show(iter(()), [], "title")


def test_what_is_missing_is_told_before_anything_is_played(monkeypatch, tmp_path):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(window.UsageError, match="no display for a window; use --terminal, --video"):
        Ways(terminal=False, video=None, page=None, framerate=6).check()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(window.UsageError, match=r'--video needs .*: pip install "neroRL\[video\]"'):
        Ways(terminal=False, video=tmp_path / "v", page=None, framerate=6).check()
    monkeypatch.setenv("DISPLAY", ":0")
    with pytest.raises(window.UsageError, match=r'a window needs .*: pip install "neroRL\[window'):
        Ways(terminal=False, video=None, page=None, framerate=6).check()
