"""``ntune`` passes Hydra's own flags on, as ``python train.py`` takes them."""

from __future__ import annotations

import pytest
from hydra._internal.utils import get_args_parser

from neroRL.flags import tune_arguments

SPACE = "hyperparameters:\n  gamma: [0.9, 0.95]\n"


@pytest.fixture
def space(tmp_path):
    (tmp_path / "space.yaml").write_text(SPACE)


@pytest.mark.usefixtures("space")
@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        (["--info", "searchpath"], "Config search path"),
        (["--info=defaults"], "Defaults List"),
        (["-i", "config"], "gamma: 0.99"),
        (["--hydra-help"], "== Flags =="),
        (["--version"], "Hydra 1.3"),
        (["-sc", "install=bash"], "hydra_bash_completion"),
    ],
)
def test_flags_that_show_something(flags, shown, door, tiny, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    outcome = door("ntune", ["--config=tiny.yaml", "--tune=space.yaml", "--out=out", *flags])
    assert outcome.status == 0, outcome.err
    assert shown in outcome.out
    assert "python train.py" not in outcome.out
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.usefixtures("space", "tiny")
@pytest.mark.parametrize(
    "flags",
    [
        ["--config-dir=.", "--config-name=tiny"],
        ["-cd", ".", "-cn", "tiny", "-m"],
        ["--config-path=.", "--config-name", "tiny.yaml"],
    ],
)
def test_flags_that_name_the_base_config(flags, door):
    common = ["--tune=space.yaml", "--out=out", "--cfg=job"]
    ours = door("ntune", [*flags, *common])
    assert ours.status == 0, ours.err
    assert ours.out == door("ntune", ["--config=tiny.yaml", *common]).out


@pytest.mark.usefixtures("space")
def test_groups_of_a_further_directory(door, tiny, tmp_path):
    (tmp_path / "more/environment").mkdir(parents=True)
    (tmp_path / "more/environment/mine.yaml").write_text(
        "type: CartPole\nname: CartPole-v1\nframe_skip: 3\n"
    )
    arguments = ["--config=./configs/default.yaml", "--tune=space.yaml", "environment=mine"]
    outcome = door("ntune", [*arguments, "--cfg=job", "--config-dir=more"])
    assert outcome.status == 0, outcome.err
    assert outcome.out.count("frame_skip: 3") == 2


@pytest.mark.usefixtures("space", "tiny")
@pytest.mark.parametrize(
    ("command", "flags", "told"),
    [
        ("ntune", ["--config=tiny.yaml", "--config-name=tiny"], "--config-name, not both"),
        ("ntune", ["--config=tiny.yaml", "--run"], "unknown flag --run"),
        ("train", ["--run", "--multirun"], "--run and --multirun: give one of them"),
        ("train", ["--info", "all", "--multirun"], "--multirun and --info: give one of them"),
        ("train", ["--experimental-rerun=x.pickle"], "--experimental-rerun is not supported"),
        ("train", ["-m", "--cfg", "job", "--package", "trainer"], "a part of one config; leave it"),
        ("ntrain", ["--config=tiny.yaml", "--multirun"], "unknown flag --multirun"),
    ],
)
def test_flags_that_contradict_the_command(command, flags, told, door, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    outcome = door(command, flags)
    assert outcome.status == 2, outcome.err
    assert told in outcome.err
    assert "Traceback" not in outcome.err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.usefixtures("space", "tiny")
def test_every_flag_of_hydra_is_known():
    """All but those that start something else than a sweep."""
    known = {name for action in get_args_parser()._actions for name in action.option_strings}
    for flag in known - {"--help", "-h", "--run", "-r", "--experimental-rerun"}:
        assert flag in tune_arguments([flag])
