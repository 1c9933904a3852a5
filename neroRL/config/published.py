"""Keys of neroRL's published configs that are named differently here, or ask for nothing new."""

from __future__ import annotations

import copy
from typing import Any

from neroRL.config.documents import Document
from neroRL.errors import ConfigError, Problem

_RENAMED: dict[tuple[str, ...], str] = {
    ("environment", "positional_endocing"): "positional_encoding",
    ("model", "encoder"): "vis_encoder",
    ("model", "vec_encoder_layer"): "vec_encoder",
    ("model", "preprocessing_layer"): "vec_encoder",
    ("model", "num_preprocessing_units"): "num_vec_encoder_units",
    ("model", "transformer", "num_layers"): "num_blocks",
    ("model", "transformer", "layer_size"): "embed_dim",
}

# Choices that have another name: key, old name, new name.
_RENAMED_CHOICES: list[tuple[tuple[str, ...], str, str]] = [
    (("model", "transformer", "positional_encoding"), "relative", "absolute"),
]

# Keys that ask for what is done anyway, with the one value that does.
_DONE_ANYWAY: dict[tuple[str, ...], object] = {
    ("trainer", "share_parameters"): True,
    ("trainer", "refresh_buffer_epoch"): -1,
    ("sampler", "type"): "TrajectorySampler",
}

# Keys that the last version of the original did not read any more, and what is done.
_WITHOUT_EFFECT: dict[tuple[str, ...], str] = {
    ("model", "transformer", "share_heads"): "every head has projections of its own",
}


def modernise(document: Document) -> tuple[dict[str, Any], list[Problem]]:
    """Maps the keys of older versions to today's.

    Args:
        document: a base config whose top level is a map.

    Returns:
        The content with today's keys, and a warning for every key that was mapped or dropped.

    Raises:
        ConfigError: an old key asks for something that does not exist any more.
    """
    data = copy.deepcopy(document.data)
    warnings: list[Problem] = []
    errors: list[Problem] = []
    for keys, new_name in _RENAMED.items():
        section = _section(data, keys)
        if section is None or keys[-1] not in section:
            continue
        path, where = ".".join(keys), document.where(keys)
        if new_name in section:
            errors.append(Problem(path, f"is the old name of {new_name}, also given", where))
            continue
        section[new_name] = section.pop(keys[-1])
        warnings.append(Problem(path, f"is called {new_name} now; taken as that", where))
    for keys, old, new in _RENAMED_CHOICES:
        section = _section(data, keys)
        if section is not None and section.get(keys[-1]) == old:
            section[keys[-1]] = new
            message = f"{old} is called {new} now; taken as that"
            warnings.append(Problem(".".join(keys), message, document.where(keys)))
    for keys, done in _DONE_ANYWAY.items():
        section = _section(data, keys)
        if section is None or keys[-1] not in section:
            continue
        path, where, value = ".".join(keys), document.where(keys), section.pop(keys[-1])
        if type(value) is type(done) and value == done:
            warnings.append(Problem(path, f"{value} is what is always done; ignored", where))
        else:
            message = f"{value!r} is not available; only {done!r} is, and needs no key"
            errors.append(Problem(path, message, where))
    for keys, done_instead in _WITHOUT_EFFECT.items():
        section = _section(data, keys)
        if section is not None and section.pop(keys[-1], None) is not None:
            message = f"has no effect: {done_instead}"
            warnings.append(Problem(".".join(keys), message, document.where(keys)))
    if errors:
        raise ConfigError(errors)
    return data, warnings


def _section(data: dict[str, Any], keys: tuple[str, ...]) -> dict[str, Any] | None:
    section: Any = data
    for key in keys[:-1]:
        section = section.get(key) if isinstance(section, dict) else None
    return section if isinstance(section, dict) else None
