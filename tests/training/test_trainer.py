"""Tests whole trainings: equal seeds give equal runs when repeated and after a resume."""

from __future__ import annotations

import copy
import dataclasses
import errno
import resource
import time
from contextlib import closing
from pathlib import Path

import pytest
import torch

from neroRL.acting.evaluator import evaluate
from neroRL.config.checks import build
from neroRL.errors import CheckpointError
from neroRL.training import checkpoint as checkpoints
from neroRL.training.trainer import Trainer, train

CPU = torch.device("cpu")
CARTPOLE = {"type": "CartPole", "name": "CartPole-v1"}
VEC = {"type": "MinigridVec", "name": "MiniGrid-MemoryS7-v0", "reset_params": {"num-seeds": 5}}
# It steps one by one, and soon more than three quarters of its observations are distinct.
STACKED = {
    **VEC,
    "obs_stacks": 2,
    "positional_encoding": True,
}
IMAGE = {"type": "Minigrid", "name": "MiniGrid-Empty-Random-5x5-v0", "resize_vis_obs": [36, 36]}


def _mapping(environment=CARTPOLE, memory=None, **trainer):
    return {
        "environment": environment,
        "model": {
            "num_vec_encoder_units": 8,
            "num_hidden_layers": 1,
            "num_hidden_units": 8,
            "checkpoint_interval": 2,
            **(memory or {}),
        },
        "sampler": {"n_workers": 3, "worker_steps": 16},
        "trainer": {"updates": 4, "n_mini_batches": 2, **trainer},
        "seed": 3,
        "threads": 1,
        "device": "cpu",
    }


def _weights(directory: Path, update: int) -> dict[str, torch.Tensor]:
    path = checkpoints.checkpoint_path(directory, "default", update)
    return checkpoints.load(path, CPU).model


def _equal(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


MEMORIES = {
    "none": {},
    "gru": {"recurrence": {"hidden_state_size": 8, "sequence_length": 4}},
    "sample": {
        "recurrence": {"hidden_state_size": 8, "sequence_length": 0, "hidden_state_init": "sample"}
    },
    "lstm": {
        "recurrence": {
            "layer_type": "lstm",
            "hidden_state_size": 8,
            "sequence_length": 8,
            "reset_hidden_state": False,
        }
    },
    "transformer": {"transformer": {"num_blocks": 2, "embed_dim": 8, "memory_length": 10}},
}


@pytest.mark.parametrize("environment", [CARTPOLE, VEC, IMAGE], ids=["vector", "one-hot", "image"])
@pytest.mark.parametrize("memory", MEMORIES)
def test_resuming_equals_not_having_stopped(tmp_path, environment, memory):
    whole, begun, continued = tmp_path / "whole", tmp_path / "begun", tmp_path / "continued"
    config = build(_mapping(environment, MEMORIES[memory]))
    first = train(config, whole)
    # The global generators must not matter.
    torch.manual_seed(99)
    train(config, begun)
    halfway = checkpoints.checkpoint_path(begun, "default", 2)
    second = train(config, continued, checkpoint=halfway)
    assert _equal(_weights(whole, 4), _weights(begun, 4))
    assert _equal(_weights(whole, 4), _weights(continued, 4))
    assert not _equal(_weights(whole, 2), _weights(whole, 4))
    for name in ("objective", "reward_mean", "reward_std", "length_mean", "env_steps", "updates"):
        assert getattr(first, name) == getattr(second, name)
    ours = checkpoints.load(checkpoints.checkpoint_path(whole, "default", 4), CPU)
    theirs = checkpoints.load(checkpoints.checkpoint_path(continued, "default", 4), CPU)
    assert ours.environment == theirs.environment
    assert torch.equal(ours.generators["policy"], theirs.generators["policy"])


def test_resuming_where_sharing_ids_ends_equals_not_having_stopped(tmp_path):
    mapping = _mapping(STACKED)
    mapping["model"]["checkpoint_interval"] = 1
    train(build(mapping), tmp_path)
    contents = [
        checkpoints.load(checkpoints.checkpoint_path(tmp_path, "default", update), CPU)
        for update in (1, 2, 3)
    ]
    assert not any(content.environment["distinct"] for content in contents)
    for update in (1, 2, 3):
        path = checkpoints.checkpoint_path(tmp_path, "default", update)
        train(build(mapping), tmp_path / str(update), checkpoint=path)
        assert _equal(_weights(tmp_path, 4), _weights(tmp_path / str(update), 4))


def test_cartpole_is_learned_from_rewards_over_100(tmp_path):
    """Equals a training on the registered id whose config divides rewards by 100."""
    registered = {**CARTPOLE, "type": "Gymnasium", "reward_normalization": 100}
    ours = train(build(_mapping()), tmp_path / "ours")
    theirs = train(build(_mapping(registered)), tmp_path / "theirs")
    assert _equal(_weights(tmp_path / "ours", 4), _weights(tmp_path / "theirs", 4))
    assert ours.reward_mean == theirs.reward_mean == ours.length_mean > 5.0


def test_a_great_epsilon_leaves_the_decay_of_weights_alone(tmp_path):
    mapping = _mapping(updates=2, epochs=1, adam_epsilon=1e12)
    mapping["model"]["checkpoint_interval"] = 1
    train(build(mapping), tmp_path)
    before, after = _weights(tmp_path, 1), _weights(tmp_path, 2)
    decay = (1.0 - 3e-4 * 0.01) ** 2  # two mini batches
    for name, weight in before.items():
        torch.testing.assert_close(after[name], decay * weight, rtol=1e-6, atol=1e-12, msg=name)


def test_a_positional_encoding_beside_images_goes_through_the_vector_encoder(tmp_path):
    train(build(_mapping({**IMAGE, "positional_encoding": True}, updates=1)), tmp_path)
    train(build(_mapping(IMAGE, updates=1)), tmp_path / "without")
    shapes = {key: tensor.shape for key, tensor in _weights(tmp_path, 1).items()}
    without = {key: tensor.shape for key, tensor in _weights(tmp_path / "without", 1).items()}
    added = {key: tuple(shape) for key, shape in shapes.items() if key not in without}
    assert sorted(added.values()) == [(8,), (8, 16)]
    assert (32, 3, 8, 8) in shapes.values()


def test_training_leaves_the_global_generator_alone(tmp_path):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    train(build(_mapping(updates=1)), tmp_path)
    assert torch.equal(before, torch.get_rng_state())


def test_another_seed_gives_another_run(tmp_path):
    train(build(_mapping(updates=1)), tmp_path / "a")
    train(build({**_mapping(updates=1), "seed": 4}), tmp_path / "b")
    assert not _equal(_weights(tmp_path / "a", 1), _weights(tmp_path / "b", 1))


def test_checkpoints_at_the_interval_and_at_the_end(tmp_path):
    train(build(_mapping(updates=5)), tmp_path)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["default-2.pt", "default-4.pt", "default-5.pt"]


def test_statistics_under_the_documented_tags(tmp_path):
    class Sink:
        def __init__(self) -> None:
            self.seen: list[tuple[int, int, dict[str, float]]] = []

        def begin(self, update):
            assert update == 0

        def scalars(self, update, env_steps, values):
            self.seen.append((update, env_steps, dict(values)))

        def flush(self):
            pass

    sink = Sink()
    mapping = _mapping(updates=2)
    mapping["evaluation"] = {"evaluate": True, "n_workers": 2, "seeds": [7, 8], "interval": 2}
    outcome = train(build(mapping), tmp_path, summaries=sink)
    assert [(update, steps) for update, steps, _ in sink.seen] == [(1, 48), (2, 96)]
    tags = set(sink.seen[-1][2])
    expected = {f"episode/{name}_{part}" for name in ("reward", "length") for part in
                ("mean", "min", "max")} | {
        "loss/loss", "loss/policy_loss", "loss/value_loss", "decay/learning_rate", "decay/beta",
        "decay/clip_range", "other/entropy", "other/kl_divergence", "other/clip_fraction",
        "episode/value_mean", "episode/advantage_mean", "other/sequence_length",
        "time/steps_per_second", "evaluation/reward_mean", "evaluation/length_max",
    }  # fmt: skip
    assert expected <= tags
    assert not any(tag.startswith("gradient_norm/") for tag in tags)
    assert "evaluation/reward_mean" not in sink.seen[0][2]
    assert outcome.objective == sink.seen[-1][2]["evaluation/reward_mean"]


def test_the_result_has_the_mean_duration_of_an_evaluation(tmp_path, monkeypatch):
    """Two are played, after the second and the third update."""
    waits = iter([0.1, 0.3])

    def slow(*arguments, **options):
        time.sleep(next(waits))
        return evaluate(*arguments, **options)

    monkeypatch.setattr("neroRL.training.evaluations.evaluate", slow)
    mapping = _mapping(updates=3)
    mapping["evaluation"] = {"evaluate": True, "n_workers": 1, "seeds": [7], "interval": 2}
    outcome = train(build(mapping), tmp_path)
    assert next(waits, None) is None
    assert 0.2 <= outcome.evaluation_seconds < outcome.wall_seconds - 0.2
    assert train(build(_mapping(updates=1)), tmp_path / "without").evaluation_seconds is None


class Kept:
    """Keeps the statistics of a training by update."""

    def __init__(self) -> None:
        self.seen: dict[int, dict[str, float]] = {}

    def begin(self, update):
        pass

    def scalars(self, update, env_steps, values):
        self.seen[update] = dict(values)

    def flush(self):
        pass


@pytest.mark.parametrize("memory", MEMORIES)
def test_gradients_of_modules_when_asked(tmp_path, memory):
    """Their squares add up to the square of the whole norm, and nothing else changes."""
    one = {"updates": 1, "epochs": 1, "n_mini_batches": 1}
    with_image = {**IMAGE, "last_action_to_obs": True}
    plain, asked = Kept(), Kept()
    train(build(_mapping(with_image, MEMORIES[memory], **one)), tmp_path / "a", summaries=plain)
    mapping = _mapping(with_image, MEMORIES[memory], gradient_norms=True, **one)
    train(build(mapping), tmp_path / "b", summaries=asked)
    norms = {tag: value for tag, value in asked.seen[1].items() if tag.startswith("gradient_norm/")}
    named = {"none": [], "transformer": ["transformer"]}.get(memory, ["recurrent_layer"])
    modules = ["vis_encoder", "vec_encoder", *named, "body", "actor_head", "critic_head"]
    assert list(norms) == [f"gradient_norm/{name}_norm" for name in modules]
    assert all(norm > 0.0 for norm in norms.values())
    squares = sum(norm**2 for norm in norms.values())
    assert squares**0.5 == pytest.approx(asked.seen[1]["gradient/norm"], rel=1e-5)
    assert not any(tag.startswith("gradient_norm/") for tag in plain.seen[1])
    assert _equal(_weights(tmp_path / "a", 1), _weights(tmp_path / "b", 1))


def test_sequence_lengths_values_and_advantages(tmp_path):
    lengths = {"none": 1, "gru": 4, "lstm": 8, "transformer": 1}
    for memory, longest in lengths.items():
        kept = Kept()
        train(build(_mapping(memory=MEMORIES[memory])), tmp_path / memory, summaries=kept)
        for values in kept.seen.values():
            assert values["other/sequence_length"] == longest
    kept = Kept()  # whole episodes of at most six steps
    short = {**VEC, "reset_params": {"num-seeds": 5, "max-episode-steps": 6}}
    train(build(_mapping(short, MEMORIES["sample"])), tmp_path / "short", summaries=kept)
    assert kept.seen[1]["other/sequence_length"] == 6
    kept = Kept()  # with a discount of 0, an advantage is the reward, 1, minus the value
    ones = {"type": "Gymnasium", "name": "CartPole-v1"}
    mapping = _mapping(ones, gamma=0.0, advantage_normalization="batch")
    train(build(mapping), tmp_path / "ones", summaries=kept)
    for values in kept.seen.values():
        assert values["episode/advantage_mean"] == pytest.approx(1.0 - values["episode/value_mean"])
        assert values["episode/value_mean"] != 0.0


def test_the_objective_is_that_of_the_last_evaluation_if_there_are_any(tmp_path):
    mapping = _mapping(updates=2)
    mapping["evaluation"] = {"evaluate": True, "n_workers": 2, "seeds": [7, 8], "interval": 2}
    evaluated = train(build(mapping), tmp_path)
    halfway = checkpoints.checkpoint_path(tmp_path, "default", 2)
    again = train(build(mapping), tmp_path / "again", checkpoint=halfway)
    assert again.objective == evaluated.objective
    without = train(build(_mapping(updates=2)), tmp_path / "without", checkpoint=halfway)
    assert without.objective == train(build(_mapping(updates=2)), tmp_path / "alone").objective
    assert without.objective != evaluated.objective


def test_a_finished_training_with_another_evaluation_is_evaluated_anew(tmp_path):
    def config(**evaluation):
        mapping = _mapping(updates=3)
        mapping["evaluation"] = {"n_workers": 1, "interval": 2, "evaluate": True, **evaluation}
        mapping["model"]["checkpoint_interval"] = 1
        return build(mapping)

    first = train(config(seeds=[7, 8]), tmp_path / "first")
    expected = train(config(seeds=[9]), tmp_path / "expected")
    assert first.objective != expected.objective
    last = checkpoints.checkpoint_path(tmp_path / "first", "default", 3)
    assert train(config(seeds=[9]), tmp_path / "a", checkpoint=last).objective == expected.objective
    assert train(config(seeds=[7, 8]), tmp_path / "b", checkpoint=last).objective == first.objective
    train(build(_mapping(updates=3)), tmp_path / "none")
    last = checkpoints.checkpoint_path(tmp_path / "none", "default", 3)
    assert train(config(seeds=[9]), tmp_path / "c", checkpoint=last).objective == expected.objective
    # With fewer updates than the checkpoint has, the last evaluation was of earlier weights.
    mapping = _mapping(updates=9)
    mapping["evaluation"] = {"n_workers": 1, "interval": 2, "evaluate": True, "seeds": [9]}
    mapping["model"]["checkpoint_interval"] = 3
    train(build(mapping), tmp_path / "long")
    third = checkpoints.checkpoint_path(tmp_path / "long", "default", 3)
    assert train(config(seeds=[9]), tmp_path / "d", checkpoint=third).objective == (
        expected.objective
    )


@pytest.mark.parametrize("initial", ["learned", "zero", "sample"])
def test_an_episode_that_begins_with_a_rollout_has_the_latest_initial_state(tmp_path, initial):
    """With unchanged weights, the policy of an update's only mini batch is that of the rollout."""
    memory = {"recurrence": {"hidden_state_size": 8, "hidden_state_init": initial}}
    ended = {**VEC, "reset_params": {"num-seeds": 5, "max-episode-steps": 8}}  # twice a rollout
    schedule = {"initial": 0.03}
    one = {"epochs": 1, "n_mini_batches": 1, "learning_rate_schedule": schedule}
    kept = Kept()
    train(build(_mapping(ended, memory, **one)), tmp_path, summaries=kept)
    divergences = [values["other/kl_divergence"] for values in kept.seen.values()]
    assert len(divergences) == 4
    assert max(map(abs, divergences)) < 1e-8, divergences


class Evaluated:
    """Keeps the evaluations of a training by update."""

    def __init__(self) -> None:
        self.seen: dict[int, dict[str, float]] = {}

    def begin(self, update):
        pass

    def scalars(self, update, env_steps, values):
        found = {tag: value for tag, value in values.items() if tag.startswith("evaluation/")}
        if found:
            self.seen[update] = found

    def flush(self):
        pass


@pytest.mark.parametrize("environment", [VEC, STACKED], ids=["tabled", "one by one"])
def test_evaluations_after_a_resume_equal_those_without(tmp_path, environment):
    mapping = _mapping(environment, learning_rate_schedule={"initial": 0.03})
    seeds = list(range(1000, 1005))
    mapping["evaluation"] = {"evaluate": True, "n_workers": 2, "seeds": seeds, "interval": 1}
    whole, continued = Evaluated(), Evaluated()
    first = train(build(mapping), tmp_path, summaries=whole)
    halfway = checkpoints.checkpoint_path(tmp_path, "default", 2)
    second = train(build(mapping), tmp_path / "on", checkpoint=halfway, summaries=continued)
    assert continued.seen == {update: whole.seen[update] for update in (3, 4)}
    assert whole.seen[3] != whole.seen[4]
    assert first.objective == second.objective


def test_equal_policies_have_equal_evaluations(tmp_path):
    mapping = _mapping(VEC, learning_rate_schedule={"initial": 0.0})
    seeds = list(range(1000, 1005))
    mapping["evaluation"] = {"evaluate": True, "n_workers": 2, "seeds": seeds, "interval": 1}
    found = Evaluated()
    train(build(mapping), tmp_path, summaries=found)
    assert found.seen[1] == found.seen[2] == found.seen[3] == found.seen[4]


def test_a_loss_that_is_not_finite_is_a_result(tmp_path):
    """The training ends as diverged instead of failing."""
    outcome = train(
        build(_mapping(learning_rate_schedule={"initial": 1e30}, max_grad_norm=1e30)), tmp_path
    )
    assert outcome.status == "diverged"
    assert "not finite in update" in outcome.error
    assert outcome.objective is None
    assert outcome.updates < 4


@pytest.mark.parametrize("until", [1, None], ids=["at a stop", "at the end"])
def test_actions_that_are_not_finite_in_an_evaluation_are_a_result(tmp_path, until):
    """The only step has a finite loss, and leaves weights whose products are not finite."""
    pendulum = {"type": "Gymnasium", "name": "Pendulum-v1"}
    steps = {"learning_rate_schedule": {"initial": 1e30}, "epochs": 1, "n_mini_batches": 1}
    mapping = _mapping(pendulum, updates=1 if until is None else 4, **steps)
    mapping["evaluation"] = {"evaluate": True, "n_workers": 1, "seeds": [7]}
    outcome = train(build(mapping), tmp_path, until=until)
    assert outcome.status == "diverged"
    assert outcome.error == "the policy's actions are not finite"
    assert (outcome.updates, outcome.objective) == (1, None)


def test_bootstrapping_matters_only_where_a_time_limit_cuts(tmp_path):
    """CartPole-v1 is cut only after 500 steps, the MiniGrid episodes here after 6."""
    short = {**VEC, "reset_params": {"num-seeds": 5, "max-episode-steps": 6}}
    for environment, differs in ((CARTPOLE, False), (short, True)):
        for bootstrap in (True, False):
            config = build(_mapping(environment, updates=1, bootstrap_truncated=bootstrap))
            train(config, tmp_path / f"{differs}{bootstrap}")
        same = _equal(
            _weights(tmp_path / f"{differs}True", 1), _weights(tmp_path / f"{differs}False", 1)
        )
        assert same is not differs


def test_a_checkpoint_of_another_training_lists_what_differs(tmp_path):
    train(build(_mapping(updates=2)), tmp_path)
    mapping = _mapping(updates=4)
    mapping["model"]["num_hidden_units"] = 9
    mapping["sampler"]["worker_steps"] = 32
    mapping["trainer"]["resume_at"] = 1
    path = checkpoints.checkpoint_path(tmp_path, "default", 2)
    with pytest.raises(CheckpointError) as refused:
        train(build(mapping), tmp_path / "other", checkpoint=path)
    assert "model.num_hidden_units: 8 there, 9 here" in str(refused.value)
    assert "sampler.worker_steps: 16 there, 32 here" in str(refused.value)
    assert "trainer.resume_at: 0 there, 1 here" in str(refused.value)


def test_a_trainer_may_change_what_it_does(tmp_path, caplog):
    train(build(_mapping(updates=2)), tmp_path)
    path = checkpoints.checkpoint_path(tmp_path, "default", 2)
    outcome = train(build(_mapping(updates=3, gamma=0.5)), tmp_path / "on", checkpoint=path)
    assert outcome.updates == 3
    assert "trainer.gamma: 0.99 there, 0.5 here" in caplog.text


def test_with_another_seed_a_training_branches(tmp_path, caplog):
    """From the checkpoint on, it acts, shuffles and meets episodes by the new seed."""
    train(build(_mapping(VEC, updates=2)), tmp_path)
    path = checkpoints.checkpoint_path(tmp_path, "default", 2)
    branches, seeds = {}, {}
    for name, seed in (("same", 3), ("other", 8), ("again", 8)):
        config = build(_mapping(VEC, updates=3) | {"seed": seed})
        result = train(config, tmp_path / name, checkpoint=path)
        assert result.seed == seed
        branches[name] = _weights(tmp_path / name, 3)
        last = checkpoints.load(checkpoints.checkpoint_path(tmp_path / name, "default", 3), CPU)
        seeds[name] = [one["generator"]["state"] for one in last.environment["seeds"]]
    assert "seed: 3 there, 8 here" in caplog.text
    assert _equal(branches["other"], branches["again"])
    assert not _equal(branches["same"], branches["other"])
    assert seeds["other"] == seeds["again"]
    assert all(one != two for one, two in zip(seeds["same"], seeds["other"], strict=True))


def test_a_complete_training_says_so(tmp_path, caplog):
    train(build(_mapping(updates=2)), tmp_path)
    path = checkpoints.checkpoint_path(tmp_path, "default", 2)
    outcome = train(build(_mapping(updates=2)), tmp_path / "again", checkpoint=path)
    assert outcome.status == "completed"
    assert "complete already: 2 of 2 updates are done" in caplog.text


def test_weights_of_another_network_list_their_shapes(tmp_path):
    train(build(_mapping(updates=1)), tmp_path / "a")
    mapping = _mapping(updates=1)
    path = checkpoints.checkpoint_path(tmp_path / "a", "default", 1)
    mapping["model"] |= {"load_model": True, "model_path": str(path), "num_hidden_units": 9}
    with pytest.raises(CheckpointError, match=r"hidden.0.weight: \(8, 8\) there, \(9, 8\) here"):
        train(build(mapping), tmp_path / "b")


def test_load_model_starts_from_the_weights(tmp_path):
    train(build(_mapping(updates=1)), tmp_path / "a")
    mapping = copy.deepcopy(_mapping(updates=1, learning_rate_schedule={"initial": 0.0}))
    path = checkpoints.checkpoint_path(tmp_path / "a", "default", 1)
    mapping["model"] |= {"load_model": True, "model_path": str(path)}
    train(build(mapping), tmp_path / "b")
    assert _equal(_weights(tmp_path / "a", 1), _weights(tmp_path / "b", 1))


@pytest.mark.parametrize("initial", ["learned", "mean", "sample"])
def test_the_first_episodes_start_from_the_loaded_initial_state(tmp_path, initial):
    recurrence = {"hidden_state_size": 8, "sequence_length": 4, "hidden_state_init": initial}
    mapping = _mapping(memory={"recurrence": recurrence}, updates=1)
    train(build(mapping), tmp_path)
    path = checkpoints.checkpoint_path(tmp_path, "default", 1)
    mapping["model"] |= {"load_model": True, "model_path": str(path)}
    mapping["seed"] = 4
    with closing(Trainer(build(mapping), tmp_path / "on")) as trainer:
        states = trainer.actor.state.state_dict()["states"]
        drawn = torch.randn(states.shape, generator=torch.Generator().manual_seed(4))
    weights = _weights(tmp_path, 1)
    spread = weights["memory.spread"] if initial == "sample" else 0.0
    torch.testing.assert_close(states, weights["memory.initial"] + drawn * spread)
    assert (weights["memory.initial"] != 0.0).all()


def test_the_mean_of_states_that_are_not_reset_trains_like_zero(tmp_path):
    """A notice tells so before the start; only evaluated episodes start with the mean."""
    weights = {}
    for initial in ("zero", "mean", "one"):
        recurrence = {"hidden_state_init": initial, "reset_hidden_state": False}
        memory = {"recurrence": {"hidden_state_size": 8, "sequence_length": 4, **recurrence}}
        train(build(_mapping(memory=memory)), tmp_path / initial)
        weights[initial] = _weights(tmp_path / initial, 4)
    assert (weights["mean"].pop("memory.initial") != weights["zero"].pop("memory.initial")).all()
    assert (weights["mean"].pop("memory.spread") != weights["zero"].pop("memory.spread")).all()
    assert _equal(weights["mean"], weights["zero"])
    assert not torch.equal(weights["one"]["hidden.0.weight"], weights["zero"]["hidden.0.weight"])


def test_truncated_and_pickled_checkpoints_are_refused(tmp_path):
    train(build(_mapping(updates=4)), tmp_path)
    last = checkpoints.checkpoint_path(tmp_path, "default", 4)
    last.write_bytes(last.read_bytes()[:-2000])
    with pytest.raises(CheckpointError, match="may be cut off"):
        checkpoints.load(last, CPU)
    found = checkpoints.load_latest(tmp_path, CPU)
    assert found is not None
    assert found[0].name == "default-2.pt"
    torch.save({"format": 1, "model": Path()}, last)
    with pytest.raises(CheckpointError, match="pickled objects"):
        checkpoints.load(last, CPU)


def test_a_failed_write_keeps_the_checkpoint_that_was_there(tmp_path, monkeypatch):
    train(build(_mapping(updates=2)), tmp_path)
    path = checkpoints.checkpoint_path(tmp_path, "default", 2)
    before = path.read_bytes()

    def disk_full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", disk_full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save(path, dataclasses.replace(checkpoints.load(path, CPU), update=3))
    assert path.read_bytes() == before
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_a_checkpoint_that_cannot_be_written_names_the_systems_reason(tmp_path):
    """torch's writer fails once more as it closes, and would tell that instead."""
    content = checkpoints.Checkpoint(1, {}, {"weight": torch.zeros(100_000)})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            checkpoints.save(tmp_path / "default-1.pt", content)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (caught.value.errno, caught.value.filename) == (
        errno.EFBIG,
        str(tmp_path / "default-1.pt"),
    )
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_of_a_gpu_loads_on_a_cpu(tmp_path, monkeypatch):
    """The tensors are marked as a GPU's, so the test needs no GPU."""
    train(build(_mapping(updates=2)), tmp_path)
    path = checkpoints.checkpoint_path(tmp_path, "default", 2)
    content = checkpoints.load(path, CPU)
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda storage: "cuda:0")
        checkpoints.save(path, content)
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="CUDA"):
            torch.load(path, weights_only=True)
    assert _equal(_weights(tmp_path, 2), content.model)
    # The state of a GPU's generator is its seed and an offset.
    on_a_gpu = {"device": "cuda", "policy": torch.zeros(16, dtype=torch.uint8)}
    generators = {**content.generators, **on_a_gpu}
    checkpoints.save(path, dataclasses.replace(content, generators=generators))
    for directory in (tmp_path / "on", tmp_path / "again"):
        outcome = train(build(_mapping(updates=3)), directory, checkpoint=path)
        assert outcome.updates == 3
    assert _equal(_weights(tmp_path / "on", 3), _weights(tmp_path / "again", 3))
