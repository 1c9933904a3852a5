"""Runs one composed job: Hydra's ``run_job`` without its six copies of the config.

The files, the log, the callbacks and the task's config are the same.
"""

from __future__ import annotations

import contextlib
import pickle
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus, configure_log, env_override
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from neroRL.composition.checking import known_to_hydra
from neroRL.config.documents import dump_yaml
from neroRL.files import write_text


def run_composed(config: DictConfig, task: TaskFunction, context: HydraContext) -> Exception | None:
    """Runs a job in its directory below ``hydra.sweep.dir``.

    Args:
        config: composed, with its ``hydra`` node.
        task: runs the job.
        context: has the callbacks.

    Returns:
        The exception of the task, if any.
    """
    with known_to_hydra(config):
        hydra = config.hydra
        directory = Path(str(hydra.sweep.dir), str(hydra.sweep.subdir)).absolute()
        with read_write(hydra.runtime), open_dict(hydra.runtime):
            hydra.runtime.output_dir = str(directory)
        OmegaConf.set_readonly(hydra, True)
        seen = _without_hydra(config)
        directory.mkdir(parents=True, exist_ok=True)
        with contextlib.chdir(directory if hydra.job.chdir else "."):
            configure_log(hydra.job_logging, hydra.verbose)
            if hydra.output_subdir is not None:
                _save(config, seen, directory / hydra.output_subdir)
            with env_override(hydra.job.env_set):
                return _call(config, seen, task, context)


def _call(
    config: DictConfig, seen: DictConfig, task: TaskFunction, context: HydraContext
) -> Exception | None:
    context.callbacks.on_job_start(config=config, task_function=task)
    returned = JobReturn(cfg=seen, hydra_cfg=config, working_dir=str(Path.cwd()))
    error = None
    try:
        returned.return_value = task(seen)
        returned.status = JobStatus.COMPLETED
    except Exception as raised:
        returned.return_value = error = raised
        returned.status = JobStatus.FAILED
    context.callbacks.on_job_end(config=config, job_return=returned)
    return error


def _without_hydra(config: DictConfig) -> DictConfig:
    """Returns a copy of the config without its ``hydra`` node, which is most of it.

    Copying by pickle is several times faster than OmegaConf's own copies.
    """
    content: Any = config._content
    hydra = content.pop("hydra")
    try:
        copied: DictConfig = pickle.loads(pickle.dumps(config, pickle.HIGHEST_PROTOCOL))
    finally:
        content["hydra"] = hydra
    return copied


def _save(config: DictConfig, seen: DictConfig, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    hydra = _raw(config.hydra)
    files = {
        "config.yaml": _dump_sections(_raw(seen)),
        "hydra.yaml": _dump_sections(hydra, "hydra"),
        "overrides.yaml": dump_yaml(hydra["overrides"]["task"]),
    }
    for name, text in files.items():
        write_text(directory / name, text, durable=False)


def _raw(node: Any) -> Any:
    """Returns the content of a node, with interpolations unresolved.

    This equals ``OmegaConf.to_container``, which is slower because it checks each value's flags.
    """
    value = node._value()
    if isinstance(value, dict):
        return {key: _raw(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_raw(child) for child in value]
    return value


# The last content and its YAML, by parent and key.
_dumped: dict[tuple[str | None, str], tuple[str, str]] = {}


def _dump_sections(mapping: dict[str, Any], parent: str | None = None) -> str:
    """Writes a mapping as YAML, and reuses the text of sections that equal the last job's.

    Args:
        mapping: the sections.
        parent: the key that the mapping is the value of, if any.
    """
    head = "" if parent is None else f"{parent}:\n"
    texts = [head]
    for key, section in mapping.items():
        place, content = (parent, key), repr(section)
        if place not in _dumped or _dumped[place][0] != content:
            text = dump_yaml({key: section} if parent is None else {parent: {key: section}})
            _dumped[place] = content, text.removeprefix(head)
        texts.append(_dumped[place][1])
    return "".join(texts)
