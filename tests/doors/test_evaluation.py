"""``neval`` and ``neval-checkpoints`` on checkpoints, jobs and sweeps, and what bad input gets."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml

import neroRL
from neroRL.evaluation.choosing import of_sweep
from neroRL.records.sweeps import read_sweep
from tests.conftest import TINY
from tests.doors.sweeps import ARGUMENTS, start, table
from tests.evaluation.policies import tiny_policy
from tests.patience import PATIENCE

SEEDS = ["--start-seed=70", "--num-seeds=3", "--repetitions=2"]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    directory = tmp_path_factory.mktemp("trained")
    return tiny_policy(directory / "job", "gru")


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A real sweep of two permutations, twice."""
    directory = tmp_path_factory.mktemp("swept")
    (directory / "tiny.yaml").write_text(TINY)
    (directory / "space.yaml").write_text("hyperparameters:\n  gamma: [0.5, 0.99]\n")
    extra = ["--num-repetitions=2", "model.checkpoint_interval=1"]
    process = start(directory, *ARGUMENTS, *extra)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, output
    return directory / "out/run"


@pytest.fixture
def sweep(swept, tmp_path) -> Path:
    shutil.copytree(swept, tmp_path / "sweep")
    return tmp_path / "sweep"


def test_neval_prints_means_and_writes_a_row_for_each_episode(door, trained, tmp_path):
    checkpoint, result = trained
    first = door("neval", [f"--checkpoint={checkpoint}", *SEEDS, "--out=new/a.csv"])
    assert first.status == 0, first.err
    assert f"{checkpoint} plays MiniGrid-MemoryS7-v0 with sampled actions" in first.out
    assert "6 episodes: seeds 70 to 72, 2 of each" in first.out
    assert f"reward   {result.reward_mean:.4g}  [" in first.out
    rows = _rows(tmp_path / "new/a.csv")
    assert list(rows[0]) == ["seed", "repetition", "reward", "length", "success"]
    assert [(row["seed"], row["repetition"]) for row in rows] == [
        (str(seed), str(r)) for r in range(2) for seed in (70, 71, 72)
    ]
    again = door("neval", ["--checkpoint", str(checkpoint), *SEEDS, "--workers=8", "--out=b.csv"])
    assert again.status == 0
    assert (tmp_path / "b.csv").read_bytes() == (tmp_path / "new/a.csv").read_bytes()


def test_neval_of_one_episode_counts_one(door, trained):
    one = ["--start-seed=70", "--num-seeds=1", "--repetitions=1"]
    outcome = door("neval", [f"--checkpoint={trained[0]}", *one])
    assert "\n1 episode: seeds 70 to 70, 1 of each" in outcome.out


def test_neval_with_the_most_probable_actions_says_so(door, trained, tmp_path):
    outcome = door("neval", [f"--checkpoint={trained[0].parent.parent}", *SEEDS, "--deterministic"])
    assert outcome.status == 0
    assert "with the most probable actions" in outcome.out
    rows = _rows(tmp_path / "evaluation.csv")
    assert [row["reward"] for row in rows[:3]] == [row["reward"] for row in rows[3:]]


@pytest.mark.slow
def test_neval_of_a_sweep_plays_its_best_permutation(door, sweep, tmp_path):
    objectives = {}
    for row in table(sweep):
        key = int(row["permutation"])
        objectives.setdefault(key, {})[float(row["objective"])] = row["directory"]
    best = max(objectives, key=lambda key: sum(objectives[key]))
    for number in (best, 1 - best):
        chosen = [] if number == best else [f"--permutation={number}"]
        outcome = door("neval", [f"--sweep={sweep}", *chosen, *SEEDS])
        assert outcome.status == 0, outcome.err
        job = objectives[number][max(objectives[number])]
        assert f"{sweep / job}/checkpoints/run-2.pt plays CartPole-v1" in outcome.out
        assert f"permutation {number} (trainer.gamma=" in outcome.out
        assert "so far" not in outcome.out
    # The tables differ, and the first one is kept.
    assert "kept:    evaluation.0.csv, which was evaluation.csv" in outcome.out
    assert len(_rows(tmp_path / "evaluation.0.csv")) == 6


def test_a_job_without_an_objective_is_not_the_best_one_where_rewards_are_negative(sweep):
    for repetition, objective in enumerate((None, -7.0)):
        path = sweep / f"1/{repetition}/result.json"
        content = {**json.loads(path.read_text()), "objective": objective}
        path.write_text(json.dumps(content))
    assert of_sweep(sweep, permutation=1).repetition == 1


def test_an_older_checkpoint_is_not_played_without_a_word(door, sweep):
    """The last one of the best job is cut off."""
    chosen = of_sweep(sweep).path
    chosen.write_bytes(chosen.read_bytes()[:3000])
    told = f"{chosen} cannot be read, it may be cut off"
    outcome = door("neval", [f"--sweep={sweep}", *SEEDS])
    assert outcome.status == 0, outcome.err
    assert f"warning: {told}" in outcome.out
    assert "checkpoints/run-1.pt plays" in outcome.out
    with pytest.warns(UserWarning, match="taking the checkpoint before it") as warned:
        neroRL.load_policy(chosen.parent.parent)
    assert str(warned[0].message).startswith(told)


def test_neval_of_an_unfinished_sweep_says_that_it_is_the_best_so_far(door, sweep):
    for job in ("0/1", "1/1"):
        (sweep / job / "result.json").unlink()
    outcome = door("neval", [f"--sweep={sweep}", *SEEDS])
    assert outcome.status == 0
    assert "2 of 4 jobs have ended: the best so far" in outcome.out


@pytest.mark.parametrize("races", [False, True])
def test_neval_does_not_wait_for_a_confirmation(races, door, sweep):
    """The best of the tuning is known before it; while a race goes on, it is not."""
    record = sweep / "sweep.yaml"
    content = yaml.safe_load(record.read_text())
    rules = {"race": {"rungs": [0.5]}} if races else {}
    record.write_text(yaml.safe_dump({**content, "confirm": 1, "confirm_repetitions": 2, **rules}))
    assert read_sweep(sweep).has_jobs_left
    outcome = door("neval", [f"--sweep={sweep}", *SEEDS])
    assert outcome.status == 0, outcome.err
    assert ("the race is not over: the best so far" in outcome.out) == races
    assert ("so far" in outcome.out) == races


def test_neval_checkpoints_takes_jobs_that_have_not_ended(door, sweep, tmp_path):
    (sweep / "0/1/result.json").unlink()
    (sweep / "1/0/result.json").write_text("{")
    shutil.rmtree(sweep / "1/1/checkpoints")
    shutil.rmtree(sweep / "0/0")
    outcome = door("neval-checkpoints", [f"--checkpoints={sweep}", *SEEDS, "--name=all.csv"])
    assert outcome.status == 0, outcome.err
    rows = _rows(tmp_path / "all.csv")
    jobs = [(row["permutation"], row["repetition"], row["update"]) for row in rows]
    expected = [("0", "1", "1"), ("0", "1", "2"), ("1", "0", "1"), ("1", "0", "2")]
    assert jobs == [one for one in expected for _ in range(6)]
    assert f"warning: {sweep}/1/0/result.json is damaged" in outcome.out
    assert "left out, without a checkpoint: 1/1\n" in outcome.out
    assert "left out, not begun: 1 job\n" in outcome.out
    assert "not known to have ended, all checkpoints so far: 0/1, 1/0\n" in outcome.out


def test_neval_checkpoints_of_a_sweep_writes_one_table(door, sweep, tmp_path):
    outcome = door("neval-checkpoints", [f"--checkpoints={sweep}", *SEEDS, "--name=all.csv"])
    assert outcome.status == 0, outcome.err
    rows = _rows(tmp_path / "all.csv")
    columns = ["permutation", "repetition", "update", "seed", "reward", "length", "success"]
    assert list(rows[0]) == columns
    jobs = [(row["permutation"], row["repetition"], row["update"]) for row in rows]
    updates = [(p, r, u) for p in "01" for r in "01" for u in "12"]
    assert jobs == [one for one in updates for _ in range(6)]
    door("neval", [f"--checkpoint={sweep}/1/0/checkpoints/run-1.pt", *SEEDS, "--out=one.csv"])
    one = [{key: row[key] for key in columns[3:]} for row in _rows(tmp_path / "one.csv")]
    assert not any(word in outcome.out for word in ("warning", "left out", "so far"))
    theirs = [row for row in rows if (row["permutation"], row["repetition"]) == ("1", "0")]
    assert [{key: row[key] for key in columns[3:]} for row in theirs[:6]] == one


def test_neval_checkpoints_of_a_directory(door, trained, tmp_path):
    for place in (trained[0].parent, trained[0].parent.parent):
        outcome = door("neval-checkpoints", [f"--checkpoints={place}", *SEEDS])
        assert outcome.status == 0, outcome.err
        rows = _rows(tmp_path / "evaluation-checkpoints.csv")
        assert [row["update"] for row in rows] == 6 * ["1"] + 6 * ["2"]
        assert {row["permutation"] for row in rows} == {"0"}


def test_neval_writes_videos_of_what_the_table_reports(door, trained, tmp_path):
    import imageio.v2 as imageio

    outcome = door("neval", [f"--checkpoint={trained[0]}", *SEEDS, "--video=seen/v"])
    assert outcome.status == 0, outcome.err
    lengths = {row["seed"]: int(row["length"]) for row in _rows(tmp_path / "evaluation.csv")[:3]}
    assert sorted(path.name for path in (tmp_path / "seen").iterdir()) == [
        f"v-{seed}.mp4" for seed in (70, 71, 72)
    ]
    for seed, length in lengths.items():
        with imageio.get_reader(tmp_path / f"seen/v-{seed}.mp4") as reader:
            assert reader.count_frames() == length + 1


def test_nenjoy_shows_the_episodes_of_a_seed(door, trained, tmp_path):
    assert door("neval", [f"--checkpoint={trained[0]}", *SEEDS]).status == 0
    rows = [row for row in _rows(tmp_path / "evaluation.csv") if row["seed"] == "71"]
    ways = ["--terminal", "--html=page", "--framerate=1000", "--num-episodes=2", "--seed=71"]
    outcome = door("nenjoy", [f"--checkpoint={trained[0]}", *ways])
    assert outcome.status == 0, outcome.err
    for number, row in enumerate(rows):
        told = f"reward {float(row['reward']):.4g}, length {row['length']}"
        assert f"seed 71, repetition {number}: {told}, success" in outcome.out
    frames = sum(int(row["length"]) + 1 for row in rows)
    assert outcome.out.count("\x1b[H") == frames
    assert {path.name for path in tmp_path.glob("*.html")} == {"page.html", "page-1.html"}


def test_nenjoy_without_a_display_says_what_else_there_is(door, trained, tmp_path, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    before = sorted(tmp_path.rglob("*"))
    outcome = door("nenjoy", [f"--checkpoint={trained[0]}"])
    assert outcome.status == 2
    assert "there is no display for a window; use --terminal, --video=<path>" in outcome.err
    assert sorted(tmp_path.rglob("*")) == before


CARTPOLE = "environment:\n  type: CartPole\n  name: CartPole-v1\n"
BAD = {
    "no policy": ([], ["no policy to play with: give --checkpoint=<path>, --sweep=<path>"]),
    "no weights": (["--config=pole.yaml"], ["does not load one (model.load_model)"]),
    "unknown checkpoint": (["--checkpoint=gone.pt"], ["gone.pt (", "/gone.pt) does not exist"]),
    "empty directory": (["--checkpoint=empty"], ["empty (", "has no checkpoints"]),
    "cut off": (["--checkpoint=cut.pt"], ["cut.pt cannot be read, it may be cut off"]),
    "empty": (["--checkpoint=empty.pt"], ["empty.pt cannot be read, it may be cut off"]),
    "a config": (["--checkpoint=pole.yaml"], ["pole.yaml is no checkpoint; expected a .pt file"]),
    "pickled": (["--checkpoint=pickled.pt"], ["pickled.pt holds pickled objects"]),
    "the original's": (["--checkpoint=theirs.pt"], ["a checkpoint of the original neroRL"]),
    "foreign": (["--checkpoint=foreign.pt"], ["foreign.pt is no checkpoint of this version"]),
    "other spaces": (
        ["--checkpoint=good.pt", "--config=pole.yaml"],
        ["pole.yaml:3: environment: has other spaces than that of good.pt", "actions: (2,) here"],
    ),
    "bad config": (
        ["--checkpoint=good.pt", "--config=bad.yaml"],
        ["bad.yaml:3: environment.name: MiniGrid-MemoryS77-v0 is no", "did you mean"],
    ),
    "no config": (["--untrained", "--config=gone.yaml"], ["--config: gone.yaml (", "not exist"]),
    "two policies": (["--checkpoint=good.pt", "--sweep=x"], ["--checkpoint and --sweep: give one"]),
    "no sweep": (["--sweep=empty"], ["empty is no sweep: it has no sweep.yaml"]),
    "of which sweep": (["--checkpoint=good.pt", "--permutation=1"], ["--permutation: of which"]),
    "no seeds": (["--checkpoint=good.pt", "--num-seeds=0"], ["argument --num-seeds: 0 is not"]),
    "seeds too large": (
        ["--checkpoint=good.pt", f"--start-seed={2**63}"],
        ["command line: --num-seeds: seeds up to 9223372036854775857 are not allowed"],
    ),
    "unknown flag": (["--chekpoint=good.pt"], ["unknown flag --chekpoint; did you mean --check"]),
    "no flag": (["good.pt"], ["good.pt is no flag"]),
    "place": (["--checkpoint=good.pt", "--out=good.pt/t.csv"], ["good.pt is a file"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_error_and_leaves_nothing(door, trained, tmp_path, case):
    shutil.copy(trained[0], tmp_path / "good.pt")
    (tmp_path / "cut.pt").write_bytes(trained[0].read_bytes()[:1000])
    torch.save({"model": Path("x")}, tmp_path / "pickled.pt")
    torch.save({"update": 1, "hxs": None, "cxs": None, "model": {}}, tmp_path / "theirs.pt")
    torch.save({"weights": {}}, tmp_path / "foreign.pt")
    (tmp_path / "pole.yaml").write_text(CARTPOLE)
    bad = "environment:\n  type: MinigridVec\n  name: MiniGrid-MemoryS77-v0\n"
    (tmp_path / "bad.yaml").write_text(bad)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.pt").touch()
    before = sorted(tmp_path.rglob("*"))
    arguments, expected = BAD[case]
    outcome = door("neval", arguments)
    assert outcome.status == 2, outcome.err
    for text in expected:
        assert text in outcome.err
    assert "Traceback" not in outcome.err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("name", "flag", "place"),
    [
        ("neval", "--out", "place"),
        ("neval-checkpoints", "--name", "place"),
        ("nenjoy", "--video", "place.mp4"),
        ("nenjoy", "--html", "place.html"),
    ],
)
def test_a_directory_in_the_place_of_a_file_is_refused_before_anything_is_played(
    name, flag, place, door, trained, tmp_path
):
    (tmp_path / place).mkdir()
    policy = f"--checkpoints={trained[0].parent}" if "-" in name else f"--checkpoint={trained[0]}"
    outcome = door(name, [policy, f"{flag}=place"])
    assert outcome.status == 2, outcome.err
    assert f"{place} ({tmp_path / place}) is a directory; expected a file" in outcome.err
    assert outcome.out == ""
    assert list(tmp_path.rglob("*")) == [tmp_path / place]


@pytest.mark.parametrize(
    ("name", "argument", "reason"),
    [
        *(("nenjoy", f"--html={path}", "names no file") for path in (".", "/", "..", "new/..")),
        ("nenjoy", "--html=", "is empty; expected a path"),
        ("nenjoy", "--video=", "is empty; expected a path"),
        ("nenjoy", "--video=..", "names no file"),
        ("neval", "--video=.", "names no file"),
        ("neval", "--out=", "is empty; expected a path"),
        ("neval", "--out=new/..", "names no file"),
        ("neval", "--checkpoint=", "is empty; expected a path"),
        ("neval", "--sweep=", "is empty; expected a path"),
        ("neval-checkpoints", "--checkpoints=", "is empty; expected a path"),
        ("neval-checkpoints", "--name=.", "names no file"),
        ("ntrain", "--checkpoint=", "is empty; expected a path"),
        ("ntrain", "--out=", "is empty; expected a path"),
        ("ntune", "--out=", "is empty; expected a path"),
    ],
)
def test_a_path_that_names_nothing_is_refused_with_its_flag(name, argument, reason, door, tmp_path):
    outcome = door(name, [argument, "--help"])
    assert outcome.status == 2, outcome.err
    flag, _, path = argument.partition("=")
    told = f"{path} {reason}" if path else reason
    assert outcome.err.endswith(f"error: argument {flag}: {told}\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flag", "meant"),
    [("--sweep", "--checkpoints"), ("--checkpoint", "--checkpoints"), ("--out", "--name")],
)
def test_neval_checkpoints_names_its_flag_for_one_of_neval(door, flag, meant):
    outcome = door("neval-checkpoints", [f"{flag}=."])
    assert outcome.status == 2
    assert f"error: unknown flag {flag}; did you mean {meant}?" in outcome.err


def test_neval_checkpoints_needs_a_directory(door):
    assert "which checkpoints?" in door("neval-checkpoints", []).err
    outcome = door("neval-checkpoints", ["--checkpoints=gone"])
    assert outcome.status == 2
    assert "gone (" in outcome.err


def test_the_commands_run_as_files(command, trained):
    for module in ("eval", "eval_checkpoints", "enjoy"):
        assert command(module, "--help").stdout.startswith("usage: ne")
