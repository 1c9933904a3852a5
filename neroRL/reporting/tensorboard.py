"""TensorBoard event files: learning curves of a job, and a sweep as one table of HParams.

The columns of the table are described once, at the root of the sweep. Each run has its values, and
its permutation as the trial; TensorBoard averages the runs of a trial. A run has the name of its
directory, which shows its values.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from tensorboard.plugins.hparams import summary_v2 as hparams
from tensorboard.plugins.hparams.metadata import (
    SESSION_END_INFO_TAG,
    SESSION_START_INFO_TAG,
    create_summary_metadata,
)
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.summary.writer.record_writer import RecordWriter

from neroRL.files import replacing
from neroRL.reporting.cells import Cell, cell, keys_shown_as_text

SUMMARIES = "summaries"
EVENT_FILES = "events.out.tfevents.*"
ENV_STEPS = "time/env_steps"
# Share of its updates up to which a race has let a job go.
RUNG = "race/rung"
# The bounds of a permutation's interval, which all of its repetitions have.
INTERVAL = ("objective/ci_low", "objective/ci_high")
# Files with these have a name that comes after those that the job wrote in the same second.
INTERVAL_FILES = f"{EVENT_FILES}~interval"
# TensorBoard shows check boxes for fewer values than this, and a regular expression for more.
MOST_BOXES = 10


class Summaries:
    """Writes the event file of one job.

    Records of earlier tries of the job stay, except how these ended.

    Args:
        directory: of the job's summaries; made if it is missing.
        name: of the job's run, a directory in it; events in other ones are moved there.
    """

    def __init__(self, directory: Path, name: str = "") -> None:
        _gather(directory, name)
        _forget_tries(directory / name)
        self._writer = EventFileWriter(str(directory / name))

    def begin(self, update: int) -> None:
        """Makes TensorBoard drop what an interrupted run recorded after an update.

        Args:
            update: the last one that counts.
        """
        start = SessionLog(status=SessionLog.START)
        self._add(Event(session_log=start, step=update + 1))

    def scalars(self, update: int, env_steps: int, values: Mapping[str, float]) -> None:
        """Records the statistics of an update.

        Args:
            update: the x-axis.
            env_steps: environment steps so far, recorded with the other values.
            values: by tag.
        """
        recorded = [
            Summary.Value(tag=tag, simple_value=value)
            for tag, value in {**values, ENV_STEPS: float(env_steps)}.items()
        ]
        self._add(Event(summary=Summary(value=recorded), step=update))

    def flush(self) -> None:
        """Returns once everything recorded so far is in the file."""
        self._writer.flush()

    def hparams(self, values: Mapping[str, Cell], trial_id: str) -> None:
        """Records the job's row in the table.

        Args:
            values: cells of the swept keys.
            trial_id: equal for all repetitions of a permutation, and for no other jobs.
        """
        self._add(Event(summary=hparams.hparams_pb(dict(values), trial_id=trial_id)))

    def close(self, *, success: bool | None = True) -> None:
        """Records how the job ended and closes the file.

        Args:
            success: None for a job that has not ended and will continue.
        """
        if success is not None:
            status = api_pb2.STATUS_SUCCESS if success else api_pb2.STATUS_FAILURE
            ended = plugin_data_pb2.SessionEndInfo(status=status, end_time_secs=time.time())
            content = plugin_data_pb2.HParamsPluginData(session_end_info=ended)
            metadata = create_summary_metadata(content)
            value = Summary.Value(tag=SESSION_END_INFO_TAG, metadata=metadata)
            self._add(Event(summary=Summary(value=[value])))
        self._writer.close()

    def _add(self, event: Event) -> None:
        event.wall_time = time.time()
        self._writer.add_event(event)


def write_sweep_hparams(
    root: Path, axes: Mapping[str, Sequence[Any]], metrics: Sequence[str]
) -> None:
    """Writes the columns of a sweep's table, and removes earlier descriptions.

    Args:
        root: of the sweep.
        axes: the swept keys and their choices.
        metrics: tags of the columns of results.
    """
    shown_as_text = keys_shown_as_text(axes)
    columns = [
        hparams.HParam(key, _domain([cell(one, as_text=key in shown_as_text) for one in choices]))
        for key, choices in axes.items()
    ]
    told = [hparams.Metric(tag) for tag in metrics]
    summary = hparams.hparams_config_pb(hparams=columns, metrics=told)
    earlier = list(root.glob(EVENT_FILES))
    if any(summary.SerializeToString() in path.read_bytes() for path in earlier):
        return
    writer = EventFileWriter(str(root))
    writer.add_event(Event(summary=summary, wall_time=time.time()))
    writer.close()
    for path in earlier:  # TensorBoard would keep the first description it finds
        path.unlink()


def _domain(column: Sequence[Cell]) -> hparams.Domain:
    """Returns the values of a column, for check boxes, or the bounds of many numbers."""
    distinct = list(dict.fromkeys(column))
    if len(distinct) >= MOST_BOXES and not isinstance(distinct[0], bool | str):
        return hparams.RealInterval(min(distinct), max(distinct))
    return hparams.Discrete(distinct)


def metric_tags(
    *, evaluates: bool, tells_success: bool, repeats: bool = False, races: bool = False
) -> list[str]:
    """Returns the tags of a table's columns of results, the objective first.

    Args:
        evaluates: whether jobs evaluate their policies.
        tells_success: whether episodes succeed or fail.
        repeats: whether permutations have several repetitions, and so an interval.
        races: whether jobs may stop at the rungs of a race.
    """
    names = ["reward_mean", *(["success_mean"] if tells_success else []), "length_mean"]
    kinds = [*(["evaluation"] if evaluates else []), "episode"]
    tags = [f"{kind}/{name}" for kind in kinds for name in names]
    return [tags[0], *(INTERVAL if repeats else ()), *tags[1:], *([RUNG] if races else [])]


def write_interval(directory: Path, update: int, interval: tuple[float, float] | None) -> None:
    """Writes the interval of a permutation among the events of one of its jobs.

    It gets a file of its own, so that what the job wrote is not touched. That of an earlier ranking
    is replaced; the same one stays as it is.

    Args:
        directory: of the job's run; nothing happens where it is missing.
        update: the job's last one.
        interval: None to remove an earlier one.
    """
    if not directory.is_dir():
        return
    earlier = list(directory.glob(INTERVAL_FILES))
    if interval is not None:
        bounds = zip(INTERVAL, interval, strict=True)
        values = [Summary.Value(tag=tag, simple_value=bound) for tag, bound in bounds]
        summary, now = Summary(value=values), time.time()
        if any(summary.SerializeToString() in path.read_bytes() for path in earlier):
            return
        path = directory / INTERVAL_FILES.replace("*", f"{int(now)}.")
        event = Event(summary=summary, step=update, wall_time=now)
        with path.open("wb") as file:  # a thousand times to the disk would hold up a sweep's end
            RecordWriter(file).write(event.SerializeToString())
        earlier = [one for one in earlier if one != path]
    for path in earlier:
        path.unlink()


def change_trial(directory: Path, trial_id: str, name: str, values: Mapping[str, Cell]) -> None:
    """Rewrites a job's event files so that its row belongs to another trial.

    Args:
        directory: of the job's summaries; nothing happens where it is missing.
        trial_id: the new one.
        name: the new name of the run.
        values: the new cells.
    """
    _gather(directory, name)
    for path in sorted((directory / name).glob(EVENT_FILES)):
        records = RawEventFileLoader(str(path)).Load()
        _rewrite(path, [_with_trial(record, trial_id, values) for record in records])


def _gather(directory: Path, name: str) -> None:
    """Moves the event files below a directory to the one that has the name."""
    for path in sorted(directory.rglob(EVENT_FILES)):
        if path.parent == directory / name:
            continue
        (directory / name).mkdir(exist_ok=True)
        path.rename(directory / name / path.name)
        if path.parent != directory and not any(path.parent.iterdir()):
            path.parent.rmdir()


def _forget_tries(directory: Path) -> None:
    """Removes the start and end of earlier tries from event files.

    TensorBoard keeps the first such records of a run, so a failed job would stay failed forever.
    """
    marks = [SESSION_START_INFO_TAG.encode(), SESSION_END_INFO_TAG.encode()]
    for path in directory.glob(EVENT_FILES):
        content = path.read_bytes()
        if any(mark in content for mark in marks):
            records = RawEventFileLoader(str(path)).Load()
            kept = [record for record in records if not any(mark in record for mark in marks)]
            _rewrite(path, kept)


def _rewrite(path: Path, records: Sequence[bytes]) -> None:
    with replacing(path) as file:
        writer = RecordWriter(file)
        for record in records:
            writer.write(record)


def _with_trial(record: bytes, trial_id: str, values: Mapping[str, Cell]) -> bytes:
    event = Event.FromString(record)
    for value in event.summary.value:
        if value.tag == SESSION_START_INFO_TAG:
            plugin = value.metadata.plugin_data
            start = plugin_data_pb2.HParamsPluginData.FromString(plugin.content).session_start_info
            seconds = start.start_time_secs
            row = hparams.hparams_pb(dict(values), trial_id=trial_id, start_time_secs=seconds)
            value.CopyFrom(row.value[0])
    changed: bytes = event.SerializeToString()
    return changed
