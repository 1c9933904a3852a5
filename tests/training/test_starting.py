"""Tests that the files a training starts from are checked before anything is created."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
import yaml

from neroRL.config import schema
from neroRL.config.checks import build
from neroRL.config.weights import weights_digest
from neroRL.errors import CheckpointError
from neroRL.evaluation.choosing import of_path
from neroRL.records import results
from neroRL.training import checkpoint as checkpoints
from neroRL.training.trainer import train
from tests.conftest import TINY

CPU = torch.device("cpu")


class Bomb:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self):
        return Path.touch, (self._path,)


def _original(path: Path, *, archive: bool = True, **content) -> Path:
    """Writes a file with the keys that the original saves."""
    saved = {
        "configs": {"model": {"activation": "relu"}},
        "update": 7,
        "hxs": torch.zeros(1, 128),
        "cxs": None,
        "version": "0.0.1",
        "run_id": "pole",
        "model": {"recurrent_layer.recurrent_layer.weight_ih_l0": torch.zeros(3, 2)},
        "optimizer": {},
        **content,
    }
    torch.save(saved, path, _use_new_zipfile_serialization=archive)
    return path


@pytest.mark.parametrize("archive", [True, False])
@pytest.mark.parametrize("plain", [True, False])
def test_a_checkpoint_of_the_original_is_refused_by_name(tmp_path, archive, plain):
    spaces = {
        "visual_observation_space": gymnasium.spaces.Box(0, 1, (3, 84, 84), np.float32),
        "action_space_shape": (np.int64(2),),
        "bomb": Bomb(tmp_path / "run"),
    }
    path = _original(tmp_path / "a.pt", archive=archive, **({} if plain else spaces))
    with pytest.raises(CheckpointError, match=r"a.pt is a checkpoint of the original neroRL"):
        checkpoints.load(path, CPU)
    assert not (tmp_path / "run").exists()


def test_other_pickles_are_not_mistaken_for_the_originals(tmp_path):
    torch.save({"update": 3, "model": Bomb(tmp_path / "run")}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="holds pickled objects"):
        checkpoints.load(tmp_path / "a.pt", CPU)
    assert not (tmp_path / "run").exists()


@pytest.fixture
def trained(door, tiny: Path, tmp_path: Path) -> Path:
    """Trains the tiny network, and returns its checkpoint."""
    assert door("ntrain", ["--config=tiny.yaml", "--out=first"]).status == 0
    (path,) = (tmp_path / "first").glob("**/*-2.pt")
    return path


def _sweep(door, units, model):
    Path("tune.yaml").write_text(f"hyperparameters:\n  num_hidden_units: {units}\n")
    arguments = ["model.load_model=true", f"model.model_path={model}"]
    return door("ntune", ["--config=tiny.yaml", "--tune=tune.yaml", "--out=out", *arguments])


def test_weights_that_do_not_fit_are_found_before_a_sweep(door, tiny, trained, tmp_path):
    outcome = _sweep(door, [8, 9], trained)
    assert outcome.status == 2
    assert "command line: model.model_path" in outcome.err
    assert "hidden.0.weight: (8, 8) there, (9, 8) here" in outcome.err
    assert "1 of 2 permutations cannot work" in outcome.err
    assert not (tmp_path / "out").exists()
    fitting = _sweep(door, [8], trained)
    assert fitting.status == 0, fitting.err
    (result,) = (tmp_path / "out").glob("**/result.json")
    assert json.loads(result.read_text())["status"] == "completed"


def test_a_residual_connection_that_does_not_fit_is_found_before_the_start(door, tiny, tmp_path):
    (tmp_path / "tune.yaml").write_text("hyperparameters:\n  hidden_state_size: [8, 12]\n")
    recurrence = "\n  recurrence: {residual: true, embed: false, hidden_state_size: 12}\nsampler:"
    tiny.write_text(tiny.read_text().replace("\nsampler:", recurrence))
    message = (
        "model.recurrence.residual: adds 12 numbers to the encoder's 8; "
        "set embed to true, or hidden_state_size to 8"
    )
    sweep = ["--config=tiny.yaml", "--tune=tune.yaml", "--out=out"]
    for name, arguments in (("ntune", sweep), ("ntrain", ["--config=tiny.yaml", "--out=out"])):
        outcome = door(name, arguments)
        assert outcome.status == 2
        assert f"tiny.yaml:8: {message}" in outcome.err
        assert not (tmp_path / "out").exists()
    fitting = door("ntune", [*sweep, "hydra.sweeper.on_invalid=skip"])
    assert fitting.status == 0, fitting.err
    (result,) = (tmp_path / "out").glob("**/result.json")
    assert json.loads(result.read_text())["status"] == "completed"


@pytest.mark.parametrize("kind", ["original", "cut off", "pickled"])
def test_weights_that_cannot_be_read_are_found_before_a_sweep(kind, door, tiny, trained, tmp_path):
    path, message = tmp_path / "a.pt", "cannot be read, it may be cut off"
    if kind == "original":
        _original(path, action_space_shape=(np.int64(2),))
        message = "is a checkpoint of the original neroRL"
    elif kind == "cut off":
        path.write_bytes(trained.read_bytes()[:-2000])
    else:
        torch.save(torch.nn.Linear(2, 2), path)
        message = "holds pickled objects"
    content = tiny.read_text()
    tiny.write_text(content.replace("model:", f"model:\n  load_model: true\n  model_path: {path}"))
    (tmp_path / "tune.yaml").write_text("hyperparameters:\n  lamda: [0.9, 0.95]\n")
    arguments = ["--config=tiny.yaml", "--out=out"]
    for name, more in (("ntune", ["--tune=tune.yaml"]), ("ntrain", [])):
        outcome = door(name, [*arguments, *more])
        assert outcome.status == 2
        assert f"tiny.yaml:6: model.model_path: {path} {message}" in outcome.err
        assert "Traceback" not in outcome.err
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("fault", [MemoryError(), OSError(errno.EMFILE, "too many open files")])
def test_a_fault_of_the_machine_is_no_damage_of_a_checkpoint(trained, monkeypatch, fault):
    """A job that took it for one would begin anew, and neval would play an older policy."""

    def fail(*_, **__):
        raise fault

    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(type(fault)):
        checkpoints.load_latest(trained.parent.parent, CPU)
    with pytest.raises(type(fault)):
        of_path(trained.parent.parent)


def test_weights_that_do_not_fit_a_single_training(door, tiny, trained, tmp_path):
    load = ["model.load_model=true", f"model.model_path={trained}", "model.num_hidden_units=9"]
    outcome = door("ntrain", ["--config=tiny.yaml", "--out=out", *load])
    assert outcome.status == 2
    assert "command line: model.model_path" in outcome.err
    assert "hidden.0.weight: (8, 8) there, (9, 8) here" in outcome.err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("loads", [False, True])
def test_torch_is_imported_before_a_sweep_only_for_weights(loads, tiny, trained, tmp_path):
    (tmp_path / "tune.yaml").write_text("hyperparameters:\n  lamda: [0.9, 0.95]\n")
    if loads:
        weights = f"model:\n  load_model: true\n  model_path: {trained}"
        tiny.write_text(tiny.read_text().replace("model:", weights))
    code = (
        "import sys; sys.argv = ['ntune', '--config=tiny.yaml', '--tune=tune.yaml',"
        " '--out=out', '--generate-only']\n"
        "from neroRL.tune import main\n"
        "status = main(); print('torch' in sys.modules); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(loads)


def _made_older(path: Path) -> None:
    """Changes a checkpoint to the form that it had before there were revisions."""
    content = torch.load(path, weights_only=True)
    del content["revision"]
    torch.save(content, path)


def test_a_training_does_not_go_on_from_an_earlier_meaning(door, tiny, trained, tmp_path):
    _made_older(trained)
    command = ["--config=tiny.yaml", "--out=out", f"--checkpoint={trained}", "--num-updates=1"]
    outcome = door("ntrain", command)
    assert outcome.status == 2
    assert "was saved by an earlier version" in outcome.err
    assert not (tmp_path / "out").exists()
    other = door("ntrain", [*command, "model.num_hidden_units=9"])
    assert "model.num_hidden_units: 8 there, 9 here" in other.err


def test_what_a_later_version_saved_besides_is_ignored(trained):
    content = torch.load(trained, weights_only=True)
    torch.save({**content, "later": 1}, trained)
    assert checkpoints.load(trained, CPU).update == content["update"]


@pytest.mark.parametrize("smaller", [False, True])
def test_weights_alone_begin_a_training_but_continue_none(door, tiny, trained, smaller):
    content = torch.load(trained, weights_only=True)
    kept = ("format", "revision", "update", "config", "model") if smaller else content
    torch.save({key: content[key] for key in kept if key != "optimizer"}, trained)
    outcome = door("ntrain", ["--config=tiny.yaml", f"--checkpoint={trained}", "--num-updates=1"])
    assert outcome.status == 2
    assert (
        f"{trained} has weights, but not the whole state of a training; start anew" in outcome.err
    )
    begun = [f"model.model_path={trained}", "model.load_model=true"]
    assert door("ntrain", ["--config=tiny.yaml", "--out=out", *begun]).status == 0


def test_an_earlier_checkpoint_lists_the_shapes_that_differ(tmp_path):
    """In the earlier meaning, the heads of a transformer shared their projections."""
    environment = {"type": "CartPole", "name": "CartPole-v1"}
    transformer = {"embed_dim": 8, "num_heads": 2, "memory_length": 4}
    mapping = {
        "environment": environment,
        "model": {"num_hidden_units": 8, "transformer": transformer},
        "sampler": {"n_workers": 2, "worker_steps": 8},
        "trainer": {"updates": 1},
        "seed": 1,
        "threads": 1,
    }
    train(build(mapping), tmp_path)
    path = checkpoints.checkpoint_path(tmp_path, "default", 1)
    content = torch.load(path, weights_only=True)
    for name in ("queries", "keys", "values"):
        content["model"][f"memory.blocks.0.{name}.weight"] = torch.zeros(4, 4)
    del content["revision"]
    torch.save(content, path)
    mapping["trainer"]["updates"] = 2
    with pytest.raises(CheckpointError, match=r"blocks.0.queries.weight: \(4, 4\) there, \(8, 8\)"):
        train(build(mapping), tmp_path / "on", checkpoint=path)


def test_weights_of_an_earlier_meaning_are_loaded_with_a_warning(trained, tmp_path, caplog):
    weights = checkpoints.load(trained, CPU).model
    _made_older(trained)
    mapping = yaml.safe_load(TINY)
    mapping["model"] |= {"load_model": True, "model_path": str(trained)}
    mapping["trainer"] |= {"updates": 1, "learning_rate_schedule": {"initial": 0.0}}
    train(build(mapping), tmp_path / "second")
    assert "was saved by an earlier version" in caplog.text
    loaded = checkpoints.load(checkpoints.checkpoint_path(tmp_path / "second", "default", 1), CPU)
    assert all(torch.equal(weights[key], loaded.model[key]) for key in weights)


def test_results_of_an_earlier_meaning_run_again(door, tiny, tmp_path, monkeypatch):
    """The job starts anew, since its own checkpoint has the earlier meaning, too."""
    (tmp_path / "tune.yaml").write_text("hyperparameters:\n  lamda: [0.9]\n")
    command = ["--config=tiny.yaml", "--tune=tune.yaml", "--out=out"]
    assert door("ntune", command).status == 0
    (result,) = (tmp_path / "out").glob("**/result.json")
    before = json.loads(result.read_text())
    monkeypatch.setattr(results, "REVISION", schema.REVISION - 1)
    older = results.fingerprint({"seed": 1})
    monkeypatch.undo()
    assert older != results.fingerprint({"seed": 1})
    result.write_text(json.dumps({**before, "fingerprint": older}))
    (checkpoint,) = (tmp_path / "out").glob("**/checkpoints/*.pt")
    _made_older(checkpoint)
    monkeypatch.chdir(tmp_path)
    again = door("ntune", command)
    assert again.status == 0
    assert "results of 1 job are of another config or version; these run again" in again.err
    assert list(result.parent.glob("checkpoints.0/*.pt"))
    assert json.loads(result.read_text())["fingerprint"] == before["fingerprint"]


@pytest.mark.parametrize("cut_off", [False, True])
def test_other_weights_in_the_same_file_are_another_training(
    door, tiny, trained, tmp_path, cut_off
):
    """Whether the job has a result or only a checkpoint; what it had stays beside."""
    weights = tmp_path / "start.pt"
    weights.write_bytes(trained.read_bytes())
    (tmp_path / "tune.yaml").write_text("hyperparameters:\n  lamda: [0.9]\n")
    still = ["model.load_model=true", f"model.model_path={weights}", "trainer.updates=1"]
    still.append("trainer.learning_rate_schedule.initial=0")
    command = ["--config=tiny.yaml", "--tune=tune.yaml", "--out=out", *still]
    assert door("ntune", command).status == 0
    (result,) = (tmp_path / "out").glob("**/result.json")
    assert "1 of 1 jobs are done already" in door("ntune", command).err

    content = torch.load(weights)
    content["model"] = {key: tensor + 1.0 for key, tensor in content["model"].items()}
    torch.save(content, weights)
    if cut_off:
        result.unlink()
    again = door("ntune", command)
    assert again.status == 0
    told = "results of 1 job are of another config or version; these run again"
    assert (told in again.err) == (not cut_off)
    assert result.with_name("result.0.json").exists() == (not cut_off)
    (saved,) = result.parent.glob("checkpoints/*.pt")
    model = checkpoints.load(saved, CPU).model
    assert all(torch.equal(model[key], content["model"][key]) for key in model)
    assert list(result.parent.glob("checkpoints.0/*.pt"))


def test_a_training_that_loads_no_weights_any_more_goes_on(door, trained, tmp_path):
    """The weights that it once began with are gone."""
    weights = tmp_path / "start.pt"
    weights.write_bytes(trained.read_bytes())
    command = ["--config=tiny.yaml", f"model.model_path={weights}", "hydra.run.dir=job"]
    assert door("ntrain", [*command, "model.load_model=true"]).status == 0
    weights.unlink()
    on = [*command, "trainer.updates=4", "--checkpoint=job/checkpoints/default-2.pt"]
    assert door("ntrain", [*on, "model.load_model=false"]).status == 0
    assert door("ntrain", [*command, "model.load_model=false", "trainer.updates=5"]).status == 0
    assert "continuing from default-4.pt" in (tmp_path / "job/train.log").read_text()
    assert not (tmp_path / "job/checkpoints.0").exists()


def test_a_training_that_goes_on_keeps_what_it_began_with(door, trained, tmp_path):
    """No other weights are loaded then, and those that it has need no file any more."""
    weights = tmp_path / "start.pt"
    weights.write_bytes(trained.read_bytes())
    begun = ["--config=tiny.yaml", "model.load_model=true", f"model.model_path={weights}"]
    assert door("ntrain", [*begun, "hydra.run.dir=job"]).status == 0
    digest = weights_digest(True, str(weights))
    on = ["--checkpoint=job/checkpoints/default-2.pt", "--num-updates=1"]
    others = tmp_path / "others.pt"
    others.write_bytes(trained.read_bytes() + b" ")
    refused = door("ntrain", [*on, "model.load_model=true", f"model.model_path={others}"])
    assert refused.status == 2
    assert f"it did not begin with those of model.model_path={others}" in refused.err
    weights.unlink()
    outcome = door("ntrain", [*on, "hydra.run.dir=on"])
    assert outcome.status == 0, outcome.err
    assert results.load_result(tmp_path / "on").weights == digest
    assert door("ntrain", [*begun, "--checkpoint=on/checkpoints/default-3.pt"]).status == 2
    weights.write_bytes(trained.read_bytes())  # with those, a config may name them again
    again = ["--checkpoint=on/checkpoints/default-3.pt", "--num-updates=1", "hydra.run.dir=more"]
    assert door("ntrain", [*begun, *again]).status == 0
    last = checkpoints.load(tmp_path / "on/checkpoints/default-3.pt", CPU)
    assert (last.weights, last.config["model"]["load_model"]) == (digest, False)


def test_weights_that_cannot_be_read_have_no_digest(tmp_path):
    with pytest.raises(CheckpointError, match=r"a.pt cannot be read: No such file or directory"):
        weights_digest(True, str(tmp_path / "a.pt"))
    assert weights_digest(False, str(tmp_path / "a.pt")) is None


def test_results_without_a_digest_of_their_weights_are_kept(door, tiny, trained, tmp_path):
    (tmp_path / "tune.yaml").write_text("hyperparameters:\n  lamda: [0.9]\n")
    loads = ["model.load_model=true", f"model.model_path={trained}"]
    command = ["--config=tiny.yaml", "--tune=tune.yaml", "--out=out", *loads]
    assert door("ntune", command).status == 0
    (path,) = (tmp_path / "out").glob("**/result.json")
    content = json.loads(path.read_text())
    assert content.pop("weights")
    mapping = yaml.safe_load((path.parent / ".hydra/config.yaml").read_text())
    assert content["fingerprint"] != results.fingerprint(mapping)
    path.write_text(json.dumps({**content, "fingerprint": results.fingerprint(mapping)}))
    assert "1 of 1 jobs are done already" in door("ntune", command).err


@pytest.mark.parametrize(("there", "here"), [("one", "zero"), ("mean", "one"), ("learned", "zero")])
def test_loaded_weights_do_not_change_the_initial_state_that_the_config_names(
    tmp_path, there, here
):
    def config(initial, **more):
        recurrence = {"hidden_state_size": 4, "hidden_state_init": initial}
        environment = {"type": "CartPole", "name": "CartPole-v1"}
        return build(
            {
                "environment": environment,
                "model": {"num_hidden_units": 8, "recurrence": recurrence, **more},
                "sampler": {"n_workers": 2, "worker_steps": 16},
                "trainer": {"updates": 1, "n_mini_batches": 2},
                "seed": 1,
                "threads": 1,
            }
        )

    train(config(there), tmp_path / "there")
    path = checkpoints.checkpoint_path(tmp_path / "there", "default", 1)
    train(config(here, load_model=True, model_path=str(path)), tmp_path / "here")
    saved = checkpoints.load(checkpoints.checkpoint_path(tmp_path / "here", "default", 1), CPU)
    expected = torch.full((4,), {"zero": 0.0, "one": 1.0}[here])
    assert torch.equal(saved.model["memory.initial"], expected)
    assert torch.equal(saved.model["memory.spread"], torch.zeros(4))
    # Episodes that had just begun have the state that the config names.
    starts = torch.tensor(saved.memory["starts"])
    assert torch.equal(saved.memory["states"][starts], expected.expand(int(starts.sum()), 4))
