"""Tests a job's result on disk: complete, damaged, and written by other versions."""

from __future__ import annotations

import copy
import json

import pytest

from neroRL.config.checks import as_mapping, build
from neroRL.config.roles import PLACE
from neroRL.config.schema import ADDED_KEYS
from neroRL.errors import RecordError
from neroRL.records.results import JobResult, fingerprint, load_result, read_result
from neroRL.training.compatibility import differences

BEFORE_ADDED_KEYS = "12d6fc81d4c53889"

RESULT = JobResult(
    permutation=3,
    repetition=1,
    seed=7,
    status="completed",
    overrides={"trainer.gamma": 0.9, "model/memory": "gru", "odd": [None, True, "1e3"]},
    objective=0.25,
    env_steps=4096,
    directory="3/1",
)


def _changed(**values) -> str:
    return json.dumps({**_written(RESULT), **values})


def _written(result: JobResult) -> dict:
    return {name: getattr(result, name) for name in JobResult.__slots__}


def test_a_result_survives_the_disk(tmp_path):
    RESULT.write(tmp_path)
    assert load_result(tmp_path) == RESULT


def test_keys_of_other_versions_do_no_harm(tmp_path):
    """Unknown keys are ignored, and missing ones have their defaults."""
    values = {**_written(RESULT), "invented_later": [1, 2]}
    for key in ("env_steps", "fingerprint", "threads", "format"):
        del values[key]
    (tmp_path / "result.json").write_text(json.dumps(values))
    assert load_result(tmp_path) == JobResult(
        3, 1, 7, "completed", RESULT.overrides, objective=0.25, directory="3/1"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no JSON"),
        ('{"permutation": 1, "repet', "no JSON"),
        ("[]", "dictionary"),
        (b"\xff".decode("latin1"), "no JSON"),
        (_changed(permutation="three"), "permutation: Input should be a valid integer"),
        (_changed(status="finished"), "status: Input should be 'completed'"),
        (_changed(objective=float("nan")), "objective: Input should be a finite number"),
    ],
)
def test_a_damaged_result_is_named_with_the_reason(tmp_path, text, reason):
    path = tmp_path / "result.json"
    path.write_bytes(text.encode("latin1"))
    with pytest.raises(RecordError, match="is damaged: ") as error:
        load_result(tmp_path)
    assert reason in str(error.value)
    assert str(path) in str(error.value)
    assert read_result(tmp_path) is None


def test_a_job_without_a_result_is_not_damaged(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_result(tmp_path)
    assert read_result(tmp_path) is None


def test_a_fingerprint_from_before_a_key_was_added_is_still_that_of_its_config():
    mapping = as_mapping(build({"seed": 3}))
    # Of this config, computed by the version before the first key was added.
    assert fingerprint(mapping) == BEFORE_ADDED_KEYS
    for path, value in ADDED_KEYS.items():
        *sections, key = path.split(".")
        changed = copy.deepcopy(mapping)
        old, new = mapping, changed
        for section in sections:
            old, new = old[section], new[section]
        assert old[key] == value
        new[key] = _other(value)
        differing = [] if path in PLACE else [path]
        assert (fingerprint(changed) != BEFORE_ADDED_KEYS) == bool(differing)
        assert list(differences(mapping, changed)) == differing
        del old[key]
        assert fingerprint(mapping) == BEFORE_ADDED_KEYS
    assert differences(mapping, as_mapping(build({"seed": 3}))) == {}


def _other(value):
    if isinstance(value, str):
        return {"auto": 2, "float32": "bfloat16"}[value]
    return not value if isinstance(value, bool) else value + 1.0
