"""Builds the typed config and checks combinations of keys."""

from __future__ import annotations

import math
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from pydantic import TypeAdapter, ValidationError

from neroRL.config.problems import problems_of
from neroRL.config.schema import Config, ModelConfig, RecurrenceConfig, ScheduleConfig
from neroRL.errors import ConfigError, Problem, UsageError
from neroRL.files import is_file
from neroRL.texts import shortened

FIRST_UNITY_PORT = 5005
LAST_PORT = 65535
# Steps of one rollout; more would not fit into memory.
MOST_STEPS = 2**27
# File systems take 255 bytes; the names of checkpoints and temporary files add to the run-id.
LONGEST_RUN_ID = 200
SCHEDULES = ("learning_rate_schedule", "beta_schedule", "clip_range_schedule")

_ADAPTER = TypeAdapter(Config)


def build(mapping: Mapping[str, Any]) -> Config:
    """Builds the typed config from plain, interpolation-free Python.

    Raises:
        ConfigError: keys are unknown, or values of the wrong type or out of range.
    """
    try:
        return _ADAPTER.validate_python(mapping)
    except ValidationError as error:
        raise ConfigError(problems_of(error, "", Config)) from None


def as_mapping(config: Config) -> dict[str, Any]:
    """Returns the plain mapping of a typed config, keys spelled as in YAML files."""
    mapping: dict[str, Any] = _ADAPTER.dump_python(config, by_alias=True)
    return mapping


def cross_check(config: Config) -> list[Problem]:
    """Finds combinations of keys that cannot work together."""
    return [
        *_check_batch(config),
        *_check_updates(config),
        *_check_memory(config),
        *_check_names(config),
        *_check_ports(config),
        *_check_loggers(config),
    ]


def cautions(config: Config) -> list[Problem]:
    """Finds settings that work but are most likely mistakes."""
    found = []
    for name in SCHEDULES:
        schedule: ScheduleConfig = getattr(config.trainer, name)
        if schedule.final is not None and schedule.final > schedule.initial:
            message = f"{schedule.final} is greater than initial = {schedule.initial}"
            found.append(Problem(f"trainer.{name}.final", f"{message}; the schedule rises"))
    if config.model.recurrence is not None:
        found += _recurrence_cautions(config.model.recurrence, config)
    if config.evaluation.evaluate:
        found += _seed_overlap(config)
    return found


def _recurrence_cautions(recurrence: RecurrenceConfig, config: Config) -> list[Problem]:
    found = []
    worker_steps, mini_batches = config.sampler.worker_steps, config.trainer.n_mini_batches
    length = recurrence.sequence_length if recurrence.sequence_length > 0 else worker_steps
    fewest = config.sampler.n_workers * math.ceil(worker_steps / length)
    if fewest < mini_batches:
        message = (
            f"{mini_batches} need as many training sequences, but a rollout in which no episode "
            f"ends has only {fewest}, so its update has no more mini batches; raise "
            "sampler.n_workers or train shorter sequences (model.recurrence.sequence_length)"
        )
        found.append(Problem("trainer.n_mini_batches", message))
    if recurrence.sequence_length > worker_steps:
        message = (
            f"{recurrence.sequence_length} is longer than a rollout of sampler.worker_steps = "
            f"{worker_steps}: episodes are trained whole, as far as they are in one"
        )
        found.append(Problem("model.recurrence.sequence_length", message))
    if recurrence.hidden_state_init == "learned" and not recurrence.reset_hidden_state:
        message = (
            "learned learns nothing with reset_hidden_state = false: episodes go on with the state "
            "of those before, so no loss reaches the initial state, which stays random"
        )
        found.append(Problem("model.recurrence.hidden_state_init", message))
    averaged = recurrence.hidden_state_init in ("mean", "sample")
    # Loaded weights bring states with them, from which the first episodes start.
    if averaged and not recurrence.reset_hidden_state and not config.model.load_model:
        message = (
            f"{recurrence.hidden_state_init} trains like zero with reset_hidden_state = false: "
            "episodes go on with the state of those before, so only evaluated episodes start with "
            "the states of the last rollout"
        )
        found.append(Problem("model.recurrence.hidden_state_init", message))
    return found


def _check_batch(config: Config) -> list[Problem]:
    workers, steps = config.sampler.n_workers, config.sampler.worker_steps
    mini_batches = config.trainer.n_mini_batches
    sizes = f"n_workers · worker_steps = {workers} · {steps} = {workers * steps}"
    if workers * steps > MOST_STEPS:
        return [Problem("sampler", f"{sizes} is not allowed; expected {MOST_STEPS} or less")]
    if (workers * steps) % mini_batches:
        message = f"{sizes} is not divisible by n_mini_batches = {mini_batches}"
        return [Problem("trainer.n_mini_batches", message)]
    return []


def _check_updates(config: Config) -> list[Problem]:
    first, updates = config.trainer.resume_at, config.trainer.updates
    if first >= updates:
        message = f"{first} leaves nothing to train: trainer.updates = {updates}"
        return [Problem("trainer.resume_at", message)]
    return []


def _check_memory(config: Config) -> list[Problem]:
    given = list(config.model.memories)
    if len(given) > 1:
        message = f"has both {given[0]} and {given[1]}; set one of them to null"
        return [Problem("model", message)]
    transformer = config.model.transformer
    if transformer is not None and transformer.embed_dim % transformer.num_heads:
        message = f"{transformer.embed_dim} is not divisible by num_heads = {transformer.num_heads}"
        return [Problem("model.transformer.embed_dim", message)]
    return []


def _check_names(config: Config) -> list[Problem]:
    found = []
    problem = run_id_problem(config.run_id)
    if problem:
        found.append(Problem("run_id", problem))
    if config.model.load_model:
        found += _check_weights(config.model)
    return found


def _check_weights(model: ModelConfig) -> list[Problem]:
    if not model.model_path:
        return [Problem("model.model_path", "is empty, but load_model is on")]
    try:
        path = model.weights_file
    except UsageError as error:
        return [Problem("model.model_path", str(error))]
    if is_file(path):
        return []
    message = f"{shortened(model.model_path)} ({shortened(path.absolute())}) is no file"
    return [Problem("model.model_path", message)]


def run_id_problem(run_id: str) -> str | None:
    """Returns why a run-id cannot name a directory below ``--out``; None if it can."""
    if not run_id.strip():
        return "is empty; it names the directory of the run"
    if ".." in run_id or run_id.startswith(("/", "~")) or "\\" in run_id or "\0" in run_id:
        allowed = "no '..', no backslash, no leading '/'"
        return f"{run_id!r} must stay below the output directory: {allowed}"
    longest = max(len(part.encode(errors="replace")) for part in run_id.split("/"))
    if longest > LONGEST_RUN_ID:
        limit = f"at most {LONGEST_RUN_ID} fit into the name of a checkpoint"
        return f"{shortened(run_id)} has {longest} bytes; {limit}"
    return None


def environment_steps(config: Config) -> int:
    """Counts the environment steps of a whole training."""
    updates = config.trainer.updates - config.trainer.resume_at
    return updates * config.sampler.n_workers * config.sampler.worker_steps


def ports_needed(config: Config) -> int:
    """Counts the network ports that one job may open: one per environment worker."""
    evaluation = config.evaluation.n_workers if config.evaluation.evaluate else 0
    return config.sampler.n_workers + evaluation


def _check_ports(config: Config) -> list[Problem]:
    last = FIRST_UNITY_PORT + config.worker_id + ports_needed(config) - 1
    if last > LAST_PORT:
        allowed = LAST_PORT - FIRST_UNITY_PORT - ports_needed(config) + 1
        message = (
            f"{config.worker_id} needs ports up to {last}; ports end at {LAST_PORT}, "
            f"so at most {allowed} is allowed"
        )
        return [Problem("worker_id", message)]
    return []


def _check_loggers(config: Config) -> list[Problem]:
    return [
        Problem("loggers", f'{name} is not installed here: pip install "neroRL[{name}]"')
        for name in config.loggers
        if find_spec(name) is None
    ]


def _seed_overlap(config: Config) -> list[Problem]:
    params = config.environment.reset_params
    start, count = params.get("start-seed", 0), params.get("num-seeds", 100)
    if not (isinstance(start, int) and isinstance(count, int)) or start < 0:
        return []
    shared = [seed for seed in config.evaluation.seed_list() if start <= seed < start + count]
    if not shared:
        return []
    message = (
        f"{len(shared)} evaluation seeds are training seeds too ({start} to {start + count - 1}); "
        "the evaluation does not measure generalisation"
    )
    return [Problem("evaluation.seeds", message)]
