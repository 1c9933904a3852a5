"""Tests that a real TensorBoard server shows the curves, and a sweep as one table."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.hparams import plugin_data_pb2

from neroRL.ranking.ranking import rank
from neroRL.records.sweeps import read_sweep
from neroRL.reporting.analysis.curves import read_scalars
from neroRL.reporting.cells import cells, keys_shown_as_text, run_name
from neroRL.reporting.tensorboard import (
    INTERVAL,
    Summaries,
    change_trial,
    metric_tags,
    write_interval,
    write_sweep_hparams,
)
from tests.patience import PATIENCE, wait_for

AXES = {"trainer.gamma": [0.9, 0.99], "model/memory": ["gru", "none"], "odd": [None, "1e3", 2]}
POINTS = [
    {"trainer.gamma": 0.9, "model/memory": "gru", "odd": None},
    {"trainer.gamma": 0.99, "model/memory": "none", "odd": "1e3"},
]
NAMES = ["gamma=0.9,memory=gru,odd=null", "gamma=0.99,memory=none,odd=1e3"]
METRICS = metric_tags(evaluates=False, tells_success=True, repeats=True)
STATUSES = ["STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING", "STATUS_UNKNOWN"]


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Makes 2 permutations with 2 repetitions; objective: permutation + repetition / 10."""
    write_sweep_hparams(tmp_path, AXES, METRICS)
    for permutation, point in enumerate(POINTS):
        for repetition in range(2):
            directory = tmp_path / f"{permutation}/{repetition}/summaries"
            summaries = Summaries(directory, run_name(point))
            summaries.hparams(cells(point, ["odd"]), f"run-1/{permutation}")
            for update in (1, 2):
                reward = permutation + repetition / 10
                summaries.scalars(update, 64 * update, {"episode/reward_mean": reward})
            summaries.close(success=True)
    return tmp_path


@contextlib.contextmanager
def _tensorboard(directory: Path, load_fast: str = "false"):
    """Starts a real server, and yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ["--logdir", str(directory), "--port", str(port), "--load_fast", load_fast]
    process = subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", *arguments], stderr=subprocess.DEVNULL
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


@pytest.fixture
def server(sweep: Path):
    with _tensorboard(sweep) as address:
        yield address


def _get(url: str, content: dict | None = None):
    data = json.dumps(content).encode() if content is not None else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.load(answer)


def _eventually(ask, complete):
    def complete_answer():
        with contextlib.suppress(urllib.error.URLError):  # not up yet, or not loaded yet
            answer = ask()
            return answer if complete(answer) else None

    return wait_for(complete_answer)


def _table(server: str, column: str = "", **column_parameters) -> dict[str, dict]:
    """Returns the groups of TensorBoard's table by name, as its page requests them."""
    parameters = [{"hparam": column, **column_parameters}] if column else []
    request = {
        "experimentName": "",
        "allowedStatuses": STATUSES,
        "colParams": [*parameters, *({"metric": {"tag": tag, "group": ""}} for tag in METRICS)],
        "startIndex": 0,
        "sliceSize": 100,
        "aggregationType": "AGGREGATION_AVG",
    }
    answer = _get(f"{server}/data/plugin/hparams/session_groups", request)
    return {group["name"]: group for group in answer.get("sessionGroups", [])}


def _whole_table(server: str, groups: int, sessions: int) -> dict[str, dict]:
    """Returns the table once TensorBoard has read all of it."""
    return _eventually(
        lambda: _table(server),
        lambda table: (
            len(table) == groups
            and all(len(group["sessions"]) == sessions for group in table.values())
        ),
    )


def _boxes(server: str, column: str) -> list:
    """Returns the values of a column that have check boxes in TensorBoard."""
    experiment = _get(f"{server}/data/plugin/hparams/experiment", {})
    (info,) = [info for info in experiment["hparamInfos"] if info["name"] == column]
    return info["domainDiscrete"]


def _check_boxes(server: str, column: str, table: dict[str, dict]) -> None:
    """Checks for each set of ticked boxes that exactly the rows with their values stay."""
    boxes = _boxes(server, column)
    values = {name: group["hparams"][column] for name, group in table.items()}
    assert sorted(set(values.values())) == sorted(boxes)
    for count in range(1, len(boxes) + 1):
        for ticked in itertools.combinations(boxes, count):
            shown = _table(server, column, filterDiscrete=list(ticked))
            assert set(shown) == {name for name, value in values.items() if value in ticked}


def test_a_sweep_is_one_table_and_repetitions_are_averaged(server):
    table = _whole_table(server, 2, 2)
    experiment = _get(f"{server}/data/plugin/hparams/experiment", {})
    assert {info["name"] for info in experiment["hparamInfos"]} == set(AXES)
    assert [info["name"]["tag"] for info in experiment["metricInfos"]] == [
        "episode/reward_mean", *INTERVAL, "episode/success_mean", "episode/length_mean"
    ]  # fmt: skip
    assert set(table) == {"run-1/0", "run-1/1"}
    for permutation, point in enumerate(POINTS):
        group = table[f"run-1/{permutation}"]
        assert group["hparams"]["trainer.gamma"] == point["trainer.gamma"]
        assert group["hparams"]["model/memory"] == point["model/memory"]
        (metric,) = group["metricValues"]
        assert metric["value"] == pytest.approx(permutation + 0.05)
        assert [session["name"] for session in group["sessions"]] == [
            f"{permutation}/{repetition}/summaries/{NAMES[permutation]}" for repetition in range(2)
        ]


ODD = [None, "null", True, "true", 1, 1.5, "1", "1e3", 1000.0, "a b", [84, 84]]


@pytest.mark.slow
def test_boxes_of_mixed_types_hide_and_keep_the_right_rows(tmp_path):
    """Every row is found by its own value, even if another value looks like it."""
    for count, choices in enumerate([ODD[:5], ODD[4:9], [True, False], [2, 1.0], ["b", "1"]]):
        axes = {"odd": choices}
        root = tmp_path / str(count)
        write_sweep_hparams(root, axes, METRICS)
        for number, value in enumerate(choices):
            summaries = Summaries(root / f"{number}/0/summaries", run_name({"odd": value}))
            row = cells({"odd": value}, keys_shown_as_text(axes))
            summaries.hparams(row, f"{count}/{number}")
            summaries.close()
        with _tensorboard(root) as server:
            table = _whole_table(server, len(choices), 1)
            _check_boxes(server, "odd", table)
            for order in ("ORDER_ASC", "ORDER_DESC"):
                assert len(_table(server, "odd", order=order)) == len(choices)


def test_many_numbers_have_bounds_in_place_of_boxes(tmp_path):
    """TensorBoard would offer a regular expression, which it refuses for numbers."""
    choices = [number / 10 for number in range(12)]
    write_sweep_hparams(tmp_path, {"trainer.gamma": choices}, METRICS)
    for number, value in enumerate(choices):
        summaries = Summaries(tmp_path / f"{number}/0/summaries", run_name({"gamma": value}))
        summaries.hparams({"trainer.gamma": value}, str(number))
        summaries.close()
    with _tensorboard(tmp_path) as server:
        _whole_table(server, 12, 1)
        bounds = {"minValue": 0.25, "maxValue": 0.5}
        assert set(_table(server, "trainer.gamma", filterInterval=bounds)) == {"3", "4", "5"}


SPACE = """\
hyperparameters:
  gamma: [0.9, 0.99]
beta_schedule:
  max_decay_steps: [null, 10]
"""
DECAY = "trainer.beta_schedule.max_decay_steps"


@pytest.mark.slow
def test_sweeps_in_one_directory_are_distinguished(door, tiny, tmp_path):
    """Some of these real sweeps have equal axes, and one is extended and renumbered."""
    (tmp_path / "space.yaml").write_text(SPACE)
    common = ["--config=tiny.yaml", "--tune=space.yaml", "--out=out", "--num-repetitions=2"]
    for name in ("first", "second"):
        assert door("ntune", [*common, f"--run-id={name}"]).status == 0
    (tmp_path / "space.yaml").write_text("hyperparameters:\n  lamda: [0.9, 0.95]\n" + SPACE[17:])
    extended = door("ntune", [*common, "--run-id=first", "hydra.sweeper.extend=true"])
    assert extended.status == 0, extended.err
    with _tensorboard(tmp_path / "out") as server:
        table = _whole_table(server, 8 + 4, 2)
        _check_boxes(server, DECAY, table)
    for name, permutations in (("first", 8), ("second", 4)):
        sweep = read_sweep(tmp_path / "out" / name)
        for number in range(permutations):
            group = table[f"{sweep.record.id}/{number}"]
            results = [one for one in sweep.results if one.permutation == number]
            row = cells(results[0].overrides, [DECAY])
            assert group["hparams"] == row
            told = run_name(results[0].overrides)
            assert told.startswith("lamda=0.9" if name == "first" else "gamma=0.9")
            assert [session["name"] for session in group["sessions"]] == [
                f"{name}/{number}/{repetition}/summaries/{told}" for repetition in range(2)
            ]
            told = {one["name"]["tag"]: one["value"] for one in group["metricValues"]}
            interval = [told[tag] for tag in INTERVAL]
            assert interval == pytest.approx(rank(results, 1).rows[0].interval, rel=1e-6)
            mean = sum(result.objective for result in results) / 2
            assert told["episode/reward_mean"] == pytest.approx(mean, rel=1e-6)


@pytest.mark.slow
def test_the_repetitions_of_one_config_are_one_row(door, tiny):
    """They are a sweep without a swept key."""
    arguments = ["-m", "--config-path=.", "--config-name=tiny", "hydra.sweep.dir=out"]
    done = door("train", [*arguments, "hydra.sweeper.num_repetitions=2"])
    assert done.status == 0, done.err
    with _tensorboard(tiny.parent / "out") as server:
        (group,) = _whole_table(server, 1, 2).values()
    results = read_sweep(tiny.parent / "out").results
    told = {one["name"]["tag"]: one["value"] for one in group["metricValues"]}
    mean = sum(result.objective for result in results) / 2
    assert told["episode/reward_mean"] == pytest.approx(mean, rel=1e-6)


def test_success_is_a_column_if_it_is_known(door, tiny, tmp_path):
    """It comes from the evaluation if there is one, like the objective."""
    space = tmp_path / "space.yaml"
    space.write_text("hyperparameters:\n  gamma: [0.9]\n")
    common = ["--config=tiny.yaml", "--tune=space.yaml", "--out=out"]
    assert door("ntune", [*common, "--run-id=pole"]).status == 0
    tiny.write_text(
        tiny.read_text().replace("type: CartPole", "type: MinigridVec")
        .replace("name: CartPole-v1", "name: MiniGrid-Empty-5x5-v0")
        .replace("seed: 5", "seed: 5\nevaluation: {evaluate: true, n_workers: 1, seeds: [1]}")
    )  # fmt: skip
    outcome = door("ntune", [*common, "--run-id=grid"])
    assert outcome.status == 0, outcome.err
    for name, tags in (
        ("pole", ["episode/reward_mean", "episode/length_mean"]),
        ("grid", ["evaluation/reward_mean", "evaluation/success_mean", "evaluation/length_mean",
                  "episode/reward_mean", "episode/success_mean", "episode/length_mean"]),
    ):  # fmt: skip
        (path,) = (tmp_path / "out" / name).glob("events*")
        (_, event) = EventFileLoader(str(path)).Load()
        content = event.summary.value[0].metadata.plugin_data.content
        experiment = plugin_data_pb2.HParamsPluginData.FromString(content).experiment
        assert [info.name.tag for info in experiment.metric_infos] == tags


def test_a_renumbered_permutation_has_another_trial(sweep):
    directory = sweep / "1/0/summaries"
    (path,) = directory.rglob("events*")
    before = list(EventFileLoader(str(path)).Load())
    change_trial(directory, "run-1/7", "new", {"trainer.gamma": 0.5, "odd": "null"})
    (path,) = directory.glob("new/events*")
    assert [entry.name for entry in directory.iterdir()] == ["new"]
    after = list(EventFileLoader(str(path)).Load())
    assert len(after) == len(before)
    ((_, new),) = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    (value,) = new.summary.value
    content = plugin_data_pb2.HParamsPluginData.FromString(value.metadata.plugin_data.content)
    start = content.session_start_info
    assert start.group_name == "run-1/7"
    assert set(start.hparams) == {"trainer.gamma", "odd"}
    assert start.hparams["trainer.gamma"].number_value == 0.5
    assert start.hparams["odd"].string_value == "null"


@pytest.mark.parametrize("load_fast", ["false", "auto"])
def test_the_interval_of_a_permutation_is_that_of_the_last_ranking(sweep, load_fast):
    """The job goes on between two rankings, and its events are the same as without them."""
    runs = [sweep / f"1/{repetition}/summaries" / NAMES[1] for repetition in range(2)]
    before = {path: path.read_bytes() for run in runs for path in run.iterdir()}
    for run in runs:
        write_interval(run, 2, (0.25, 4.0))
    time.sleep(1.1)  # files are read in the order of their seconds
    for number, run in enumerate(runs):
        (job,) = (path for path in before if path.parent == run)
        assert job.read_bytes() == before[job]
        summaries = Summaries(run.parent, run.name)
        summaries.hparams(cells(POINTS[1], ["odd"]), "run-1/1")
        summaries.begin(2)
        summaries.scalars(3, 192, {"episode/reward_mean": float(number)})
        summaries.close()
        write_interval(run, 3, (0.5, 2.0))
        (interval,) = run.glob("*interval")
        then = interval.stat().st_mtime_ns
        write_interval(run, 3, (0.5, 2.0))
        assert [path.stat().st_mtime_ns for path in run.glob("*interval")] == [then]
    write_interval(sweep / "none/summaries/x", 3, (0.5, 2.0))
    assert not (sweep / "none").exists()
    with _tensorboard(sweep, load_fast) as server:
        table = _eventually(
            lambda: _table(server),
            lambda answer: len(answer.get("run-1/1", {}).get("metricValues", [])) == 3,
        )
    told = {one["name"]["tag"]: one["value"] for one in table["run-1/1"]["metricValues"]}
    assert told == {"episode/reward_mean": 0.5, INTERVAL[0]: 0.5, INTERVAL[1]: 2.0}
    assert [one["name"]["tag"] for one in table["run-1/0"]["metricValues"]] == [METRICS[0]]
    told_by_job = read_scalars(sweep / "1/1")  # an interval is nothing that a job tells
    assert told_by_job[3]["episode/reward_mean"] == 1.0
    assert not any(tag in told for told in told_by_job.values() for tag in INTERVAL)
    write_interval(runs[0], 3, None)
    assert not list(runs[0].glob("*interval"))


def test_events_of_older_versions_become_part_of_the_run(tmp_path):
    """They lie in ``summaries`` itself, and a continued sweep still has one curve."""
    for name, update in (("", 1), ("gamma=0.9", 2), ("gamma=0.9", 3)):
        summaries = Summaries(tmp_path, name)
        summaries.hparams({"gamma": 0.9}, "0")
        summaries.scalars(update, update, {"episode/reward_mean": 1.0})
        summaries.close()
    assert [path.name for path in tmp_path.iterdir()] == ["gamma=0.9"]
    content = b"".join(path.read_bytes() for path in tmp_path.rglob("events*"))
    assert content.count(b"episode/reward_mean") == 3
    assert content.count(b"session_start_info") == 1
    assert content.count(b"session_end_info") == 1


@pytest.mark.slow
@pytest.mark.parametrize("load_fast", ["false", "auto"])
def test_a_job_that_was_cut_off_is_one_curve_and_one_session(tmp_path, load_fast):
    """It was killed after update 5 and continued from 3, then failed after 6 and continued.

    TensorBoard's readers of event files start only after everything is written, because a server
    that has seen the failure keeps showing it.
    """
    write_sweep_hparams(tmp_path, {"trainer.gamma": [0.9]}, METRICS)
    for begin, end, success in ((0, 5, "killed"), (3, 6, False), (6, 8, True)):
        summaries = Summaries(tmp_path / "0/0/summaries", "gamma=0.9")
        summaries.hparams({"trainer.gamma": 0.9}, "0")
        summaries.begin(begin)
        for update in range(begin + 1, end + 1):
            summaries.scalars(update, update, {"episode/reward_mean": float(begin)})
        summaries.close(success=None if success == "killed" else success)
        time.sleep(1.1)  # files are read in the order of their seconds
    with _tensorboard(tmp_path, load_fast) as server:
        points = _eventually(
            lambda: _get(
                f"{server}/data/plugin/scalars/scalars"
                "?run=0/0/summaries/gamma%3D0.9&tag=episode/reward_mean&format=json"
            ),
            lambda answer: len(answer) == 8,
        )
        assert [step for _, step, _ in points] == list(range(1, 9))
        assert [value for _, _, value in points] == [0.0] * 3 + [3.0] * 3 + [6.0] * 2
        table = _eventually(
            lambda: _table(server),
            lambda answer: "STATUS_SUCCESS" in str(answer),  # the last record may not be loaded yet
        )
    ((session,),) = [group["sessions"] for group in table.values()]
    assert session["status"] == "STATUS_SUCCESS"


def test_curves_have_the_update_on_their_axis(server):
    def ask():
        return _get(
            f"{server}/data/plugin/scalars/scalars"
            f"?run=1/0/summaries/{NAMES[1]}&tag=episode/reward_mean&format=json"
        )

    points = _eventually(ask, lambda answer: len(answer) == 2)
    assert [(step, value) for _, step, value in points] == [(1, 1.0), (2, 1.0)]
    steps = _get(
        f"{server}/data/plugin/scalars/scalars"
        f"?run=1/0/summaries/{NAMES[1]}&tag=time/env_steps&format=json"
    )
    assert [value for _, _, value in steps] == [64.0, 128.0]
