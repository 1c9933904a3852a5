"""Tests that every bad input gets one clear error and status 2, and that nothing is created."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from neroRL.config.checks import build
from neroRL.errors import ConfigError

TUNE_CASES = {
    "empty": ("", ["tune.yaml", "is empty"]),
    "list at the top": ("- 1\n- 2\n", ["tune.yaml", "holds a list", "hyperparameters"]),
    "syntax error": ("hyperparameters:\n  a: [1, 2\n  b: 3\n", ["tune.yaml:3", "column"]),
    "duplicate key": (
        "hyperparameters:\n  gamma: [0.9]\n  gamma: [0.8]\n",
        ["tune.yaml:3", "'gamma' is given twice", "line 2"],
    ),
    "python tag": (
        "hyperparameters:\n  gamma: !!python/object/apply:os.system ['true']\n",
        ["tune.yaml:2", "tag"],
    ),
    "two documents": ("a: 1\n---\nb: 2\n", ["tune.yaml:3", "2 documents"]),
    "unknown key": (
        "hyperparameters:\n  gama: [0.9]\n",
        ["tune.yaml:2", "hyperparameters.gama", "unknown key", "did you mean gamma"],
    ),
    "key of another section": (
        "hyperparameters:\n  evaluate: [true]\n",
        ["tune.yaml:2", "did you mean evaluation.evaluate"],
    ),
    "ambiguous key": (
        "hyperparameters:\n  initial: [0.1]\n",
        [
            "tune.yaml:2",
            "trainer.learning_rate_schedule.initial",
            "trainer.beta_schedule.initial",
            "trainer.clip_range_schedule.initial",
        ],
    ),
    "scalar for a list": (
        "hyperparameters:\n  gamma: 0.9\n",
        ["tune.yaml:2", "hyperparameters.gamma", "no list of choices", "[0.9]"],
    ),
    "empty list": ("hyperparameters:\n  gamma: []\n", ["tune.yaml:2", "has no choices"]),
    "wrong type": (
        "hyperparameters:\n  gamma: [0.9, high]\n",
        ["tune.yaml:2", "trainer.gamma", "'high' is not allowed", "number"],
    ),
    "yaml 1.2 string": (
        "hyperparameters:\n  grayscale: [no]\n",
        ["tune.yaml", "grayscale", "'no' is not allowed"],
    ),
    "not a number": ("hyperparameters:\n  gamma: [.nan]\n", ["tune.yaml:2", "not a finite number"]),
    "infinity": ("hyperparameters:\n  gamma: [.inf]\n", ["tune.yaml:2", "not a finite number"]),
    "unknown schedule": (
        "learning_rate_shedule:\n  initial: [0.1]\n",
        ["tune.yaml:1", "unknown section", "did you mean learning_rate_schedule"],
    ),
    "unknown schedule key": (
        "beta_schedule:\n  start: [0.1]\n",
        ["tune.yaml:2", "beta_schedule.start", "initial, final, power, max_decay_steps"],
    ),
    "Python's None": (
        "learning_rate_schedule:\n  final: [None, 0.0001]\n",
        ["tune.yaml:2", "'None' is not allowed; expected a valid number; write null for no value"],
    ),
    "no list of lists": (
        "hyperparameters:\n  resize_vis_obs: [84, 84]\n",
        ["tune.yaml:2", "resize_vis_obs", "lists in a list"],
    ),
    "list for a map": (
        "hyperparameters:\n  evaluation.seeds: [[7, 8]]\n",
        ["tune.yaml:2", "[7, 8] cannot take the place of a map"],
    ),
    "unknown key in a map": (
        "hyperparameters:\n  evaluation.seeds: [{first: 7}]\n",
        ["tune.yaml:2", "has no 'first'; it has start-seed, num-seeds"],
    ),
    "hydra key": (
        "hyperparameters:\n  hydra.run.dir: [x]\n",
        ["tune.yaml:2", "hydra.run.dir", "cannot be swept"],
    ),
    "target key": (
        "hyperparameters:\n  trainer._target_: [os.system]\n",
        ["tune.yaml:2", "cannot be swept"],
    ),
    "interpolation": (
        "hyperparameters:\n  model_path: ['${nowhere.to.be.found}']\n",
        ["nowhere", "not found"],
    ),
    "merge of a number": (
        "base: &base 3\nhyperparameters:\n  <<: *base\n  gamma: [0.9]\n",
        ["tune.yaml:3", "<< takes a map or a list of maps, not 3"],
    ),
    "merge of a list of numbers": (
        "hyperparameters:\n  <<: [{gamma: [0.9]}, 4]\n",
        ["tune.yaml:2", "<< takes a map or a list of maps, not 4"],
    ),
    "nested lists": (
        f"hyperparameters:\n  gamma: {'[' * 60}{']' * 60}\n",
        ["tune.yaml:2", "nested more than 50 deep"],
    ),
    "lists nested past Python's limits": (
        f"hyperparameters:\n  gamma: {'[' * 5000}{']' * 5000}\n",
        ["tune.yaml", "nested more than 50 deep"],
    ),
    "aliases of aliases": (
        "a0: &a0 [0, 0]\n"
        + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)),
        ["tune.yaml:", "aliases write out more than 1,000,000 values"],
    ),
    "a number that is 0 as a float": (
        "hyperparameters:\n  gamma: [0.0, 1e-400]\n",
        ["tune.yaml:2", "1e-400 is nearer to 0 than numbers can be"],
    ),
    "a number of many digits": (
        f"hyperparameters:\n  gamma: [{'1' * 5000}]\n",
        ["tune.yaml:2", "a number of 5000 digits; at most 4300 are read"],
    ),
    "a float past the greatest": (
        "hyperparameters:\n  gamma: [1.0e+999]\n",
        ["tune.yaml:2", "not a finite number"],
    ),
    "swept twice": (
        "hyperparameters:\n  gamma: [0.9]\n  trainer.gamma: [0.8]\n",
        ["tune.yaml:3: trainer.gamma", "swept twice", "gamma", "tune.yaml:2"],
    ),
    "swept twice, the second around the first": (
        "hyperparameters:\n  start-seed: [1, 2]\n  environment.reset_params: [{start-seed: 3}]\n",
        ["tune.yaml:3: environment.reset_params", "swept twice", "tune.yaml:2"],
    ),
    "out of range": (
        "hyperparameters:\n  gamma: [0.9, 1.5]\n",
        ["tune.yaml:2", "trainer.gamma", "1.5", "1 of 2 permutations", "on_invalid=skip"],
    ),
    "environment id": (
        "hyperparameters:\n  environment.name: [CartPole-v1, CartPole-v9]\n",
        ["tune.yaml:2", "environment.name", "CartPole-v9", "did you mean CartPole-v"],
    ),
}

BASE_CASES = {
    "unknown key": (
        "trainer:\n  gama: 0.9\n",
        ["base.yaml:2", "trainer.gama", "did you mean gamma"],
    ),
    "wrong type": (
        "sampler:\n  n_workers: '4'\n",
        ["base.yaml:2", "sampler.n_workers", "'4' is not allowed", "integer"],
    ),
    "unknown id": (
        "environment:\n  name: MiniGrid-Memory-S9-v0\n",
        ["base.yaml:2", "environment.name", "did you mean MiniGrid-MemoryS9-v0"],
    ),
    "unknown type": (
        "environment:\n  type: MiniGrid\n",
        ["base.yaml:2", "environment.type", "did you mean Minigrid"],
    ),
    "type of the original": (
        "environment:\n  type: Procgen\n",
        ["base.yaml:2", "environment.type: Procgen is not available here"],
    ),
    "not divisible": (
        "sampler:\n  n_workers: 3\n  worker_steps: 5\n",
        ["3 · 5 = 15", "n_mini_batches = 4"],
    ),
    "no workers": ("sampler:\n  n_workers: 0\n", ["base.yaml:2", "sampler.n_workers", "0 is not"]),
    "gamma": (
        "trainer:\n  gamma: 1.01\n",
        ["base.yaml:2", "trainer.gamma", "less than or equal to 1"],
    ),
    "small image": (
        "environment:\n  resize_vis_obs: [20, 20]\n",
        ["base.yaml:2: environment.resize_vis_obs: 20 x 20 is too small for cnn", "36 x 36"],
    ),
    "no memory": (
        "model:\n  transformer: {memory_length: 0}\n",
        ["base.yaml:2: model.transformer.memory_length: 0 is not allowed", "greater than 0 or -1"],
    ),
    "reset parameter": (
        "environment:\n  reset_params:\n    num-seeds: 0\n",
        ["base.yaml:3", "environment.reset_params.num-seeds", "1 or more"],
    ),
    "unknown reset parameter": (
        "environment:\n  reset_params:\n    view_size: 3\n",
        ["base.yaml:3", "unknown key", "view-size"],
    ),
    "even view": (
        "environment:\n  reset_params:\n    view-size: 4\n",
        ["base.yaml:3", "view-size", "4 is even"],
    ),
    "legacy wish": ("trainer:\n  share_parameters: false\n", ["base.yaml:2", "not available"]),
    "two memories": (
        "model:\n  recurrence: {}\n  transformer: {}\n",
        ["base.yaml:1", "both recurrence and transformer"],
    ),
    "heads": (
        "model:\n  transformer: {embed_dim: 100}\n",
        ["base.yaml:2", "100 is not divisible by num_heads = 8"],
    ),
    "section is a number": ("trainer: 3\n", ["base.yaml:1: trainer: 3 is not allowed", "a map"]),
    "schedule is a number": (
        "trainer:\n  beta_schedule: 0.1\n",
        ["base.yaml:2: trainer.beta_schedule: 0.1 is not allowed", "a map"],
    ),
    "no weights": (
        "model:\n  load_model: true\n  model_path: nope.pt\n",
        ["base.yaml:3: model.model_path: nope.pt", "is no file"],
    ),
    "no seeds": (
        "evaluation:\n  seeds: {explicit-seeds: []}\n",
        ["base.yaml:2", "evaluation.seeds", "at least 1"],
    ),
    "nothing to train": (
        "trainer:\n  resume_at: 10\n  updates: 10\n",
        ["base.yaml:2", "10 leaves nothing to train", "trainer.updates = 10"],
    ),
    "empty": ("", ["base.yaml", "is empty"]),
    "list": ("- a\n", ["base.yaml", "list"]),
}

FLAG_CASES = {
    "no repetitions": (["--num-repetitions=0"], ["--num-repetitions", "1 or more"]),
    "repetitions as text": (["--num-repetitions", "abc"], ["--num-repetitions", "'abc'"]),
    "port": (["--worker-id=60531"], ["worker_id", "65535"]),
    "negative port": (["--worker-id=-1"], ["--worker-id", "0 or more"]),
    "unknown flag": (
        ["--num-repetition=2"],
        ["--num-repetition", "did you mean --num-repetitions"],
    ),
    "empty run-id": (["--run-id="], ["--run-id", "is empty"]),
    "run-id with dots": (["--run-id=../x"], ["--run-id", "'..'"]),
    "absolute run-id": (["--run-id=/x"], ["--run-id", "leading '/'"]),
    "missing tuning file": (["--tune=nowhere.yaml"], ["nowhere.yaml", "does not exist"]),
    "missing config": (["--config=./configs/minigird.yaml"], ["does not exist", "minigrid.yaml"]),
    "unknown override": (["trainer.gama=0.9"], ["trainer.gama", "did you mean trainer.gamma"]),
    "bound that is tiny": (
        ["trainer.adam_epsilon=1e-31"],
        ["trainer.adam_epsilon: 1e-31 is not allowed; expected greater than or equal to 1e-30"],
    ),
    "unknown swept override": (
        ["trainer.gama=0.9,0.8"],
        ["command line: trainer.gama", "unknown key; did you mean trainer.gamma"],
    ),
    "list for a map": (
        ["evaluation.seeds=[5,6]"],
        ["evaluation.seeds: a list cannot take", "to evaluation.seeds.explicit-seeds"],
    ),
    "group without a place": (
        ["--config=bare.yaml", "tune=quick"],
        ["command line: Could not override 'tune'"],
    ),
    "long range": (
        ["seed=range(0,1000000000)"],
        ["has 1,000,000,000 choices; hydra.sweeper.max_jobs allows"],
    ),
    "option of the sweeper": (
        ["hydra.sweeper.num_repetitions=1.5"],
        ["command line: hydra.sweeper.num_repetitions: Value '1.5'"],
    ),
    "no regular file": (["--tune=/dev/null"], ["/dev/null is no regular file"]),
    "not called like YAML": (["--config=bare.txt"], ["bare.txt", "does not end with .yaml"]),
    "malformed override": (["trainer.gamma=[0.9"], ["trainer.gamma=[0.9"]),
    "unknown group": (["environment=minigird"], ["minigird"]),
    "no name of a group's config": (
        ["environment=3"],
        ["environment=3: environment is a group of configs; expected one of atari"],
    ),
    "reset parameter of another type": (
        ["environment.reset_params.view_size=3,5"],
        ["unknown key; did you mean environment.reset_params.view-size"],
    ),
    "no config of a group": (["tune=null"], ["tune=null: tune is a group of configs"]),
    "max jobs": (["hydra.sweeper.max_jobs=3"], ["48", "max_jobs allows 3"]),
    "unknown policy": (["hydra.sweeper.on_invalid=ignore"], ["on_invalid", "error or skip"]),
    "unknown config of a swept group": (
        ["model/memory=none,grru"],
        ["command line: model/memory: 'grru' is none of its configs: gru, ", "did you mean gru?"],
    ),
    "key swept twice": (
        ["trainer.gamma=0.9,0.95", "trainer.gamma=0.98,0.99"],
        ["command line: trainer.gamma: is swept twice, also as trainer.gamma (command line)"],
    ),
    "key swept twice with prefixes": (
        ["+trainer.gamma=0.9,0.95", "++trainer.gamma=choice(0.98,0.99)"],
        ["command line: trainer.gamma: is swept twice, also as trainer.gamma (command line)"],
    ),
    "key swept and one inside": (
        [
            "environment.reset_params.view-size=3,5",
            "environment.reset_params={view-size:3},{view-size:5}",
        ],
        ["environment.reset_params: is swept twice, also as environment.reset_params.view-size"],
    ),
    "key swept in the file too": (
        ["++trainer.beta_schedule.initial=0.1,0.2"],
        ["trainer.beta_schedule.initial", "swept twice", "beta_schedule.initial", "example.yaml:"],
    ),
    "option of Hydra swept": (
        ["hydra.sweeper.extend=true,false"],
        [
            "an option of Hydra cannot be swept; a list has brackets",
            "hydra.sweeper.extend=true,false",
        ],
    ),
    "number for a list": (
        ["hydra.sweeper.only=1"],
        ["command line: hydra.sweeper.only: takes a list; write it in brackets"],
    ),
    "no override": (["trainer.gamma"], ["trainer.gamma: is no override; expected key=value"]),
    "override with dashes": (["--trainer.gamma=0.9"], ["has no dashes: trainer.gamma=0.9"]),
    "configs and a preview": (["--generate-only", "--preview"], ["give one of them"]),
    "deletion swept": (["~trainer.gamma=1,2"], ["what is deleted cannot be swept"]),
    "range without an end": (["trainer.gamma=range(0,inf)"], ["a range has finite numbers"]),
    "seed that is a word": (["seed=abc"], ["seed", "'abc' is not allowed", "integer"]),
    "interval sweep": (["trainer.gamma=interval(0.1,0.9)"], ["interval", "choice"]),
}


def _refused(outcome, out: Path, fragments: list[str]) -> None:
    assert outcome.status == 2, outcome.err
    missing = [text for text in fragments if text not in outcome.err]
    assert not missing, f"{missing} not in:\n{outcome.err}"
    assert "Traceback" not in outcome.err
    assert not out.exists()


@pytest.mark.parametrize("case", TUNE_CASES)
def test_tuning_file(case, door, tiny, tmp_path):
    content, fragments = TUNE_CASES[case]
    (tmp_path / "tune.yaml").write_text(content)
    outcome = door("ntune", ["--config=tiny.yaml", "--tune=tune.yaml", "--out=out"])
    _refused(outcome, tmp_path / "out", fragments)


@pytest.mark.parametrize("case", BASE_CASES)
def test_base_config(case, door, tmp_path):
    content, fragments = BASE_CASES[case]
    (tmp_path / "base.yaml").write_text(content)
    (tmp_path / "tune.yaml").write_text("hyperparameters:\n  lamda: [0.9, 0.95]\n")
    outcome = door("ntune", ["--config=base.yaml", "--tune=tune.yaml", "--out=out"])
    _refused(outcome, tmp_path / "out", fragments)
    outcome = door("ntrain", ["--config=base.yaml", "--out=out"])
    _refused(outcome, tmp_path / "out", fragments)


@pytest.mark.parametrize("case", FLAG_CASES)
def test_flags(case, door, tmp_path):
    flags, fragments = FLAG_CASES[case]
    for name in ("bare.yaml", "bare.txt"):
        (tmp_path / name).write_text("environment: {type: CartPole, name: CartPole-v1}\n")
    outcome = door("ntune", ["--out=out", *flags])
    _refused(outcome, tmp_path / "out", fragments)


def test_a_missing_gpu(door, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (tmp_path / "tune.yaml").write_text("hyperparameters:\n  lamda: [0.9, 0.95]\n")
    sweep = ["--config=tiny.yaml", "--tune=tune.yaml", "--out=out"]
    swept = door("ntune", [*sweep, "device=cpu,cuda"])
    _refused(swept, tmp_path / "out", ["command line: device: cuda is not available"])
    tiny.write_text(f"device: cuda\n{tiny.read_text()}")
    for name, arguments in (("ntune", sweep), ("ntrain", ["--config=tiny.yaml", "--out=out"])):
        outcome = door(name, arguments)
        _refused(outcome, tmp_path / "out", ["tiny.yaml:1: device: cuda is not available"])


def test_an_output_place_that_is_a_file(door, tiny, tmp_path):
    (tmp_path / "place").write_text("")
    for arguments in (["--out=place"], ["hydra.run.dir=place/below"]):
        outcome = door("ntrain", ["--config=tiny.yaml", *arguments])
        assert outcome.status == 2
        assert "place is a file; expected a directory" in outcome.err
        assert "Traceback" not in outcome.out + outcome.err


def test_a_file_that_has_no_weights(door, tiny, tmp_path):
    (tmp_path / "a.pt").write_bytes(b"abc")
    command = ["--config=tiny.yaml", "--out=out", "model.load_model=true", "model.model_path=a.pt"]
    _refused(door("ntrain", command), tmp_path / "out", ["a.pt is no checkpoint"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "trainer.gamma=0.9,0.99",
            "trainer.gamma=0.9,0.99: several values are a sweep, which ntune",
        ),
        ("hydra.sweeper.tune=example", "hydra.sweeper.tune=example: is an option of sweeps, which"),
        (
            "model/memory=grru",
            "'grru' is none of its configs: gru, lstm, none, transformer; did you",
        ),
        ("hydra/job_logging=dflt", "hydra/job_logging=dflt: 'dflt' is none of its configs: "),
    ],
)
def test_what_a_single_training_does_not_take(door, tiny, tmp_path, override, message):
    for name, arguments in (
        ("ntrain", ["--config=tiny.yaml", "--out=out"]),
        ("train", ["--config-path=.", "--config-name=tiny", "hydra.run.dir=out"]),
    ):
        _refused(door(name, [*arguments, override]), tmp_path / "out", [message])


def test_an_unknown_flag_of_hydra(door):
    outcome = door("train", ["--multrun"])
    assert outcome.status == 2
    assert outcome.err.startswith("error: unknown flag --multrun; did you mean --multirun")


def test_tuning_file_that_is_a_directory(door, tiny, tmp_path):
    (tmp_path / "space").mkdir()
    outcome = door("ntune", ["--config=tiny.yaml", "--tune=space", "--out=out"])
    _refused(outcome, tmp_path / "out", ["space", "is a directory"])


def test_tuning_file_that_is_not_utf8(door, tiny, tmp_path):
    (tmp_path / "tune.yaml").write_bytes("hyperparameters:\n  # größe\n".encode("latin-1"))
    outcome = door("ntune", ["--config=tiny.yaml", "--tune=tune.yaml", "--out=out"])
    _refused(outcome, tmp_path / "out", ["tune.yaml:2", "not UTF-8"])


def test_a_grid_of_a_billion_is_counted_and_refused(door, tiny, tmp_path):
    choices = ", ".join(str(number / 1001) for number in range(1000))
    (tmp_path / "tune.yaml").write_text(
        f"hyperparameters:\n  gamma: [{choices}]\n  lamda: [{choices}]\n"
        f"  value_coefficient: [{choices}]\n"
    )
    outcome = door("ntune", ["--config=tiny.yaml", "--tune=tune.yaml", "--out=out"])
    _refused(outcome, tmp_path / "out", ["1000 · 1000 · 1000 = 1,000,000,000", "1,000,000"])


def test_every_problem_of_a_file_is_told_at_once(door, tiny, tmp_path):
    (tmp_path / "tune.yaml").write_text(
        "hyperparameters:\n  gama: [0.9]\n  lamda: 1\n  epochs: []\nno_schedule:\n  initial: [1]\n"
    )
    outcome = door("ntune", ["--config=tiny.yaml", "--tune=tune.yaml", "--out=out"])
    _refused(
        outcome,
        tmp_path / "out",
        ["tune.yaml:2", "tune.yaml:3", "tune.yaml:4", "tune.yaml:5"],
    )


def test_mixed_types_name_the_wrong_choice(door, tiny, tmp_path):
    (tmp_path / "tune.yaml").write_text("hyperparameters:\n  epochs: [2, 012, 1:30]\n")
    outcome = door("ntune", ["--config=tiny.yaml", "--tune=tune.yaml", "--out=out"])
    # In YAML 1.2, 012 is the integer 12, and 1:30 is a string.
    _refused(outcome, tmp_path / "out", ["'1:30' is not allowed", "1 of 3 permutations"])


@pytest.mark.parametrize(
    ("name", "extra", "module"),
    [
        ("ALE/Pong-v5", "atari", "ale_py"),
        ("PongNoFrameskip-v4", "atari", "ale_py"),
        ("HalfCheetah-v5", "mujoco", "mujoco"),
        ("LunarLander-v3", "box2d", "Box2D"),
    ],
)
def test_missing_environment_package_names_the_remedy(
    door, tmp_path, monkeypatch, name, extra, module
):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda one, *rest: None if one == module else found(one, *rest)
    )
    (tmp_path / "base.yaml").write_text(f"environment:\n  type: Gymnasium\n  name: {name}\n")
    outcome = door("ntrain", ["--config=base.yaml", "--out=out"])
    remedy = f'{name} needs a package that is not installed: pip install "neroRL[{extra}]"'
    _refused(outcome, tmp_path / "out", ["base.yaml:3", "environment.name", remedy])
    assert len(outcome.err.splitlines()) == 1


def test_actions_that_no_policy_takes_are_refused(door, tmp_path, monkeypatch):
    module = """
import gymnasium
from gymnasium import spaces
class Chat(gymnasium.Env):
    observation_space, action_space = spaces.Discrete(2), spaces.Text(9)
gymnasium.register("Chat-v0", Chat)
"""
    (tmp_path / "chatting.py").write_text(module)
    (tmp_path / "base.yaml").write_text(
        "environment:\n  type: Gymnasium\n  name: chatting:Chat-v0\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    outcome = door("ntrain", ["--config=base.yaml", "--out=out"])
    _refused(outcome, tmp_path / "out", ["base.yaml:3", "Chat-v0", "only a Box of floats"])


def test_schedule_that_rises_is_warned_of(door, tiny, tmp_path):
    (tmp_path / "tune.yaml").write_text("beta_schedule:\n  initial: [0.01]\n  final: [0.1]\n")
    arguments = ["--config=tiny.yaml", "--tune=tune.yaml", "--out=out", "--generate-only"]
    outcome = door("ntune", arguments)
    assert outcome.status == 0
    assert "warning" in outcome.err
    assert "0.1 is greater than initial = 0.01" in outcome.err


@pytest.mark.parametrize(
    ("model", "fragment"),
    [
        (
            "recurrence: {sequence_length: 64}",
            "64 is longer than a rollout of sampler.worker_steps",
        ),
        ("transformer: {embed_dim: 8, memory_length: -1}", "-1 attends to all past steps"),
    ],
)
def test_lengths_beyond_a_rollout_or_an_episode_are_told_once(model, fragment, door, tmp_path):
    (tmp_path / "base.yaml").write_text(
        "environment: {type: CartPole, name: CartPole-v1}\n"
        f"model:\n  num_hidden_units: 8\n  {model}\n"
        "sampler: {n_workers: 2, worker_steps: 32}\ntrainer: {updates: 1}\nthreads: 1\n"
    )
    (tmp_path / "tune.yaml").write_text("hyperparameters:\n  lamda: [0.9, 0.95]\n")
    arguments = ["--config=base.yaml", "--tune=tune.yaml", "--out=out", "--generate-only"]
    swept = door("ntune", arguments)
    alone = door("ntrain", ["--config=base.yaml", "--out=alone"])
    for outcome in (swept, alone):
        assert outcome.status == 0, outcome.err
        assert outcome.err.count(fragment) == 1
        assert "base.yaml:4: model." in outcome.err
    assert list((tmp_path / "alone").glob("**/*.pt"))  # the training still ran


def test_overlapping_seeds_are_warned_of(door, tmp_path):
    (tmp_path / "base.yaml").write_text(
        "environment: {type: CartPole, name: CartPole-v1}\n"
        "evaluation:\n  evaluate: true\n  seeds: [5, 6, 100000]\n"
    )
    (tmp_path / "tune.yaml").write_text("hyperparameters:\n  lamda: [0.9]\n")
    arguments = ["--config=base.yaml", "--tune=tune.yaml", "--out=out", "--generate-only"]
    outcome = door("ntune", arguments)
    assert outcome.status == 0
    assert "base.yaml:4: evaluation.seeds: 2 evaluation seeds are training seeds" in outcome.err


def test_published_config_of_an_older_version_runs_with_warnings(door, tmp_path):
    (tmp_path / "base.yaml").write_text(
        "environment: {type: CartPole, name: CartPole-v1}\n"
        "model:\n"
        "  vec_encoder_layer: none\n"
        "  transformer: {num_layers: 2, layer_size: 16, positional_encoding: relative}\n"
        "sampler: {type: TrajectorySampler}\n"
        "trainer: {share_parameters: true, refresh_buffer_epoch: -1}\n"
    )
    (tmp_path / "tune.yaml").write_text("hyperparameters:\n  lamda: [0.9]\n")
    arguments = ["--config=base.yaml", "--tune=tune.yaml", "--out=out", "--generate-only"]
    outcome = door("ntune", arguments)
    assert outcome.status == 0, outcome.err
    assert "is called vec_encoder now" in outcome.err
    assert "base.yaml:4: model.transformer.positional_encoding: relative is" in outcome.err
    text = (tmp_path / "out/configs/0.yaml").read_text()
    for line in ("vec_encoder: none", "num_blocks: 2", "embed_dim: 16", "encoding: absolute"):
        assert line in text


def test_invalid_permutations_can_be_left_out(door, tiny, tmp_path):
    (tmp_path / "tune.yaml").write_text("hyperparameters:\n  gamma: [0.9, 1.5, 0.8]\n")
    arguments = ["--config=tiny.yaml", "--tune=tune.yaml", "--out=out", "--generate-only"]
    outcome = door("ntune", [*arguments, "hydra.sweeper.on_invalid=skip"])
    assert outcome.status == 0
    assert "left out" in outcome.err
    names = sorted(path.name for path in (tmp_path / "out/configs").iterdir())
    assert names == ["0.yaml", "2.yaml"]
    for preview in (["--preview"], []):
        only = ["hydra.sweeper.on_invalid=skip", "hydra.sweeper.only=[1]", *preview]
        refused = door("ntune", [*arguments[:-1], *only])
        assert refused.status == 2
        assert "hydra.sweeper.only: none of these permutations can train" in refused.err


def test_a_run_id_that_is_a_link_out_of_the_directory(door, tiny, tmp_path):
    """The cases of flags above have run ids that leave it with dots."""
    (tmp_path / "tune.yaml").write_text("hyperparameters:\n  gamma: [0.9]\n")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out/away").symlink_to(tmp_path / "elsewhere")
    arguments = ["--config=tiny.yaml", "--tune=tune.yaml", "--out=out", "--run-id=away"]
    outcome = door("ntune", arguments)
    assert outcome.status == 2
    assert "away is a link that leaves out" in outcome.err
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_directory_that_hydra_would_interpolate(door, tiny, tmp_path, monkeypatch):
    here = tmp_path / "in${x}"
    here.mkdir()
    shutil.copy(tiny, here)
    for directory in (tmp_path, here):
        (directory / "tune.yaml").write_text("hyperparameters:\n  gamma: [0.9]\n")
    tuned = ["--config=tiny.yaml", "--tune=tune.yaml"]
    outcome = door("ntune", [*tuned, r"--out=out\${x}"])
    _refused(outcome, tmp_path / "out${x}", ["out${x}/default: Hydra cannot run below a name"])
    monkeypatch.chdir(here)
    for name, arguments in (("ntune", tuned), ("ntrain", tuned[:1])):
        outcome = door(name, [*arguments, "--out=out"])
        _refused(outcome, here / "out", ["in${x}/out", "Hydra cannot run below a name"])


@pytest.mark.parametrize("kind", ["file", "foreign"])
def test_output_directory_that_cannot_be_used(kind, door, tiny, tmp_path):
    (tmp_path / "tune.yaml").write_text("hyperparameters:\n  gamma: [0.9]\n")
    taken = tmp_path / "out"
    if kind == "file":
        taken.write_text("mine")
    else:
        (taken / "default").mkdir(parents=True)
        (taken / "default/notes.txt").write_text("mine")
    outcome = door("ntune", ["--config=tiny.yaml", "--tune=tune.yaml", "--out=out"])
    assert outcome.status == 2
    assert "is a file" in outcome.err if kind == "file" else "notes.txt" in outcome.err
    assert [path.name for path in tmp_path.glob("out/**/*")] == (
        [] if kind == "file" else ["default", "notes.txt"]
    )


def test_a_name_that_submitit_would_change_is_refused(door, tiny, tmp_path):
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9]\n")
    tuned = ["--config=tiny.yaml", "--tune=space.yaml", "--out=100%j"]
    outcome = door("ntune", [*tuned, "hydra/launcher=submitit_local"])
    _refused(outcome, tmp_path / "100%j", ["100%j/default: submitit cannot run below a name"])


def test_null_is_suggested_only_where_it_is_allowed():
    text = "None"
    schedule = {"initial": text, "final": text}
    mapping = {
        "trainer": {"gamma": text, "beta_schedule": schedule},
        "model": {"recurrence": text, "activation": text, "num_hidden_layers": text},
        "evaluation": {"seeds": {"explicit-seeds": text}},
    }
    with pytest.raises(ConfigError) as refused:
        build(mapping)
    told = {
        problem.path: problem.message.endswith("; write null for no value")
        for problem in refused.value.problems
    }
    assert told == {
        "trainer.gamma": False,
        "trainer.beta_schedule.initial": False,
        "trainer.beta_schedule.final": True,
        "model.recurrence": True,
        "model.activation": False,
        "model.num_hidden_layers": False,
        "evaluation.seeds.explicit-seeds": True,
    }
    with pytest.raises(ConfigError, match=r"expected a valid number$"):
        build({"trainer": {"beta_schedule": {"initial": 0.1, "final": "none at all"}}})
