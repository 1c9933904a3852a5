"""A real TensorBoard server shows the curves, and a sweep as one table."""

from __future__ import annotations

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

from neroRL.reporting.tensorboard import Summaries, change_trial, write_sweep_hparams

AXES = {"trainer.gamma": [0.9, 0.99], "model/memory": ["gru", "none"], "odd": [None, "1e3", 2]}
POINTS = [
    {"trainer.gamma": 0.9, "model/memory": "gru", "odd": None},
    {"trainer.gamma": 0.99, "model/memory": "none", "odd": "1e3"},
]


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two permutations, two repetitions each; the objective is permutation + repetition / 10."""
    write_sweep_hparams(tmp_path, AXES)
    for permutation, point in enumerate(POINTS):
        for repetition in range(2):
            directory = tmp_path / f"{permutation}/{repetition}/summaries"
            summaries = Summaries(directory)
            summaries.hparams(point, str(permutation))
            for update in (1, 2):
                reward = permutation + repetition / 10
                summaries.scalars(update, 64 * update, {"episode/reward_mean": reward})
            summaries.close(success=True)
    return tmp_path


@pytest.fixture
def server(sweep: Path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ["--logdir", str(sweep), "--port", str(port), "--load_fast", "false"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", *arguments], stderr=subprocess.DEVNULL
    )
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(timeout=20)


def _get(url: str, content: dict | None = None):
    data = json.dumps(content).encode() if content is not None else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def _eventually(ask, complete):
    for _ in range(60):
        try:
            answer = ask()
            if complete(answer):
                return answer
        except urllib.error.URLError:  # not up yet, or not loaded yet
            pass
        time.sleep(0.5)
    raise AssertionError(f"not complete: {ask()}")


def test_a_sweep_is_one_table_and_repetitions_are_averaged(server):
    def ask():
        experiment = _get(f"{server}/data/plugin/hparams/experiment", {})
        columns = [{"metric": info["name"]} for info in experiment["metricInfos"]]
        request = {
            "experimentName": "",
            "allowedStatuses": ["STATUS_SUCCESS", "STATUS_RUNNING", "STATUS_UNKNOWN"],
            "colParams": [{"metric": column["metric"]} for column in columns],
            "startIndex": 0,
            "sliceSize": 100,
            "aggregationType": "AGGREGATION_AVG",
            "aggregationMetric": columns[0]["metric"],
        }
        return experiment, _get(f"{server}/data/plugin/hparams/session_groups", request)

    def complete(answer):
        groups = answer[1].get("sessionGroups", [])
        return len(groups) == 2 and all(len(group["sessions"]) == 2 for group in groups)

    experiment, table = _eventually(ask, complete)
    assert {info["name"] for info in experiment["hparamInfos"]} == set(AXES)
    by_trial = {group["name"]: group for group in table["sessionGroups"]}
    assert set(by_trial) == {"0", "1"}
    for permutation, point in enumerate(POINTS):
        group = by_trial[str(permutation)]
        assert group["hparams"]["trainer.gamma"] == point["trainer.gamma"]
        assert group["hparams"]["model/memory"] == point["model/memory"]
        (metric,) = [m for m in group["metricValues"]
                     if m["name"]["tag"] == "episode/reward_mean"]  # fmt: skip
        assert metric["value"] == pytest.approx(permutation + 0.05)


def test_a_renumbered_permutation_has_another_trial(sweep):
    directory = sweep / "1/0/summaries"
    (path,) = directory.iterdir()
    before = list(EventFileLoader(str(path)).Load())
    change_trial(directory, "7")
    after = list(EventFileLoader(str(path)).Load())
    assert len(after) == len(before)
    differing = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    ((_, new),) = differing
    (value,) = new.summary.value
    content = plugin_data_pb2.HParamsPluginData.FromString(value.metadata.plugin_data.content)
    assert content.session_start_info.group_name == "7"
    assert content.session_start_info.hparams["trainer.gamma"].number_value == 0.99


@pytest.fixture(params=["false", "auto"])
def any_loader(request, tmp_path):
    """A server with TensorBoard's own reader of event files, and one with its faster one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ["--logdir", str(tmp_path), "--port", str(port), "--load_fast", request.param]
    process = subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", *arguments], stderr=subprocess.DEVNULL
    )
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(timeout=20)


def test_a_job_that_was_cut_off_is_one_curve_and_one_session(tmp_path, any_loader):
    """Killed after update 5 and continued from 3, then failed after 6 and continued from there."""
    write_sweep_hparams(tmp_path, {"trainer.gamma": [0.9]})
    for begin, end, success in ((0, 5, "killed"), (3, 6, False), (6, 8, True)):
        summaries = Summaries(tmp_path / "0/0/summaries")
        summaries.hparams({"trainer.gamma": 0.9}, "0")
        summaries.begin(begin)
        for update in range(begin + 1, end + 1):
            summaries.scalars(update, update, {"episode/reward_mean": float(begin)})
        summaries.close(success=None if success == "killed" else success)
        time.sleep(1.1)  # files are read in the order of their seconds
    points = _eventually(
        lambda: _get(
            f"{any_loader}/data/plugin/scalars/scalars"
            "?run=0/0/summaries&tag=episode/reward_mean&format=json"
        ),
        lambda answer: len(answer) == 8,
    )
    assert [step for _, step, _ in points] == list(range(1, 9))
    assert [value for _, _, value in points] == [0.0] * 3 + [3.0] * 3 + [6.0] * 2
    request = {"experimentName": "", "colParams": [], "startIndex": 0, "sliceSize": 9}
    request["allowedStatuses"] = ["STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
    table = _eventually(
        lambda: _get(f"{any_loader}/data/plugin/hparams/session_groups", request),
        lambda answer: "STATUS_SUCCESS" in str(answer),  # the last record may not be loaded yet
    )
    ((session,),) = [group["sessions"] for group in table["sessionGroups"]]
    assert session["status"] == "STATUS_SUCCESS"


def test_curves_have_the_update_on_their_axis(server):
    def ask():
        return _get(
            f"{server}/data/plugin/scalars/scalars"
            "?run=1/0/summaries&tag=episode/reward_mean&format=json"
        )

    points = _eventually(ask, lambda answer: len(answer) == 2)
    assert [(step, value) for _, step, value in points] == [(1, 1.0), (2, 1.0)]
    steps = _get(
        f"{server}/data/plugin/scalars/scalars?run=1/0/summaries&tag=time/env_steps&format=json"
    )
    assert [value for _, _, value in steps] == [64.0, 128.0]
