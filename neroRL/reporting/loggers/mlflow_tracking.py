"""Runs of MLflow; the sweep is their experiment.

The usual variables choose where they go, ``MLFLOW_TRACKING_URI`` above all. Without it, MLflow
writes ``mlflow.db`` in the working directory.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from filelock import FileLock
from mlflow import MlflowClient, get_tracking_uri
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

from neroRL.config.nested import flat
from neroRL.reporting.loggers.interface import Description

# MLflow's limits of a request and of a parameter.
MOST_AT_ONCE = 100
LONGEST_VALUE = 6000
# By default MLflow tries for minutes to reach a server that does not answer.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
STATUS = {True: "FINISHED", False: "FAILED", None: "KILLED"}


class MlflowRun:
    """A run of MLflow.

    Args:
        described: the job.
        known: id of the run to continue; None for a new one.

    Raises:
        MlflowException: the run cannot be opened.
    """

    def __init__(self, described: Description, known: str | None) -> None:
        for name, value in PATIENCE.items():
            os.environ.setdefault(name, value)
        with _opening():
            self._client = MlflowClient()
            self.id = known or self._created(described)
            if known is not None:
                self._client.update_run(known, status="RUNNING")

    def _created(self, described: Description) -> str:
        """Makes a run with its parameters and returns its id."""
        tags = {name: str(number) for name, number in described.place.items()}
        experiment = _experiment(self._client, described.group)
        run = self._client.create_run(experiment, run_name=described.name, tags=tags)
        params = [Param(key, _text(value)) for key, value in flat(described.config).items()]
        for first in range(0, len(params), MOST_AT_ONCE):
            some = params[first : first + MOST_AT_ONCE]
            self._client.log_batch(run.info.run_id, params=some)
        return str(run.info.run_id)

    def log(self, update: int, values: Mapping[str, float]) -> None:
        """Records the values of an update."""
        now = int(1000 * time.time())
        metrics = [Metric(tag, value, now, update) for tag, value in values.items()]
        self._client.log_batch(self.id, metrics=metrics)

    def close(self, success: bool | None) -> None:
        """Records how the job ended."""
        self._client.set_terminated(self.id, STATUS[success])


@contextlib.contextmanager
def _opening() -> Iterator[None]:
    """Lets one process of this user at a time open a store that is no server.

    Two that find a new database would both make its tables, and one of them would fail.
    """
    if get_tracking_uri().startswith("http"):
        yield
        return
    with FileLock(Path(tempfile.gettempdir(), f"nerorl-mlflow-{os.getuid()}.lock")):
        yield


def _experiment(client: MlflowClient, name: str) -> str:
    """Returns the id of an experiment, which is made if it is missing."""
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except MlflowException:  # another job of the sweep has just made it
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text[:LONGEST_VALUE]
