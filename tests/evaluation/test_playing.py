"""The same checkpoint and seeds give the same episodes, wherever they are played."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import neroRL
from neroRL.errors import CheckpointError, ConfigError
from neroRL.evaluation.playing import play
from neroRL.evaluation.subjects import read_subject, subject_of_config
from tests.evaluation.policies import MEMORIES, MEMORY, played_alone, tiny_policy

SEEDS = (70, 71, 72)


@pytest.mark.parametrize("memory", MEMORIES)
def test_training_alone_and_eight_workers_give_the_same_numbers(tmp_path, memory):
    checkpoint, result = tiny_policy(tmp_path, memory)
    subject = read_subject(checkpoint)
    played = play(subject, SEEDS, repetitions=2)
    assert [one.episode for one in played] == [(seed, r) for r in range(2) for seed in SEEDS]
    assert np.mean([one.end.reward for one in played]) == result.reward_mean == result.objective
    assert np.mean([one.end.length for one in played]) == result.length_mean
    assert np.mean([one.end.success for one in played]) == result.success_mean
    beside = play(subject, SEEDS, repetitions=2, workers=8)
    assert [one.end[1:] for one in beside] == [one.end[1:] for one in played]
    # Python code plays the same episodes.
    policy = neroRL.load_policy(checkpoint)
    environment = policy.make_environment()
    for episode, end in played[2:4]:
        info = played_alone(policy, environment, episode)
        assert (info["episode_reward"], info["episode_length"]) == (end.reward, end.length)


@pytest.mark.slow
@pytest.mark.parametrize("memory", ["none", "gru"])
@pytest.mark.parametrize("name", ["Pendulum-v1", "CartPole-v1"])
def test_vectors_are_normalised_as_they_were_in_the_training(tmp_path, name, memory):
    environment = {"type": "Gymnasium", "name": name}
    asked = {**environment, "normalize_vector_obs": True, "normalize_returns": True}
    checkpoint, result = tiny_policy(tmp_path, memory, asked)
    subject = read_subject(checkpoint)
    played = play(subject, SEEDS, repetitions=2)
    assert np.mean([one.end.reward for one in played]) == result.reward_mean
    policy = neroRL.load_policy(checkpoint)
    single = policy.make_environment()
    episode, end = played[1]
    info = played_alone(policy, single, episode)
    assert (info["episode_reward"], info["episode_length"]) == (end.reward, end.length)
    # Without the statistics it would be another policy.
    blind = play(replace(subject, statistics={}), SEEDS, repetitions=2)
    assert [one.end.reward for one in blind] != [one.end.reward for one in played]
    # The environment of another config does not say how the network sees it.
    lines = f"  type: Gymnasium\n  name: {name}\n"
    again = play(read_subject(checkpoint, _config(tmp_path, lines)), SEEDS, repetitions=2)
    assert [one.end.reward for one in again] == [one.end.reward for one in played]


def test_a_job_directory_stands_for_its_last_whole_checkpoint(tmp_path):
    checkpoint, _ = tiny_policy(tmp_path)
    observation = neroRL.load_policy(checkpoint).make_environment().reset(seed=1)[0]

    def value(path) -> float:
        return neroRL.load_policy(path).decide(observation).value

    assert value(tmp_path) == value(checkpoint)
    checkpoint.write_bytes(checkpoint.read_bytes()[:500])
    with pytest.warns(UserWarning, match="taking the checkpoint before it"):
        assert value(tmp_path) == value(checkpoint.with_name("run-1.pt"))


def test_the_global_random_numbers_stay_as_they_were(tmp_path):
    checkpoint, _ = tiny_policy(tmp_path)
    before = torch.random.get_rng_state()
    play(read_subject(checkpoint), SEEDS)
    assert torch.equal(torch.random.get_rng_state(), before)


def _config(tmp_path, environment: str):
    path = tmp_path / "other.yaml"
    path.write_text(f"seed: 1\nenvironment:\n{environment}")
    return path


def test_the_environment_comes_from_the_config_and_the_model_from_the_checkpoint(tmp_path):
    checkpoint, _ = tiny_policy(tmp_path, "transformer")
    lines = "  type: MinigridVec\n  name: MiniGrid-MemoryS9-v0\n"
    lines += "  reset_params: {max-episode-steps: 7}\n"
    subject = read_subject(checkpoint, _config(tmp_path, lines))
    played = play(subject, SEEDS)
    assert max(one.end.length for one in played) <= 7
    assert subject.config.environment.name == "MiniGrid-MemoryS9-v0"
    assert subject.config.model == read_subject(checkpoint).config.model
    # Its positions are those that the network was trained with, however long episodes are now.
    own = replace(subject, trained_in=subject.config.environment)
    assert own.model(_shapes()).memory._last == 6
    assert subject.model(_shapes()).memory._last == 39


def _shapes():
    from neroRL.config.schema import EnvironmentConfig
    from neroRL.environments.factory import specification

    return specification(EnvironmentConfig(**MEMORY))


def test_a_config_whose_spaces_do_not_fit_is_refused_with_its_line(tmp_path):
    checkpoint, _ = tiny_policy(tmp_path)
    lines = "  type: MinigridVec\n  name: MiniGrid-Empty-5x5-v0\n  reset_params: {view-size: 5}\n"
    path = _config(tmp_path, lines)
    with pytest.raises(ConfigError) as refused:
        read_subject(checkpoint, path)
    text = str(refused.value)
    assert text.startswith(f"{path}:4: environment: has other spaces than that of {checkpoint}")
    assert "vector: 150 here, 54 there" in text
    assert "actions: (7,) here, (4,) there" in text


def test_untrained_policies_are_those_that_trainings_start_with(tmp_path):
    lines = "  type: CartPole\n  name: CartPole-v1\nthreads: 1\n"
    subject = subject_of_config(_config(tmp_path, lines), untrained=True)
    first, again = play(subject, SEEDS), play(subject, SEEDS)
    assert first == again


def test_a_config_may_name_the_checkpoint(tmp_path):
    checkpoint, _ = tiny_policy(tmp_path)
    lines = "  type: MinigridVec\n  name: MiniGrid-MemoryS7-v0\n"
    lines += f"model: {{load_model: true, model_path: {checkpoint}}}\n"
    named = subject_of_config(_config(tmp_path, lines), untrained=False)
    assert named.config.model == read_subject(checkpoint).config.model
    assert named.weights is not None


def _resaved(checkpoint, change) -> None:
    content = torch.load(checkpoint, weights_only=True)
    change(content)
    torch.save(content, checkpoint)


def test_a_checkpoint_of_an_earlier_meaning_loads_where_nothing_it_uses_has_changed(tmp_path):
    checkpoint, result = tiny_policy(tmp_path, "gru")

    def older(content):
        del content["revision"]
        del content["config"]["trainer"]["gradient_norms"]  # a key that was not there yet

    _resaved(checkpoint, older)
    played = play(read_subject(checkpoint), SEEDS, repetitions=2)
    assert np.mean([one.end.reward for one in played]) == result.reward_mean


def test_a_checkpoint_of_an_earlier_meaning_says_what_has_changed(tmp_path):
    checkpoint, _ = tiny_policy(tmp_path, "transformer")
    _resaved(checkpoint, lambda content: content.pop("revision"))
    with pytest.raises(CheckpointError, match=r"earlier version.*\n  model\.transformer: "):
        read_subject(checkpoint)


def test_a_checkpoint_of_another_version_says_which_keys_differ(tmp_path):
    checkpoint, _ = tiny_policy(tmp_path)
    _resaved(checkpoint, lambda content: content["config"]["trainer"].update(momentum=0.9))
    with pytest.raises(CheckpointError, match=r"config differs:\n  trainer\.momentum: unknown key"):
        read_subject(checkpoint)


def test_a_checkpoint_saved_by_an_older_commit_is_the_policy_that_it_was():
    """Saved by da55b5f, without its optimizer; the values are those of that commit's network."""
    saved = Path(__file__).parent / "saved/by_an_older_commit.pt"
    policy = neroRL.load_policy(saved)
    policy.reset()
    observations = np.random.default_rng(1).normal(size=(5, 54)).astype(np.float32)
    values = [policy.decide({"vector": observation}).value for observation in observations]
    expected = [0.02024909, 0.00540357, 0.04352910, 0.03795955, 0.02069755]
    assert values == pytest.approx(expected, abs=1e-7)
