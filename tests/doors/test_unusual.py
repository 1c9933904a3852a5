"""Tests values and command lines that are legal but rare."""

from __future__ import annotations

import csv
import json

import pytest
import torch
import yaml

from neroRL.config.documents import text_of_value
from tests.doors.sweeps import ARGUMENTS, printed, write_space

# None of these may become markup of the summary, an interpolation, or a second line of an entry.
TEXTS = ["[/x]", "[bold]b", ":smile:", "a,b=c {y}", "two\nlines", "${seed}", "\\${seed}", "\\"]


@pytest.fixture
def texts(tiny, tmp_path):
    """Writes a space over strings that nothing reads, since ``load_model`` is off."""
    written = [text.replace("${", "\\${") for text in TEXTS[:-2]] + ["\\\\\\${seed}", TEXTS[-1]]
    tiny.write_text(tiny.read_text().replace("updates: 2", "updates: 1"))
    space = tmp_path / "space.yaml"
    space.write_text(yaml.safe_dump({"hyperparameters": {"model_path": written}}))
    return space


@pytest.mark.usefixtures("texts")
def test_texts_arrive_and_are_shown_unchanged(door, tmp_path):
    outcome = door("ntune", [*ARGUMENTS, "--out=it's out", "sampler.worker_steps=64"])
    assert outcome.status == 0, outcome.err
    sweep = tmp_path / "it's out/run"
    with (sweep / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["model.model_path"] for row in rows] == TEXTS
    for number, text in enumerate(TEXTS):
        path = sweep / f"{number}/0/checkpoints/run-1.pt"
        assert torch.load(path, weights_only=True)["config"]["model"]["model_path"] == text
    best = sorted(rows, key=lambda row: -float(row["objective"]))[0]
    shown = text_of_value(best["model.model_path"]).splitlines()[0]
    assert f"model.model_path={shown}" in outcome.out
    assert "tensorboard --logdir 'it'\"'\"'s out/run'" in outcome.out


@pytest.mark.slow
@pytest.mark.usefixtures("texts")
def test_generated_configs_have_texts_unchanged(door, tmp_path):
    assert door("ntune", [*ARGUMENTS, "--generate-only"]).status == 0
    assert len((tmp_path / "out/info.txt").read_text().splitlines()) == len(TEXTS)
    for number, text in enumerate(TEXTS):
        config = f"out/configs/{number}.yaml"
        outcome = door("ntrain", [f"--config={config}", "--cfg=job", "--resolve"])
        assert yaml.safe_load(outcome.out)["model"]["model_path"] == text


@pytest.mark.usefixtures("texts")
def test_a_dry_run_is_yaml_whatever_the_values(door):
    outcome = door("ntune", [*ARGUMENTS, "--cfg=job", "--resolve"])
    configs = list(yaml.safe_load_all(outcome.out))
    assert [config["model"]["model_path"] for config in configs] == TEXTS


def test_a_base_config_may_end_with_yml(door, tiny, tmp_path):
    tiny.rename(tmp_path / "a.tiny.yml")
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9, 0.99]\n")
    command = ["--config=a.tiny.yml", "--tune=space.yaml", "--out=out", "--run-id=run"]
    outcome = door("ntune", command)
    assert outcome.status == 0, outcome.err
    assert "2 completed" in outcome.out
    assert door("ntrain", ["--config=a.tiny.yml", "trainer.updates=1"]).status == 0


def test_flags_may_have_letters_of_any_script(door, tiny, tmp_path):
    (tmp_path / "räum.yaml").write_text("hyperparameters:\n  gamma: [0.9, 0.99]\n")
    command = ["--config=tiny.yaml", "--tune=räum.yaml", "--out=jürgen/out", "--run-id=größe"]
    outcome = door("ntune", [*command, "trainer.updates=1"])
    assert outcome.status == 0, outcome.err
    assert (tmp_path / "jürgen/out/größe/1/0/result.json").is_file()


def test_a_base_config_may_be_a_link_to_a_file_of_another_name(door, tiny, tmp_path):
    """As tools make them that keep large files apart."""
    tiny.rename(tmp_path / "4f2a")
    (tmp_path / "link.yaml").symlink_to(tmp_path / "4f2a")
    outcome = door("ntrain", ["--config=link.yaml", "trainer.updates=1"])
    assert outcome.status == 0, outcome.err


def test_seeds_can_be_swept(door, tiny, tmp_path):
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  seed: [7, 20]\n")
    assert door("ntune", [*ARGUMENTS, "--num-repetitions=2"]).status == 0
    with (tmp_path / "out/run/results.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header.count("seed") == 1
    assert [row[header.index("seed")] for row in rows] == ["7", "20", "8", "21"]
    for number, choice in enumerate([7, 20]):
        result = json.loads((tmp_path / f"out/run/{number}/1/result.json").read_text())
        assert (result["seed"], result["overrides"]) == (choice + 1, {"seed": choice})


def _rows(sweep):
    with (sweep / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_seeds_to_draw_can_be_swept(door, tiny, tmp_path):
    """Each -1 gets its own seed, which all permutations that choose it share from then on."""
    space = tmp_path / "space.yaml"
    space.write_text("hyperparameters:\n  gamma: [0.9, 0.99]\n  seed: [-1, 7, -1]\n")
    command = [*ARGUMENTS, "--num-repetitions=2", "trainer.updates=1"]
    outcome = door("ntune", command)
    assert outcome.status == 0, outcome.err
    assert "twice" not in outcome.err
    sweep = tmp_path / "out/run"
    rows = _rows(sweep)
    first, seven, second = seeds = [int(row["seed"]) for row in rows[:3]]
    assert seven == 7
    assert len({first, second, 5}) == 3
    assert [int(row["seed"]) for row in rows] == 2 * seeds + [seed + 1 for seed in 2 * seeds]
    for row in rows:
        job = sweep / row["directory"]
        swept = json.loads((job / "result.json").read_text())["overrides"]["seed"]
        assert swept == seeds[int(row["permutation"]) % 3]
        trained = torch.load(job / "checkpoints/run-1.pt", weights_only=True)["config"]["seed"]
        assert trained == int(row["seed"]) == swept + int(row["repetition"])
    assert yaml.safe_load((sweep / "sweep.yaml").read_text())["drawn_seeds"] == [first, second]

    (sweep / "0/0/result.json").unlink()
    again = door("ntune", command)
    assert again.status == 0, again.err
    assert "11 of 12 jobs are done already" in again.err
    assert [row["seed"] for row in _rows(sweep)] == [row["seed"] for row in rows]

    space.write_text("hyperparameters:\n  gamma: [0.9, 0.99]\n  seed: [-1, 7, -1, -1]\n")
    more = door("ntune", [*command, "hydra.sweeper.extend=true"])
    assert more.status == 0, more.err
    assert "12 of 16 jobs are done already" in more.err
    extended = [int(row["seed"]) for row in _rows(sweep)[:4]]
    assert extended[:3] == seeds
    assert extended[3] not in seeds
    overrides = json.loads((sweep / "4/0/result.json").read_text())["overrides"]
    assert overrides == {"trainer.gamma": 0.99, "seed": first}


def test_seeds_of_more_than_64_bits_are_refused(door, tiny, tmp_path):
    (tmp_path / "space.yaml").write_text(f"hyperparameters:\n  seed: [1, {2**63 - 2}]\n")
    outcome = door("ntune", [*ARGUMENTS, "--num-repetitions=3"])
    assert outcome.status == 2
    assert f"would have {2**63}; expected {2**63 - 1} or less" in outcome.err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_every_repetition_is_generated_and_shown(door, tiny, tmp_path):
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9, 0.99]\n")
    command = [*ARGUMENTS, "--num-repetitions=3"]
    outcome = door("ntune", [*command, "--generate-only"])
    assert outcome.status == 0, outcome.err
    assert "6 configs in" in outcome.out
    names = ["0.yaml", "1.yaml", "0-1.yaml", "1-1.yaml", "0-2.yaml", "1-2.yaml"]
    configs = tmp_path / "out/configs"
    assert sorted(path.name for path in configs.iterdir()) == sorted(names)
    gammas = [0.9, 0.99]
    told = (tmp_path / "out/info.txt").read_text().splitlines()
    assert told == [
        f"configs/{name}: trainer.gamma={gammas[number % 2]}" for number, name in enumerate(names)
    ]
    shown = list(yaml.safe_load_all(door("ntune", [*command, "--cfg=job"]).out))
    for number, name in enumerate(names):
        config = yaml.safe_load((configs / name).read_text())
        assert (config["seed"], config["trainer"]["gamma"]) == (5 + number // 2, gammas[number % 2])
        assert config == shown[number]
    assert door("ntrain", ["--config=out/configs/1-2.yaml", "hydra.run.dir=here"]).status == 0
    assert door("ntune", [*command, "trainer.updates=2"]).status == 0
    trained, swept = (
        torch.load(tmp_path / job / name, weights_only=True)["model"]
        for job, name in (
            ("here", "checkpoints/run-2.pt"),
            ("out/run/1/2", "checkpoints/run-2.pt"),
        )
    )
    assert all(torch.equal(trained[key], swept[key]) for key in swept)


def test_a_shuffled_sweep_is_continued(door, tiny, tmp_path):
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  lamda: [0.9]\n")
    command = [*ARGUMENTS, "trainer.updates=1", "trainer.gamma=shuffle(0.9,0.92,0.94,0.96)"]
    assert door("ntune", command).status == 0
    order = [row["trainer.gamma"] for row in _rows(tmp_path / "out/run")]
    assert order != sorted(order)
    again = door("ntune", command)
    assert again.status == 0, again.err
    assert "4 of 4 jobs are done already" in again.err


@pytest.mark.parametrize("multirun", [True, False])
def test_the_last_of_several_values_holds_as_in_hydra(door, tiny, tmp_path, multirun):
    """This holds with and without a sweep; in a single training, Hydra itself decides."""
    more = ["-m"] if multirun else []
    values = ["trainer.gamma=0.9", "++trainer.gamma=0.8", "trainer.gamma=0.7", "seed=1", "seed=2"]
    command = [f"--config-path={tmp_path}", "--config-name=tiny", *more, "--cfg=job", *values]
    (config,) = yaml.safe_load_all(door("train", command).out)
    assert (config["trainer"]["gamma"], config["seed"]) == (0.7, 2)


@pytest.mark.parametrize(
    ("values", "gammas"),
    [(["0.9,0.95", "0.8"], [0.8]), (["0.8", "0.9,0.95"], [0.9, 0.95])],
)
def test_the_last_of_a_sweep_and_a_value_holds(door, tiny, tmp_path, values, gammas):
    given = [f"trainer.gamma={value}" for value in values]
    command = [f"--config-path={tmp_path}", "--config-name=tiny", "-m"]
    outcome = door("train", [*command, "--cfg=job", *given])
    configs = list(yaml.safe_load_all(outcome.out))
    assert [config["trainer"]["gamma"] for config in configs] == gammas
    assert f"{given[0]} has no effect: {given[1]} comes later" in outcome.err
    assert (
        door("train", [*command, "hydra/sweeper=basic", "hydra.sweep.dir=out", *given]).status == 0
    )
    hydras = [
        yaml.safe_load((tmp_path / f"out/{number}/.hydra/config.yaml").read_text())
        for number in range(len(gammas))
    ]
    assert [config["trainer"]["gamma"] for config in hydras] == gammas
    assert not (tmp_path / f"out/{len(gammas)}").exists()


def test_a_value_takes_the_place_of_a_sweep_in_the_config(door, tiny, tmp_path):
    params = "{trainer.gamma: '0.9,0.95', seed: '3'}"
    tiny.write_text(f"{tiny.read_text()}hydra: {{sweeper: {{params: {params}}}}}\n")
    command = [f"--config-path={tmp_path}", "--config-name=tiny", "-m", "--cfg=job"]
    for given, expected in (
        ([], [(0.9, 3), (0.95, 3)]),
        (["trainer.gamma=0.8"], [(0.8, 3)]),
        (["seed=1,2"], [(0.9, 1), (0.9, 2), (0.95, 1), (0.95, 2)]),
    ):
        configs = yaml.safe_load_all(door("train", [*command, *given]).out)
        found = [(config["trainer"]["gamma"], config["seed"]) for config in configs]
        assert found == expected
    outcome = door("train", [*command, "trainer.gamma=0.98,0.99"])
    assert outcome.status == 2
    twice = "is swept twice, also as trainer.gamma (hydra.sweeper.params)"
    assert f"command line: trainer.gamma: {twice}" in outcome.err
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9]\n")
    outcome = door("train", [*command, "hydra.sweeper.tune=space.yaml"])
    assert outcome.status == 2
    assert "is swept twice, also as gamma (space.yaml:2)" in outcome.err


@pytest.mark.slow
def test_values_that_the_sweep_fills(door, tiny, tmp_path):
    """The base config has ``???`` and an interpolation of it."""
    text = tiny.read_text().replace("worker_steps: 16", "worker_steps: ???")
    tiny.write_text(f"{text}evaluation:\n  n_workers: ${{sampler.worker_steps}}\n")
    refused = door("ntrain", ["--config=tiny.yaml", "--out=out"])
    assert refused.status == 2
    assert "tiny.yaml:10: sampler.worker_steps: has no value (???)" in refused.err
    space = tmp_path / "space.yaml"
    space.write_text("hyperparameters:\n  gamma: [0.9]\n")
    refused = door("ntune", ARGUMENTS)
    assert refused.status == 2
    assert "sampler.worker_steps: has no value (???)" in refused.err
    space.write_text("hyperparameters:\n  worker_steps: [16, 32]\n")
    for done in (0, 2):
        outcome = door("ntune", ARGUMENTS)
        assert outcome.status == 0, outcome.err
        assert (f"{done} of 2 jobs are done already" in outcome.err) == (done > 0)
    steps = [int(row["env_steps"]) for row in _rows(tmp_path / "out/run")]
    assert steps == [2 * 2 * 16, 2 * 2 * 32]
    for number, expected in enumerate((16, 32)):
        path = tmp_path / f"out/run/{number}/0/checkpoints/run-2.pt"
        config = torch.load(path, weights_only=True)["config"]
        assert config["evaluation"]["n_workers"] == expected


def test_a_config_can_use_hydras_values(door, tiny, tmp_path):
    tiny.write_text(tiny.read_text().replace(
        "model:\n", "model:\n  model_path: ${hydra:runtime.cwd}/${hydra:job.name}.pt\n"
    ))  # fmt: skip
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9, 0.95]\n")
    for done in (0, 2):
        outcome = door("ntune", ARGUMENTS)
        assert outcome.status == 0, outcome.err
        assert (f"{done} of 2 jobs are done already" in outcome.err) == (done > 0)
    assert door("ntrain", ["--config=tiny.yaml", "hydra.run.dir=alone"]).status == 0
    for job, name in (("out/run/1/0", "run"), ("alone", "default")):
        path = tmp_path / job / f"checkpoints/{name}-2.pt"
        model = torch.load(path, weights_only=True)["config"]["model"]
        assert model["model_path"] == f"{tmp_path}/train.pt"


@pytest.mark.parametrize("path", ["job.num", "job.override_dirname", "runtime.output_dir"])
def test_hydra_values_that_differ_between_jobs_are_refused(door, tiny, tmp_path, path):
    tiny.write_text(f"{tiny.read_text()}run_id: x${{hydra:{path}}}\n")
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9, 0.95]\n")
    tune = ["--config=tiny.yaml", "--tune=space.yaml", "-m"][:2]
    command = ["-m", f"--config-path={tmp_path}", "--config-name=tiny", "hydra.sweep.dir=out"]
    for door_name, arguments in (
        ("train", [*command, "hydra.sweeper.tune=space.yaml"]),
        ("ntrain", [tune[0], "--out=out"]),
    ):
        outcome = door(door_name, arguments)
        assert outcome.status == 2
        assert f"run_id: ${{hydra:{path}}} is not known before the job runs" in outcome.err
        assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_jobs_may_change_the_directory(door, tiny, tmp_path):
    """Paths in the command line and the config are relative to where the command was started."""
    first = ["--config=tiny.yaml", "--run-id=run", "hydra.run.dir=first"]
    assert door("ntrain", first).status == 0
    (tmp_path / "first/checkpoints/run-2.pt").rename(tmp_path / "weights.pt")
    weights = torch.load(tmp_path / "weights.pt", weights_only=True)["model"]
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9, 0.95]\n")
    chdir = ["hydra.job.chdir=true", "model.load_model=true", "model.model_path=weights.pt"]
    chdir += ["trainer.learning_rate_schedule.initial=0"]
    for _ in range(2):
        outcome = door("ntune", [*ARGUMENTS, *chdir])
        assert outcome.status == 0, outcome.err
    assert "2 of 2 jobs are done already" in outcome.err
    joblib = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=1", "--out=elsewhere"]
    outcome = door("ntune", [*ARGUMENTS, *chdir, *joblib])
    assert outcome.status == 0, outcome.err
    outcome = door("ntrain", ["--config=tiny.yaml", "--run-id=run", *chdir, "hydra.run.dir=alone"])
    assert outcome.status == 0, outcome.err
    for job in ("out/run/0/0", "out/run/1/0", "elsewhere/run/1/0", "alone"):
        path = tmp_path / job / "checkpoints/run-2.pt"
        model = torch.load(path, weights_only=True)["model"]
        assert all(torch.equal(model[key], weights[key]) for key in weights)


@pytest.mark.parametrize("place", ["command line", "config"])
def test_another_directory_layout_is_refused(door, tiny, tmp_path, place):
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9]\n")
    more = ["hydra.sweep.subdir=x"]
    if place == "config":
        tiny.write_text(f"{tiny.read_text()}hydra: {{sweep: {{subdir: x}}}}\n")
        more = []
    outcome = door("ntune", [*ARGUMENTS, *more])
    assert outcome.status == 2
    told = "hydra.sweep.subdir: x is not allowed; jobs lie in <permutation>/<repetition>"
    assert told in outcome.err
    assert not (tmp_path / "out").exists()


def test_evaluation_seeds_can_be_swept(door, tiny, tmp_path):
    space = "hyperparameters:\n  evaluation.seeds.explicit-seeds: [[3], [4, 5]]\n"
    (tmp_path / "space.yaml").write_text(space)
    outcome = door("ntune", [*ARGUMENTS, "--cfg=job"])
    configs = list(yaml.safe_load_all(outcome.out))
    seeds = [config["evaluation"]["seeds"]["explicit-seeds"] for config in configs]
    assert seeds == [[3], [4, 5]]
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  evaluation.seeds: [[3], [4, 5]]\n")
    outcome = door("ntune", [*ARGUMENTS, "--cfg=job"])
    assert outcome.status == 2
    assert "space.yaml:2" in outcome.err
    assert "sweep evaluation.seeds.explicit-seeds" in outcome.err


def test_fewer_repetitions_keep_finished_repetitions(door, tiny, tmp_path):
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  gamma: [0.9, 0.99]\n")
    assert door("ntune", [*ARGUMENTS, "--num-repetitions=2"]).status == 0
    table = (tmp_path / "out/run/results.csv").read_text()
    (tmp_path / "out/run/1/0/result.json").unlink()
    outcome = door("ntune", [*ARGUMENTS, "--num-repetitions=1"])
    assert outcome.status == 0
    assert "3 of 4 jobs are done already" in outcome.err
    with (tmp_path / "out/run/results.csv").open(newline="") as file:
        told = [(row["permutation"], row["repetition"]) for row in csv.DictReader(file)]
    assert told == [("0", "0"), ("1", "0"), ("0", "1"), ("1", "1")]
    assert len(table.splitlines()) == 5
    assert yaml.safe_load((tmp_path / "out/run/sweep.yaml").read_text())["repetitions"] == 2


def test_a_single_training_of_another_config_does_not_count_as_the_first(door, tiny, tmp_path):
    command = [f"--config-path={tmp_path}", "--config-name=tiny", "hydra.run.dir=here"]
    assert door("train", [*command, "seed=1"]).status == 0
    first = torch.load(tmp_path / "here/checkpoints/default-2.pt", weights_only=True)
    assert door("train", [*command, "seed=2"]).status == 0
    second = torch.load(tmp_path / "here/checkpoints/default-2.pt", weights_only=True)
    kept = torch.load(tmp_path / "here/checkpoints.0/default-2.pt", weights_only=True)
    assert [content["config"]["seed"] for content in (first, second, kept)] == [1, 2, 1]
    assert second["update"] == 2
    log = (tmp_path / "here/train.log").read_text()
    assert "seed: 1 there, 2 here" in log


def test_a_continued_training_keeps_its_drawn_seed(door, tiny, tmp_path):
    command = [f"--config-path={tmp_path}", "--config-name=tiny", "hydra.run.dir=here", "seed=-1"]
    assert door("train", command).status == 0
    drawn = json.loads((tmp_path / "here/result.json").read_text())["seed"]
    assert door("train", [*command, "trainer.updates=3"]).status == 0
    result = json.loads((tmp_path / "here/result.json").read_text())
    assert (result["seed"], result["updates"]) == (drawn, 3)
    checkpoint = tmp_path / "here/checkpoints/default-2.pt"
    command = ["--config=tiny.yaml", f"--checkpoint={checkpoint}", "--out=out", "--seed=-1"]
    assert door("ntrain", command).status == 0
    (path,) = (tmp_path / "out").rglob("result.json")
    assert json.loads(path.read_text())["seed"] == drawn


@pytest.mark.parametrize("damage", ["random", "foreign"])
def test_a_checkpoint_that_cannot_be_continued_creates_nothing(door, tiny, tmp_path, damage):
    path = tmp_path / "a.pt"
    command = ["--config=tiny.yaml", "--checkpoint=a.pt", "--out=out"]
    if damage == "random":
        path.write_bytes(bytes(range(7, 256)) * 2)
        message = "a.pt is no checkpoint"
    else:
        first = ["--config=tiny.yaml", "--out=first", "trainer.updates=1"]
        assert door("ntrain", first).status == 0
        (found,) = (tmp_path / "first").rglob("*.pt")
        found.rename(path)
        command.append("sampler.worker_steps=8")
        message = "sampler.worker_steps: 16 there, 8 here"
    outcome = door("ntrain", command)
    assert outcome.status == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err + outcome.out
    assert not (tmp_path / "out").exists()


def test_separators_of_lines_in_a_value_end_no_comment(door, tiny, tmp_path):
    paths = ["a\u2028b", "c\u2029d", "e\x85f", "g\nh", "i\x07j\tk"]
    write_space(tmp_path, yaml.safe_dump({"hyperparameters": {"model.model_path": paths}}))
    heads, configs = printed(door("ntune", [*ARGUMENTS, "--cfg=job"]))
    assert [config["model"]["model_path"] for config in configs] == paths
    assert r"a\u2028b" in heads[0]
    assert all(len(head.splitlines()) == 1 for head in heads)
