"""TensorBoard event files: learning curves of a job, and a sweep as one table of HParams.

The table has one description of its columns, at the root of the sweep, and in each run the values
with its permutation as the trial: repetitions of a permutation are averaged by TensorBoard.
"""

from __future__ import annotations

import math
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

# The columns of results in the table.
METRICS = ("episode/reward_mean", "episode/length_mean", "evaluation/reward_mean")
ENV_STEPS = "time/env_steps"


class Summaries:
    """Writes the event file of one job.

    Args:
        directory: of the job's summaries; made if it is missing.
    """

    def __init__(self, directory: Path) -> None:
        _forget_ends(directory)
        self._writer = EventFileWriter(str(directory))

    def begin(self, update: int) -> None:
        """Has TensorBoard drop what a run that was cut off recorded beyond an update.

        Args:
            update: the last one that counts; training goes on after it.
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
        """Returns when everything recorded so far is in the file."""
        self._writer.flush()

    def hparams(self, values: Mapping[str, Any], trial_id: str) -> None:
        """Records what this job has in the table.

        Args:
            values: of the swept keys.
            trial_id: equal for all repetitions of a permutation.
        """
        cells = {key: _cell(value) for key, value in values.items()}
        self._add(Event(summary=hparams.hparams_pb(cells, trial_id=trial_id)))

    def close(self, *, success: bool | None = True) -> None:
        """Records how the job ended and closes the file.

        Args:
            success: None for a job that has not ended, but goes on another time.
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


def write_sweep_hparams(root: Path, axes: Mapping[str, Sequence[Any]]) -> None:
    """Describes the columns of a sweep's table, in place of an earlier description.

    Args:
        root: of the sweep.
        axes: the swept keys and their choices.
    """
    columns = [
        hparams.HParam(key, hparams.Discrete(_domain(choices))) for key, choices in axes.items()
    ]
    metrics = [hparams.Metric(tag) for tag in METRICS]
    earlier = _event_files(root)
    writer = EventFileWriter(str(root))
    summary = hparams.hparams_config_pb(hparams=columns, metrics=metrics)
    writer.add_event(Event(summary=summary, wall_time=time.time()))
    writer.close()
    for path in earlier:  # TensorBoard would keep the first description it finds
        path.unlink()


def _domain(choices: Sequence[Any]) -> list[bool | float | str]:
    """Distinct cells; TensorBoard wants them of one type, so mixed ones become text."""
    cells = list(dict.fromkeys(_cell(choice) for choice in choices))
    return cells if len({type(cell) for cell in cells}) == 1 else [str(cell) for cell in cells]


def _cell(value: Any) -> bool | float | str:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    return str(value)


def change_trial(directory: Path, trial_id: str, added: Mapping[str, Any] | None = None) -> None:
    """Rewrites a job's event files so that its values belong to another trial.

    Args:
        directory: of the job's summaries; nothing happens where it is missing.
        trial_id: the new one.
        added: values of keys that are swept now.
    """
    for path in _event_files(directory):
        records = RawEventFileLoader(str(path)).Load()
        _rewrite(path, [_with_trial(record, trial_id, added or {}) for record in records])


def _forget_ends(directory: Path) -> None:
    """Removes from earlier event files how the job ended: it is tried again.

    TensorBoard keeps the first such record of a run, so a failed job would stay one for ever.
    """
    mark = SESSION_END_INFO_TAG.encode()
    for path in _event_files(directory):
        if mark in path.read_bytes():
            records = RawEventFileLoader(str(path)).Load()
            _rewrite(path, [record for record in records if mark not in record])


def _event_files(directory: Path) -> list[Path]:
    return sorted(directory.glob("events.out.tfevents.*"))


def _rewrite(path: Path, records: Sequence[bytes]) -> None:
    with replacing(path) as file:
        writer = RecordWriter(file)
        for record in records:
            writer.write(record)


def _with_trial(record: bytes, trial_id: str, added: Mapping[str, Any]) -> bytes:
    event = Event.FromString(record)
    for value in event.summary.value:
        if value.tag == SESSION_START_INFO_TAG:
            content = plugin_data_pb2.HParamsPluginData.FromString(
                value.metadata.plugin_data.content
            )
            start = content.session_start_info
            start.group_name = trial_id
            for key, cell in ((key, _cell(value)) for key, value in added.items()):
                if isinstance(cell, bool):
                    start.hparams[key].bool_value = cell
                elif isinstance(cell, str):
                    start.hparams[key].string_value = cell
                else:
                    start.hparams[key].number_value = cell
            value.metadata.plugin_data.content = content.SerializeToString()
    changed: bytes = event.SerializeToString()
    return changed
